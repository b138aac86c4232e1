#include "tests/simulation/window_layer.hpp"

#include <algorithm>

namespace cairn::window_simulation {

SimLayer::SimLayer(World& world, int rank)
    : world_(world), rank_(rank), wire_(world, rank), window_(wire_, by_id_, rank) {}

// ---- ChannelLayer::poll()

void SimLayer::poll() {
  reap_freed();
  if (!window_.open() && world_.random.chance(world_.settings.pull_current)) {
    window_.pull_current(SIZE_MAX);
  }
  protocol_->poll();
}

// ---- MpiChannels

std::vector<protocol::Marker> SimLayer::flip(bool record) {
  world_.log(rank_, "cut {}", epochs());
  free_zombies();
  std::erase_if(freed_, [&](Freed& freed) {
    if (++freed.cuts < 2) return false;
    erase(freed.id);
    return true;
  });
  std::vector<mpi::Receive*> pending;
  for (SimReceive& receive : receives_) {
    if (receive.state == mpi::Receive::State::inactive) continue;
    if (receive.cancelled && receive.real->cancelled) continue;
    pending.push_back(&receive);
  }
  const auto counts = window_.cut(std::move(pending), record);
  take_snapshot();
  std::vector<protocol::Marker> markers;
  for (const auto& [peer, sent] : counts) {
    protocol::Marker& marker = markers.emplace_back();
    marker.peer = peer;
    for (const auto& count : sent) marker.counts.push_back({count.communicator, count.messages});
  }
  return markers;
}

std::uint64_t SimLayer::epoch_expected() const { return window_.open() ? epochs() : epochs() + 1; }

bool SimLayer::expect(const protocol::Marker& marker) {
  std::vector<mpi::SentCount> counts;
  for (const auto& count : marker.counts) counts.push_back({count.communicator, count.messages});
  window_.marker(marker.peer, counts);
  return true;
}

void SimLayer::pull_late() {
  const bool was_open = window_.open();
  window_.advance();
  if (!was_open || window_.open()) return;
  world_.network.tick();
  world_.log(rank_, "window {} is closed", epochs());
  check_closed();
}

bool SimLayer::drained() {
  if (window_.open()) return false;
  bool all = true;
  for (auto& [id, communicator] : by_id_) {
    for (auto& message : communicator->store) all = wire_.arrived(*message.payload) && all;
  }
  for (SimReceive& receive : receives_) wire_.keep_now(receive);
  for (const auto& message : window_.recorded()) {
    all = wire_.arrived(*message->payload) && !message->payload->awaited && all;
  }
  return all;
}

// ---- Communicators

void SimLayer::manage(int communicator) {
  auto made = std::make_unique<mpi::Communicator>();
  made->id = static_cast<std::uint64_t>(communicator);
  made->rank = made->rank_of_world(rank_);
  const auto& members = world_.program.members[made->id];
  made->size = made->remote_size = static_cast<int>(members.size());
  world_.log(rank_, "has made communicator {}", communicator);
  by_id_.emplace(made->id, std::move(made));
  if (world_.settings.defect != Defect::maker_silent) window_.communicator_made();
}

bool SimLayer::has_pending(const mpi::Communicator& communicator) const {
  const auto of = [&](const auto& request) { return request.communicator == &communicator; };
  const auto held = matched_.find(&communicator);
  return (held != matched_.end() && held->second > 0) ||
         std::any_of(receives_.begin(), receives_.end(),
                     [&](const SimReceive& receive) {
                       return of(receive) && receive.state != mpi::Receive::State::inactive;
                     }) ||
         std::any_of(sends_.begin(), sends_.end(),
                     [&](const SimSend& send) { return of(send) && send.active; });
}

void SimLayer::release(mpi::Communicator& communicator) {
  world_.log(rank_, "frees communicator {}", communicator.id);
  zombies_.push_back(communicator.id);
  free_zombies();
}

void SimLayer::erase(std::uint64_t id) {
  count(*by_id_.at(id), erased_);
  by_id_.erase(id);
}

void SimLayer::free_zombies() {
  std::erase_if(zombies_, [&](std::uint64_t id) {
    mpi::Communicator& communicator = *by_id_.at(id);
    if (has_pending(communicator)) return false;
    communicator.freed = true;
    if (!communicator.store.empty()) throw Failure("a freed communicator has stored messages");
    bool talked = window_.open();
    communicator.for_each_channel([&](const mpi::Channel& channel) {
      talked = talked || channel.wire_sent() > 0 || channel.wire_received() > 0;
    });
    if (talked && world_.settings.defect != Defect::freed_forgotten) {
      freed_.push_back({id});
    } else {
      erase(id);
    }
    return true;
  });
}

// ---- Sends and receives

bool SimLayer::only_mpi(const mpi::Communicator& communicator) const {
  if (window_.open()) return false;
  return communicator.store.empty() || world_.settings.defect == Defect::store_bypassed;
}

SimSend& SimLayer::send(mpi::Communicator& communicator, int peer, int tag, bool large) {
  const int receiver = communicator.channel(peer).world_rank;
  if (window_.open() && window_.unannounced(receiver) &&
      world_.settings.defect != Defect::no_zero_markers) {
    protocol_->announce_to(receiver);
  }
  world_.interleave();
  Message message;
  message.sender = rank_;
  message.receiver = receiver;
  message.context = context_of(communicator, window_.colour());
  message.source = communicator.rank;
  message.tag = tag;
  message.rendezvous = large;
  message.epoch = epochs();
  const Message& sent = world_.network.send(std::move(message));
  ++communicator.channel(peer).sent;
  world_.log(rank_, "sends message {} to rank {} (tag {}, communicator {}, colour {}{})",
             sent.number, receiver, tag, communicator.id, window_.colour(),
             large ? ", rendezvous" : "");
  return sends_.emplace_back(SimSend{&communicator, &sent, true});
}

SimReceive& SimLayer::new_receive(mpi::Communicator& communicator, int peer, int tag) {
  const auto unused = std::find_if(receives_.begin(), receives_.end(), [](const SimReceive& known) {
    return known.state == mpi::Receive::State::inactive;
  });
  const bool again = unused != receives_.end() && world_.random.chance(0.5);
  SimReceive& receive = again ? *unused : receives_.emplace_back();
  receive = {};
  receive.state = mpi::Receive::State::in_mpi;
  receive.colour = static_cast<std::uint8_t>(window_.colour());
  receive.peer = peer;
  receive.tag = tag;
  receive.communicator = &communicator;
  return receive;
}

void SimLayer::post(SimReceive& receive) {
  receive.stamp = ++stamps_;
  world_.log(rank_, "posts receive {} (from {}, tag {}, communicator {})", receive.stamp,
             receive.peer, receive.tag, receive.communicator->id);
  if (only_mpi(*receive.communicator)) {
    wire_.post(receive, window_.colour());
  } else {
    window_.post(receive);
  }
}

void SimLayer::cancel(SimReceive& receive) {
  world_.interleave();
  if (receive.state == mpi::Receive::State::held) {
    window_.withdraw(receive);
    wire_.complete_cancelled(receive);
  } else if (receive.state != mpi::Receive::State::in_mpi || receive.delivered || receive.counted) {
    return;
  } else {
    world_.network.cancel(*receive.real);
  }
  receive.cancelled = true;
  if (!receive.real->cancelled) return;
  world_.log(rank_, "cancels receive {}", receive.stamp);
  record(receive, 0, world_.network.now());
}

void SimLayer::free_request(SimReceive& receive) { receive.freed = true; }

void SimLayer::reap_freed() {
  for (SimReceive& receive : receives_) {
    if (!receive.freed || !in_mpi(receive) || !receive.real->complete) continue;
    receive.freed = false;
    finish(receive);
  }
}

bool SimLayer::in_mpi(SimReceive& receive) {
  if (receive.state != mpi::Receive::State::in_mpi) wire_.advance(receive);
  return receive.state == mpi::Receive::State::in_mpi;
}

void SimLayer::finish(SimSend& send) {
  send.active = false;
  if (!zombies_.empty()) free_zombies();
}

bool SimLayer::finish(SimReceive& receive) {
  const bool cancelled = receive.cancelled && receive.real->cancelled;
  if (!cancelled) {
    const std::uint64_t number = receive.buffer;
    const int source = receive.delivered ? receive.envelope.source : receive.real->message->source;
    wire_.keep_now(receive);
    observe(*receive.communicator, number, source);
    if (!receive.is_matched_message) {
      record(receive, number,
             receive.delivered ? receive.given_at : receive.real->message->matched_at);
    }
    window_.received(receive, source);
  }
  receive.state = mpi::Receive::State::inactive;
  if (!zombies_.empty()) free_zombies();
  return !cancelled;
}

// ---- Probes

std::optional<mpi::Envelope> SimLayer::iprobe(mpi::Communicator& communicator, int source, int tag,
                                              std::uint64_t& number) {
  world_.interleave();
  const Context context = context_of(communicator, window_.colour());
  const bool mpi_alone =
      only_mpi(communicator) || world_.settings.defect == Defect::probe_without_window;
  if (!mpi_alone) {
    const auto found = window_.look(communicator, source, tag);
    if (!found) return std::nullopt;
    if (found->stored != communicator.store.end()) {
      number = number_of(*found->stored->payload);
      return found->envelope;
    }
    source = found->envelope.source;
    tag = found->envelope.tag;
    world_.interleave();
  }
  const Message* found = world_.network.find(rank_, context, source, tag);
  if (found == nullptr && !mpi_alone) throw Failure("a probe's message has gone");
  if (found == nullptr) return std::nullopt;
  number = found->number;
  return mpi::Envelope{found->source, found->tag};
}

std::unique_ptr<Matched> SimLayer::improbe(mpi::Communicator& communicator, int source, int tag) {
  std::uint64_t number = 0;
  const int asked_source = source;
  const int asked_tag = tag;
  auto matched = std::make_unique<Matched>();
  matched->communicator = &communicator;
  world_.interleave();
  if (!only_mpi(communicator)) {
    const auto found = window_.look(communicator, source, tag);
    if (!found) return nullptr;
    source = found->envelope.source;
    tag = found->envelope.tag;
    if (found->stored != communicator.store.end()) {
      number = number_of(*found->stored->payload);
      matched->stored =
          std::make_unique<mpi::StoredMessage>(window_.take_stored(communicator, found->stored));
    }
  }
  if (matched->stored == nullptr) {
    world_.interleave();
    matched->real =
        world_.network.match(rank_, context_of(communicator, window_.colour()), source, tag);
    if (matched->real == nullptr) return nullptr;
    number = matched->real->number;
    source = matched->real->source;
    tag = matched->real->tag;
    ++communicator.channel(source).ahead;  // taken off MPI, not received
  }
  world_.network.tick();
  world_.log(rank_, "matched probe {} gets message {}", stamps_ + 1, number);
  taken_.push_back(
      {communicator.id, ++stamps_, asked_source, asked_tag, number, world_.network.now()});
  ++matched_[&communicator];
  matched->envelope = {source, tag};
  return matched;
}

SimReceive& SimLayer::receive_matched(std::unique_ptr<Matched> matched) {
  SimReceive& receive =
      new_receive(*matched->communicator, matched->envelope.source, matched->envelope.tag);
  receive.counted = true;
  receive.is_matched_message = true;
  if (matched->stored != nullptr) {
    window_.give(receive, std::move(*matched->stored));
  } else {
    world_.interleave();
    receive.real = &world_.network.receive_matched(*matched->real, bytes_of(receive.buffer));
  }
  --matched_[matched->communicator];
  return receive;
}

// ---- Checkpoints

const char* SimLayer::obstacle() const {
  if (!zombies_.empty()) return "a freed communicator has requests";
  for (const auto& [communicator, held] : matched_) {
    if (held > 0) return "a matched message is held";
  }
  for (const SimReceive& receive : receives_) {
    if (receive.freed) return "a request that has been freed is pending";
    if (receive.is_matched_message && receive.state != mpi::Receive::State::inactive) {
      return "a matched message is being received";
    }
  }
  return nullptr;
}

void SimLayer::capture(RankState& state) const {
  state.counters = counters();
  for (const auto& [id, communicator] : by_id_) {
    if (!communicator->freed) state.communicators.push_back(static_cast<int>(id));
  }
}

void SimLayer::restore(const RankState& state, const std::vector<const Message*>& messages) {
  erased_ = state.counters;
  for (const int id : state.communicators) {
    manage(id);
    mpi::Communicator& made = communicator(id);
    const auto set = [&](auto& of, bool is_sent) {
      for (auto item = of.begin(); item != of.end();) {
        if (item->first.first != id) {
          ++item;
          continue;
        }
        mpi::Channel& channel = made.channel(made.rank_of_world(item->first.second));
        (is_sent ? channel.sent : channel.received) = item->second;
        (is_sent ? channel.sent_before : channel.received_before) = item->second;
        item = of.erase(item);
      }
    };
    set(erased_.sent, true);
    set(erased_.received, false);
  }
  for (const Message* message : messages) {
    mpi::StoredMessage stored{message->source, message->tag};
    const std::byte* bytes = reinterpret_cast<const std::byte*>(&message->number);
    stored.payload->bytes.assign(bytes, bytes + sizeof(message->number));
    window_.store(communicator(message->context.communicator), std::move(stored));
  }
}

SimSend& SimLayer::completed_send(mpi::Communicator& communicator) {
  static const Message sent = [] {
    Message message;
    message.sent = true;
    return message;
  }();
  return sends_.emplace_back(SimSend{&communicator, &sent, true});
}

}  // namespace cairn::window_simulation
