// ChannelLayer: the cut, and the channel state that is saved and restored.
#include <algorithm>
#include <string_view>
#include <utility>

#include "base/checksum.hpp"
#include "mpi_bindings/channel_layer.hpp"
#include "mpi_bindings/native.hpp"

namespace cairn::mpi {
namespace {

/// Whether a receive of the program's has been taken back by the program itself.
bool is_cancelled(const Request& receive) {
  if (!receive.cancelled) return false;
  int done = 0;
  int cancelled = 0;
  MPI_Status status;
  native.Request_get_status(receive.real, &done, &status);
  if (done != 0) PMPI_Test_cancelled(&status, &cancelled);
  return cancelled != 0;
}

}  // namespace

std::map<int, std::vector<SentCount>> ChannelLayer::cut(bool record) {
  free_zombies();
  std::erase_if(freed_, [&](Freed& freed) {
    if (++freed.cuts < 2) return false;
    by_id_.erase(freed.id);
    return true;
  });
  std::vector<Receive*> pending;
  const auto consider = [&](Request& request) {
    if (request.kind != Request::Kind::receive || !request.active()) return;
    if (request.state == Receive::State::held || request.observed || is_cancelled(request)) return;
    pending.push_back(&request);
  };
  requests_.for_each(consider);
  for (Request* receive = blocking_; receive != nullptr; receive = receive->next_blocking) {
    consider(*receive);
  }
  auto markers = window_.cut(std::move(pending), record);
  settle();
  return markers;
}

bool ChannelLayer::advance() {
  const bool closed = window_.advance();
  settle();
  return closed;
}

void ChannelLayer::pull_current(std::size_t limit_bytes) {
  window_.pull_current(limit_bytes);
  settle();
}

/// The receives that have got recorded messages hand them out as soon as they are complete.
void ChannelLayer::fill_records() {
  const auto& recorded = window_.recorded();
  if (std::none_of(recorded.begin(), recorded.end(),
                   [](const auto& message) { return message->payload->awaited; }))
    return;
  requests_.for_each([&](Request& request) { wire_.fill_record_early(request); });
  for (Request* receive = blocking_; receive != nullptr; receive = receive->next_blocking) {
    wire_.fill_record_early(*receive);
  }
}

bool ChannelLayer::all_arrived() {
  fill_records();
  bool all = true;
  for (auto& [id, communicator] : by_id_) {
    for (auto& message : communicator->store) all = MpiWire::arrived(*message.payload) && all;
  }
  for (const auto& message : window_.recorded()) {
    all = MpiWire::arrived(*message->payload) && !message->payload->awaited && all;
  }
  return all;
}

bool ChannelLayer::waits_for_message() const {
  if (current_call_.name == nullptr) return false;
  const std::string_view name = current_call_.name;
  if (name == "MPI_Probe" || name == "MPI_Mprobe") return true;
  if (blocking_ == nullptr || blocking_->delivered || blocking_->counted) return false;
  return blocking_->state == Receive::State::in_mpi || blocking_->state == Receive::State::held;
}

bool ChannelLayer::in_repeatable_call() const {
  // A Sendrecv would send again.
  return waits_for_message() && std::string_view{current_call_.name} != "MPI_Sendrecv";
}

std::vector<ChannelLayer::AwaitedChannel> ChannelLayer::awaited_channels() {
  std::vector<AwaitedChannel> awaited;
  const auto add = [&](const Communicator* known, int peer) {
    if (known == nullptr || peer < 0) return;
    Communicator& communicator = *by_id_.at(known->id);
    const Channel& channel = communicator.channel(peer);
    for (auto& one : awaited) {
      if (one.communicator != communicator.id || one.source != channel.world_rank) continue;
      ++one.needed;
      return;
    }
    awaited.push_back({communicator.id, channel.world_rank, channel.wire_received(), 1});
  };
  if (waits_for_message()) {
    add(current_call_.communicator, current_call_.peer);
  } else {
    for (int i = 0; i < current_call_.count; ++i) {
      const Request* request = Requests::find(current_call_.requests[i]);
      if (request == nullptr || request->kind != Request::Kind::receive) continue;
      if (request->active() && !request->counted) add(request->communicator, request->peer);
    }
  }
  return awaited;
}

std::uint64_t ChannelLayer::collective_fingerprint() {
  std::uint64_t sum = 0;
  for (const auto& [id, communicator] : by_id_) {
    // An intercommunicator has a rank 0 in each of its groups.
    if (communicator->freed || communicator->inter) continue;
    const std::uint64_t hash = mix(id, communicator->collectives);
    const auto others = static_cast<std::uint64_t>(communicator->size - 1);
    sum += communicator->rank == 0 ? others * hash : -hash;
  }
  return sum;
}

std::vector<ChannelMessage> ChannelLayer::messages() {
  std::vector<ChannelMessage> all;
  for (const auto& [id, communicator] : by_id_) {
    for (const auto& message : communicator->store) {
      all.push_back({id, communicator->channel(message.source).world_rank, message.tag,
                     message.payload->bytes});
    }
  }
  return all;
}

std::vector<ChannelCount> ChannelLayer::counts() {
  std::vector<ChannelCount> all;
  for (const auto& item : by_id_) {
    const std::uint64_t id = item.first;
    if (item.second->freed) continue;
    item.second->for_each_channel([&](const Channel& channel) {
      if (channel.sent == 0 && channel.received == 0) return;
      all.push_back({id, channel.world_rank, channel.sent, channel.received});
    });
  }
  std::sort(all.begin(), all.end(), [](const ChannelCount& a, const ChannelCount& b) {
    return std::pair{a.communicator, a.peer} < std::pair{b.communicator, b.peer};
  });
  return all;
}

std::int64_t ChannelLayer::balance() {
  std::uint64_t sum = 0;
  for (const auto& count : counts()) sum += count.sent - count.received;
  return static_cast<std::int64_t>(sum);
}

std::optional<std::uint64_t> ChannelLayer::restore(const std::vector<ChannelCount>& counts,
                                                   std::vector<ChannelMessage> messages) {
  for (const auto& message : messages) {
    if (!by_id_.contains(message.communicator)) return message.communicator;
  }
  // The wire counters, which are differences of these, stay as they are.
  const auto set = [](Channel& channel, std::uint64_t sent, std::uint64_t received) {
    channel.sent_before += sent - channel.sent;
    channel.received_before += received - channel.received;
    channel.sent = sent;
    channel.received = received;
  };
  for (auto& [id, communicator] : by_id_) {
    communicator->for_each_channel([&](Channel& channel) { set(channel, 0, 0); });
  }
  for (const auto& count : counts) {
    const auto found = by_id_.find(count.communicator);
    if (found == by_id_.end()) continue;
    set(found->second->channel(found->second->rank_of_world(count.peer)), count.sent,
        count.received);
  }
  for (auto& message : messages) {
    Communicator& communicator = *by_id_.at(message.communicator);
    StoredMessage stored{communicator.rank_of_world(message.source), message.tag};
    stored.payload->bytes = std::move(message.bytes);
    window_.store(communicator, std::move(stored));
  }
  settle();
  return std::nullopt;
}

}  // namespace cairn::mpi
