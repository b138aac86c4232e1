#include "mpi_bindings/window.hpp"

#include <algorithm>
#include <utility>

#include "base/rules.hpp"

namespace cairn::mpi {
namespace {

bool overlaps(const Receive& a, const Receive& b) {
  const bool sources = a.peer == b.peer || a.peer == MPI_ANY_SOURCE || b.peer == MPI_ANY_SOURCE;
  const bool tags = a.tag == b.tag || a.tag == MPI_ANY_TAG || b.tag == MPI_ANY_TAG;
  return sources && tags;
}

}  // namespace

std::map<int, std::vector<SentCount>> Window::cut(std::vector<Receive*> pending, bool record) {
  recording_ = record;
  recorded_.clear();
  open_ = true;
  markers_over_ = false;
  announced_ = {world_rank_};  // the channel to oneself needs no marker (M7)
  told_ = {world_rank_};
  std::map<int, std::vector<SentCount>> markers;
  for (auto& item : communicators_) {
    const Communicator& communicator = *item.second;
    item.second->for_each_channel([&](Channel& channel) {
      const std::uint64_t sent = channel.wire_sent();
      channel.old_taken = channel.wire_received();
      channel.sent_before = channel.sent;
      channel.received_before = channel.received;
      channel.ahead = 0;
      const bool to_self = channel.world_rank == world_rank_;
      channel.old_expected = to_self && !rule_removed(Rule::m7_self) ? sent : 0;
      if (sent > 0 && !to_self) {
        markers[channel.world_rank].push_back({communicator.id, sent});
        told_.insert(channel.world_rank);
      }
    });
  }
  colour_ ^= 1;
  ++generation_;

  // M1: the newest first, else a message may match a newer receive behind an older one's back.
  const bool newest_first = !rule_removed(Rule::m1_newest_first);
  std::sort(pending.begin(), pending.end(), [&](const Receive* a, const Receive* b) {
    return newest_first ? a->stamp > b->stamp : a->stamp < b->stamp;
  });
  for (Receive* receive : pending) {
    if (receive->counted) {  // taken off MPI earlier, and still not seen by the program (C2)
      note(*receive);
      continue;
    }
    int source = MPI_PROC_NULL;
    switch (wire_.cancel(*receive, source)) {
      case Wire::Outcome::cancelled:
        receive->state = Receive::State::held;
        receive->communicator->held.push_back(receive);
        break;
      case Wire::Outcome::matched:
        receive->counted = true;
        ++receive->communicator->channel(source).old_taken;
        note(*receive);
        break;
      case Wire::Outcome::under_way:
        under_way_.push_back(receive);
        note(*receive);
        break;
    }
  }
  if (newest_first) std::reverse(recorded_.begin(), recorded_.end());
  for (auto& [id, communicator] : communicators_) {
    if (newest_first) std::reverse(communicator->held.begin(), communicator->held.end());
    // What an earlier epoch has recorded and is still here is recorded again (C2).
    for (const auto& message : communicator->store) {
      if (!rule_removed(Rule::c2_again)) note(*communicator, message);
    }
  }
  return markers;
}

void Window::note(Communicator& communicator, const StoredMessage& message) {
  if (!recording_) return;
  const int source = communicator.channel(message.source).world_rank;
  recorded_.push_back(std::make_shared<RecordedMessage>(
      RecordedMessage{communicator.id, source, message.tag, message.payload}));
}

/// C2: matched, but not yet observed. What it has got is known when MPI is done with it.
void Window::note(Receive& receive) {
  if (!recording_ || rule_removed(Rule::c2_matched)) return;
  auto recorded = std::make_shared<RecordedMessage>();
  recorded->communicator = receive.communicator->id;
  recorded->payload = std::make_shared<Payload>();
  recorded->payload->awaited = true;
  recorded_.push_back(recorded);
  wire_.keep(receive, std::move(recorded));
}

std::vector<std::shared_ptr<RecordedMessage>> Window::take_recorded() {
  recording_ = false;
  return std::exchange(recorded_, {});
}

void Window::marker(int source_world_rank, const std::vector<SentCount>& counts) {
  announced_.insert(source_world_rank);
  for (const auto& count : counts) unresolved_.push_back({source_world_rank, count});
  resolve_markers();
}

void Window::resolve_markers() {
  std::erase_if(unresolved_, [&](const UnresolvedMarker& marker) {
    const auto found = communicators_.find(marker.count.communicator);
    if (found == communicators_.end()) return false;
    Communicator& communicator = *found->second;
    // What was sent on a communicator that is gone from here was received before it went.
    if (communicator.freed) return true;
    const int peer = communicator.rank_of_world(marker.source_world_rank);
    communicator.channel(peer).old_expected = marker.count.messages;
    return true;
  });
}

bool Window::unannounced(int world_rank) {
  return open_ && !markers_over_ && told_.insert(world_rank).second;
}

/// M7.
bool Window::complete(const Channel& channel) const {
  if (!open_) return true;
  const bool known = markers_over_ || announced_.contains(channel.world_rank);
  if (!known && !rule_removed(Rule::m3_unknown)) return false;
  return channel.old_taken == channel.old_expected || rule_removed(Rule::m7_count);
}

bool Window::all_complete(Communicator& communicator) const {
  if (!open_) return true;
  // Before, a source that has sent no marker is unknown, not silent (M3).
  if (!markers_over_ && !rule_removed(Rule::m3_unknown)) return false;
  if (communicator.freed || rule_removed(Rule::m7_count)) return true;
  bool complete_so_far = true;
  communicator.for_each_channel([&](const Channel& channel) {
    complete_so_far = complete_so_far && channel.old_taken == channel.old_expected;
  });
  return complete_so_far;
}

/// M2.
bool Window::may_post(const Receive& receive) const {
  Communicator& communicator = *receive.communicator;
  const bool sources_complete = receive.peer == MPI_ANY_SOURCE
                                    ? all_complete(communicator)
                                    : complete(communicator.channel(receive.peer));
  if (!sources_complete && !rule_removed(Rule::m2_complete)) return false;
  for (const Receive* earlier : communicator.held) {
    if (earlier == &receive) break;
    if (overlaps(*earlier, receive) && !rule_removed(Rule::m2_overlap)) return false;
  }
  return true;
}

void Window::post(Receive& receive) {
  Communicator& communicator = *receive.communicator;
  if (!communicator.store.empty()) {
    const auto stored = find_stored(communicator, receive.peer, receive.tag);
    if (stored != communicator.store.end()) {
      give(receive, take_stored(communicator, stored));
      return;
    }
  }
  if (!open_ || may_post(receive)) {
    wire_.post(receive, colour_);
  } else {
    receive.state = Receive::State::held;
    communicator.held.push_back(&receive);
  }
}

/// Its message was counted on the wire before, or belongs to the interval before the cut.
void Window::received_early(Receive& receive, Channel& channel) {
  if (!rule_removed(Rule::c1_once)) --channel.ahead;
  if (receive.counted) return;
  ++channel.old_taken;
  std::erase(under_way_, &receive);
}

void Window::withdraw(Receive& receive) { std::erase(receive.communicator->held, &receive); }

void Window::store(Communicator& communicator, StoredMessage&& message) {
  ++stored_messages_;
  stored_bytes_ += message.payload->bytes.size();
  communicator.store.push_back(std::move(message));
}

StoredMessage Window::take_stored(Communicator& communicator,
                                  std::list<StoredMessage>::iterator which) {
  StoredMessage message = std::move(*which);
  --stored_messages_;
  stored_bytes_ -= message.payload->bytes.size();
  communicator.store.erase(which);
  return message;
}

void Window::give(Receive& receive, StoredMessage&& message) {
  receive.counted = true;
  wire_.deliver(receive, std::move(message));
}

/// A message that Cairn has taken off MPI: to the first held receive that accepts it, or stored.
void Window::offer(Communicator& communicator, StoredMessage&& message) {
  ++pulled_;
  auto& held = communicator.held;
  const auto first = std::find_if(held.begin(), held.end(), [&](const Receive* receive) {
    return accepts(receive->peer, receive->tag, message.source, message.tag);
  });
  if (first == held.end()) {
    store(communicator, std::move(message));
    return;
  }
  Receive& receive = **first;
  held.erase(first);
  give(receive, std::move(message));
}

void Window::pull_late(Communicator& communicator) {
  // M8: peers may soon use that colour again.
  const bool drained = markers_over_ && all_complete(communicator);
  if (communicator.freed || (drained && !rule_removed(Rule::m8_stop))) return;
  StoredMessage message;
  while (wire_.pull(communicator, colour_ ^ 1, message)) {
    ++communicator.channel(message.source).old_taken;
    ++late_messages_;
    note(communicator, message);
    offer(communicator, std::move(message));
    message = {};
  }
}

void Window::pull_current(std::size_t limit_bytes) {
  for (auto& [id, communicator] : communicators_) {
    StoredMessage message;
    while (!communicator->freed && stored_bytes_ < limit_bytes &&
           wire_.pull(*communicator, colour_, message)) {
      ++communicator->channel(message.source).ahead;
      offer(*communicator, std::move(message));
      message = {};
    }
  }
}

/// A message of the new colour from a complete source.
bool Window::find_new(Communicator& communicator, int source, int tag, Envelope& found) {
  if (rule_removed(Rule::m5_complete)) {
    return wire_.probe(communicator, colour_, source, tag, found);
  }
  if (source != MPI_ANY_SOURCE) {
    return complete(communicator.channel(source)) &&
           wire_.probe(communicator, colour_, source, tag, found);
  }
  if (!wire_.probe(communicator, colour_, MPI_ANY_SOURCE, tag, found)) return false;
  if (complete(communicator.channel(found.source))) return true;
  // The first to arrive may not be received yet; another source's may.
  bool hit = false;
  communicator.for_each_channel([&](const Channel& channel) {
    hit =
        hit || (complete(channel) && wire_.probe(communicator, colour_, channel.peer, tag, found));
  });
  return hit;
}

/// M5. Finds a message that some held receive accepts, and gives it to the first that does: one may
/// have arrived after that one's turn. Each time the receive is an earlier one, so this ends.
bool Window::match_first(Communicator& communicator) {
  auto& held = communicator.held;
  for (auto receive = held.begin(); receive != held.end(); ++receive) {
    Envelope found;
    if (!find_new(communicator, (*receive)->peer, (*receive)->tag, found)) continue;
    for (auto earlier = held.begin(); earlier != receive; earlier = held.begin()) {
      earlier = std::find_if(held.begin(), receive, [&](const Receive* candidate) {
        return accepts(candidate->peer, candidate->tag, found.source, found.tag);
      });
      if (earlier == receive || rule_removed(Rule::m5_first)) break;
      receive = earlier;
      // Of what this source has sent, it is entitled to the first that it accepts.
      find_new(communicator, found.source, (*receive)->tag, found);
    }
    (*receive)->counted = true;
    ++communicator.channel(found.source).ahead;
    ++reposted_;
    wire_.take(**receive, colour_, found);
    held.erase(receive);
    return true;
  }
  return false;
}

void Window::match_new(Communicator& communicator) {
  while (!communicator.held.empty() && match_first(communicator)) {
  }
}

void Window::post_held(Communicator& communicator) {
  for (std::size_t i = 0; i < communicator.held.size();) {
    Receive& receive = *communicator.held[i];
    if (!may_post(receive)) {
      ++i;
      continue;
    }
    communicator.held.erase(communicator.held.begin() + static_cast<std::ptrdiff_t>(i));
    ++reposted_;
    wire_.post(receive, colour_);
  }
}

std::optional<Window::Found> Window::look(Communicator& communicator, int source, int tag) {
  while (true) {
    const auto stored = find_stored(communicator, source, tag);
    if (stored != communicator.store.end()) {
      return Found{stored, {stored->source, stored->tag}};
    }
    Found found{communicator.store.end(), {}};
    if (!open_) {
      if (!wire_.probe(communicator, colour_, source, tag, found.envelope)) return std::nullopt;
      return found;
    }
    if (!find_new(communicator, source, tag, found.envelope)) return std::nullopt;
    // M6: an earlier receive has a right to it.
    const bool claimed = std::any_of(
        communicator.held.begin(), communicator.held.end(), [&](const Receive* receive) {
          return accepts(receive->peer, receive->tag, found.envelope.source, found.envelope.tag);
        });
    if (!claimed || rule_removed(Rule::m6_claimed)) return found;
    if (!match_first(communicator)) return std::nullopt;
  }
}

bool Window::closable() const {
  if (!markers_over_ || !unresolved_.empty() || !under_way_.empty()) return false;
  return std::all_of(communicators_.begin(), communicators_.end(), [&](const auto& item) {
    return item.second->held.empty() && all_complete(*item.second);
  });
}

bool Window::advance() {
  if (!open_ && !rule_removed(Rule::m8_stop)) return true;
  ++generation_;
  std::erase_if(under_way_, [&](Receive* receive) {
    int source = MPI_PROC_NULL;
    if (!wire_.resolved(*receive, source)) return false;
    receive->counted = true;
    ++receive->communicator->channel(source).old_taken;
    return true;
  });
  for (auto& [id, communicator] : communicators_) {
    pull_late(*communicator);
    match_new(*communicator);
    post_held(*communicator);
  }
  if (closable()) open_ = false;
  return !open_;
}

}  // namespace cairn::mpi
