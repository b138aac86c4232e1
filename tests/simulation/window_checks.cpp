// What must hold of a rank at any time, at the end of a window, and at the end of a run.
#include <algorithm>

#include "tests/simulation/window_job.hpp"

namespace cairn::window_simulation {
namespace {

const Message& message_of(const World& world, std::uint64_t number) {
  return world.network.messages().at(number - 1);
}

bool accepts(const Taken& taken, const Message& message) {
  return mpi::accepts(taken.source, taken.tag, message.source, message.tag);
}

/// Two receives or matched probes on one communicator. Whatever arrives when, an earlier one gets
/// the earlier message of a source, and does not wait while a later one gets what it accepts.
void check_order(const World& world, int rank, const Taken& earlier, const Taken& later) {
  if (later.number == 0) return;
  const Message& message = message_of(world, later.number);
  if (!accepts(earlier, message)) return;
  if (earlier.at > later.at) {
    throw Failure(fmt::format("rank {}: receive {} was pending when receive {} got message {}",
                              rank, earlier.stamp, later.stamp, later.number));
  }
  if (earlier.number == 0) return;
  const Message& own = message_of(world, earlier.number);
  if (own.source == message.source && own.sequence > message.sequence) {
    throw Failure(fmt::format("rank {}: message {} overtakes {}: receives {} and {}", rank,
                              own.number, message.number, earlier.stamp, later.stamp));
  }
}

/// For each cut: what the sender had sent less what the receiver had received is what was sent
/// before the sender's cut and received after the receiver's.
void check_cuts(const World& world, const Ranks& ranks) {
  const std::size_t cuts = ranks.front()->layer.snapshots().size();
  for (std::size_t cut = 0; cut < cuts; ++cut) {
    std::map<std::tuple<int, int, int>, std::uint64_t> late;
    for (const Message& message : world.network.messages()) {
      if (message.context.communicator == 0) continue;
      if (message.epoch > cut || *message.received_in <= cut) continue;
      ++late[{message.context.communicator, message.sender, message.receiver}];
    }
    for (std::size_t id = 1; id < world.program.members.size(); ++id) {
      for (const int from : world.program.members[id]) {
        for (const int to : world.program.members[id]) {
          auto sent = ranks[static_cast<std::size_t>(from)]->layer.snapshots()[cut].sent;
          auto received = ranks[static_cast<std::size_t>(to)]->layer.snapshots()[cut].received;
          const int communicator = static_cast<int>(id);
          const std::uint64_t difference =
              sent[{communicator, to}] - received[{communicator, from}];
          if (difference == late[{communicator, from, to}]) continue;
          throw Failure(fmt::format(
              "cut {}: {} late messages from {} to {} on {}, {} by the counters", cut + 1,
              late[{communicator, from, to}], from, to, id, static_cast<std::int64_t>(difference)));
        }
      }
    }
  }
}

void check_messages(const World& world) {
  for (const Message& message : world.network.messages()) {
    const char* kind = message.context.communicator == 0 ? "marker" : "message";
    if (!message.sent) {
      throw Failure(fmt::format("{} {} was never completely sent", kind, message.number));
    }
    if (message.context.communicator != 0 && !message.received_in) {
      throw Failure(fmt::format("message {} was never received", message.number));
    }
  }
}

}  // namespace

// ---- When all have written an epoch

/// I1, I3, I4, and the counts identity.
void check_consistency(const World& world, std::uint64_t epoch, const Checkpoint& checkpoint) {
  using Channel = std::tuple<int, int, int>;  // communicator, sender, receiver
  std::map<Channel, std::vector<const Message*>> wanted;
  for (const Message& message : world.network.messages()) {
    if (message.context.communicator == 0 || message.epoch >= epoch) continue;
    if (message.received_in && *message.received_in < epoch) continue;
    wanted[{message.context.communicator, message.sender, message.receiver}].push_back(&message);
  }
  std::map<Channel, std::vector<const Message*>> recorded;
  for (const auto& rank : checkpoint.ranks) {
    for (const Message& message : rank->in_flight) {
      recorded[{message.context.communicator, message.sender, message.receiver}].push_back(
          &message);
    }
  }
  for (std::size_t id = 1; id < world.program.members.size(); ++id) {
    for (const int from : world.program.members[id]) {
      for (const int to : world.program.members[id]) {
        const int communicator = static_cast<int>(id);
        const auto value = [](const auto& map, int a, int b) {
          const auto found = map.find({a, b});
          return found == map.end() ? std::uint64_t{0} : found->second;
        };
        const std::uint64_t sent = value(
            checkpoint.ranks[static_cast<std::size_t>(from)]->counters.sent, communicator, to);
        const std::uint64_t received = value(
            checkpoint.ranks[static_cast<std::size_t>(to)]->counters.received, communicator, from);
        const auto& kept = recorded[{communicator, from, to}];
        const auto& late = wanted[{communicator, from, to}];
        if (sent - received != kept.size() || late.size() != kept.size()) {
          throw Failure(fmt::format(
              "epoch {}: {} messages from {} to {} on {} are recorded, {} are in flight, {} by the "
              "counters",
              epoch, kept.size(), from, to, id, late.size(),
              static_cast<std::int64_t>(sent - received)));
        }
        std::map<int, std::uint64_t> last;
        for (const Message* message : kept) {
          if (std::none_of(late.begin(), late.end(),
                           [&](const Message* one) { return one->number == message->number; })) {
            throw Failure(fmt::format("epoch {}: message {} is recorded, and was not in flight",
                                      epoch, message->number));
          }
          std::uint64_t& before = last[message->tag];
          if (message->sequence + 1 <= before) {
            throw Failure(fmt::format("epoch {}: message {} is recorded twice or out of order",
                                      epoch, message->number));
          }
          before = message->sequence + 1;
        }
      }
    }
  }
}

// ---- At any time

void SimLayer::observe(const mpi::Communicator& communicator, std::uint64_t number, int source) {
  if (number == 0) throw Failure("a receive is complete before its bytes are here");
  Message& message = world_.network.messages().at(number - 1);
  world_.network.tick();
  world_.log(rank_, "receives message {}", number);
  if (message.received_in) throw Failure(fmt::format("message {} is received twice", number));
  message.received_in = epochs();
  if (message.receiver != rank_ || message.source != source ||
      static_cast<std::uint64_t>(message.context.communicator) != communicator.id) {
    throw Failure(fmt::format("message {} is received as one from {} on communicator {}", number,
                              source, communicator.id));
  }
  if (message.epoch > *message.received_in) {
    throw Failure(fmt::format("orphan: message {} was sent after cut {}, received before it",
                              number, message.epoch));
  }
}

void SimLayer::record(const SimReceive& receive, std::uint64_t number, std::uint64_t at) {
  taken_.push_back(
      {receive.communicator->id, receive.stamp, receive.peer, receive.tag, number, at});
  if (number == 0 || accepts(taken_.back(), message_of(world_, number))) return;
  throw Failure(fmt::format("receive {} got message {}", receive.stamp, number));
}

// ---- At the cut, and when a window is closed

void SimLayer::count(mpi::Communicator& communicator, Counters& counters) {
  const int id = static_cast<int>(communicator.id);
  communicator.for_each_channel([&](const mpi::Channel& channel) {
    counters.sent[{id, channel.world_rank}] = channel.sent;
    counters.received[{id, channel.world_rank}] = channel.received;
  });
}

Counters SimLayer::counters() const {
  Counters all = erased_;
  for (const auto& [id, communicator] : by_id_) count(*communicator, all);
  return all;
}

void SimLayer::take_snapshot() { snapshots_.push_back(counters()); }

/// Every message of the interval that has ended has been taken off MPI, and counted.
void SimLayer::check_closed() {
  std::map<std::pair<std::uint64_t, int>, std::uint64_t> sent;
  for (const Message& message : world_.network.messages()) {
    if (message.context.communicator == 0 || message.receiver != rank_) continue;
    if (message.epoch + 1 != epochs() || message.restored) continue;
    if (!message.matched) {
      throw Failure(
          fmt::format("rank {} has closed its window without message {}", rank_, message.number));
    }
    ++sent[{static_cast<std::uint64_t>(message.context.communicator), message.source}];
  }
  for (auto& [id, communicator] : by_id_) {
    if (communicator->freed) continue;
    const std::uint64_t known = id;
    communicator->for_each_channel([&](const mpi::Channel& channel) {
      const std::uint64_t wanted = sent[{known, channel.peer}];
      if (channel.old_taken == wanted && channel.old_expected == wanted) return;
      throw Failure(fmt::format("rank {} has counted {} of {} messages from {} on {}, {} announced",
                                rank_, channel.old_taken, wanted, channel.peer, known,
                                channel.old_expected));
    });
  }
}

// ---- At the end

void SimLayer::check_empty() {
  if (window_.open()) throw Failure(fmt::format("rank {} has left with an open window", rank_));
  if (window_.stored_messages() != 0 || window_.stored_bytes() != 0) {
    throw Failure(fmt::format("rank {}: {} stored messages are left, {} bytes", rank_,
                              window_.stored_messages(), window_.stored_bytes()));
  }
  std::map<std::tuple<std::uint64_t, int, bool>, std::uint64_t> wire;
  for (const Message& message : world_.network.messages()) {
    if (message.epoch != epochs() || message.restored) continue;
    const auto id = static_cast<std::uint64_t>(message.context.communicator);
    if (message.receiver == rank_) ++wire[{id, message.sender, false}];
    if (message.sender == rank_) ++wire[{id, message.receiver, true}];
  }
  for (auto& [id, communicator] : by_id_) {
    if (!communicator->held.empty()) throw Failure("a receive is held at the end");
    const std::uint64_t known = id;
    communicator->for_each_channel([&](const mpi::Channel& channel) {
      if (channel.wire_sent() == wire[{known, channel.world_rank, true}] &&
          channel.wire_received() == wire[{known, channel.world_rank, false}]) {
        return;
      }
      throw Failure(fmt::format("rank {}: wrong wire counts with {} on {}: {} sent, {} received",
                                rank_, channel.world_rank, known, channel.wire_sent(),
                                static_cast<std::int64_t>(channel.wire_received())));
    });
  }
}

void check(World& world, const Ranks& ranks) {
  for (const auto& rank : ranks) {
    if (rank->layer.epochs() != ranks.front()->layer.epochs()) {
      throw Failure("the ranks have not made the same cuts");
    }
    rank->layer.check_empty();
  }
  check_messages(world);
  check_cuts(world, ranks);
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const auto& taken = ranks[rank]->layer.taken();
    for (const Taken& one : taken) {
      for (const Taken& other : taken) {
        if (one.communicator != other.communicator || one.stamp >= other.stamp) continue;
        check_order(world, static_cast<int>(rank), one, other);
      }
    }
  }
}

}  // namespace cairn::window_simulation
