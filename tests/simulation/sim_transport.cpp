#include "tests/simulation/sim_transport.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace cairn::simulation {

using protocol::Marker;
using protocol::Round;

Rounds::Rounds(Kernel& kernel, Pace pace, int ranks, bool weak, bool early)
    : kernel_(kernel),
      pace_(pace),
      ranks_(ranks),
      weak_(weak),
      early_(early),
      joined_(static_cast<std::size_t>(ranks)),
      finished_(static_cast<std::size_t>(ranks)) {}

void Rounds::join(int rank, const Round& contribution) {
  const std::size_t number = joined_.at(static_cast<std::size_t>(rank))++;
  if (number == operations_.size()) {
    operations_.emplace_back().done_at.assign(static_cast<std::size_t>(ranks_), -1);
  }
  Operation& operation = operations_.at(number);
  if (operation.joined++ == 0) {
    operation.sum = contribution;
  } else {
    operation.sum.combine(contribution);
  }
  if (early_ && kernel_.random.chance(0.3)) {
    operation.done_at.at(static_cast<std::size_t>(rank)) = kernel_.now();
  }
  touch(rank, (inside_ >> static_cast<unsigned>(rank) & 1U) != 0);
}

void Rounds::touch(int rank, bool inside) {
  const std::uint32_t bit = 1U << static_cast<unsigned>(rank);
  inside_ = inside ? inside_ | bit : inside_ & ~bit;
  for (std::size_t i = first_open_; i < operations_.size(); ++i) {
    Operation& operation = operations_[i];
    if (operation.joined < ranks_ || operation.complete) continue;
    operation.touched |= bit | inside_;
    progress(i);
  }
  while (first_open_ < operations_.size() && operations_[first_open_].complete) ++first_open_;
}

void Rounds::progress(std::size_t number) {
  Operation& operation = operations_[number];
  if (weak_ && operation.touched != (1U << static_cast<unsigned>(ranks_)) - 1) return;
  operation.complete = true;
  for (int rank = 0; rank < ranks_; ++rank) {
    double& done = operation.done_at.at(static_cast<std::size_t>(rank));
    if (done >= 0) continue;
    done = kernel_.now() + kernel_.random.delay(pace_.control);
  }
}

std::optional<Round> Rounds::finish(int rank) {
  touch(rank);
  std::size_t& next = finished_.at(static_cast<std::size_t>(rank));
  if (next == joined_.at(static_cast<std::size_t>(rank))) return std::nullopt;
  const Operation& operation = operations_.at(next);
  const double done = operation.done_at.at(static_cast<std::size_t>(rank));
  if (done < 0 || kernel_.now() < done) return std::nullopt;
  ++next;
  return operation.sum;
}

void SimTransport::start_round(const Round& contribution) {
  if (network_.kernel.trace) {
    const Round& r = contribution;
    std::printf(
        "%10.4f  rank %d  joins a round: wishes %d, leaving %d, ready %d, put off %d, gone %d, "
        "bound %d, pinned %d\n",
        network_.kernel.now(), rank_, static_cast<int>(r.wishes), static_cast<int>(r.leaving),
        static_cast<int>(r.ready), static_cast<int>(r.put_off), static_cast<int>(r.gone),
        static_cast<int>(r.bound), static_cast<int>(r.pinned));
  }
  network_.rounds.join(rank_, contribution);
}

std::optional<Round> SimTransport::finish_round() {
  network_.barriers.touch(rank_);
  const auto result = network_.rounds.finish(rank_);
  if (result && result->wishes > 0) wish_seen = true;
  return result;
}

void SimTransport::send_marker(const Marker& marker) {
  MarkerPost::Sent& sent = network_.markers.sent.emplace_back();
  sent.source = rank_;
  sent.destination = marker.peer;
  sent.arrives_at = network_.kernel.now() + network_.kernel.random.delay(network_.pace.control);
  sent.marker = marker;
  sent.marker.peer = rank_;
}

bool SimTransport::markers_received() {
  const double now = network_.kernel.now();
  auto& all = network_.markers.sent;
  for (auto sent = all.begin(); sent != all.end();) {
    if (sent->source != rank_) {
      ++sent;
      continue;
    }
    if (!sent->received || now < sent->acknowledged_at) return false;
    sent = all.erase(sent);
  }
  return true;
}

std::optional<Marker> SimTransport::receive_marker() {
  const double now = network_.kernel.now();
  for (auto& sent : network_.markers.sent) {
    if (sent.destination != rank_ || sent.received || now < sent.arrives_at) continue;
    sent.received = true;
    sent.acknowledged_at = now + network_.kernel.random.delay(network_.pace.control);
    return sent.marker;
  }
  return std::nullopt;
}

void SimTransport::start_barrier() {
  barrier_done_ = false;
  network_.barriers.join(rank_, {});
}

bool SimTransport::barrier_done() {
  if (!barrier_done_ && network_.barriers.finish(rank_)) barrier_done_ = true;
  return barrier_done_;
}

void SimChannels::pull(int colour, std::size_t limit) {
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    const int communicator = static_cast<int>(i);
    while (stored() < limit) {
      Message* message = network_.take(rank_, communicator, colour);
      if (message == nullptr) break;
      Channel& from = channel(communicator, message->source);
      ++(colour == colour_ ? from.wire_received : from.old_wire_received);
      stores_[i].push_back(message);
    }
  }
}

std::vector<Marker> SimChannels::flip(bool /*record*/) {
  std::vector<Marker> markers(static_cast<std::size_t>(size_));
  bool lose = defect == Defect::count_lost;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    Channel& channel = channels_[i];
    const auto peer = i % static_cast<std::size_t>(size_);
    std::uint64_t sent = std::exchange(channel.wire_sent, 0);
    channel.old_wire_received = std::exchange(channel.wire_received, 0);
    const bool to_self = static_cast<int>(peer) == rank_;
    channel.old_wire_expected = to_self ? sent : 0;
    if (sent == 0 || to_self) continue;
    if (std::exchange(lose, false)) --sent;
    markers[peer].counts.push_back({i / static_cast<std::size_t>(size_), sent});
  }
  if (defect != Defect::colour_kept) colour_ ^= 1;
  std::vector<Marker> sparse;
  for (std::size_t peer = 0; peer < markers.size(); ++peer) {
    if (markers[peer].counts.empty()) continue;
    markers[peer].peer = static_cast<int>(peer);
    sparse.push_back(markers[peer]);
  }
  return sparse;
}

bool SimChannels::expect(const Marker& marker) {
  for (const auto& count : marker.counts) {
    channel(static_cast<int>(count.communicator), marker.peer).old_wire_expected = count.messages;
  }
  return true;
}

bool SimChannels::drained() {
  if (defect == Defect::drain_not_awaited) return true;
  return std::all_of(channels_.begin(), channels_.end(), [](const Channel& channel) {
    return channel.old_wire_received == channel.old_wire_expected;
  });
}

Message* SimChannels::take_stored(int communicator, int source, int tag) {
  auto& store = stores_.at(static_cast<std::size_t>(communicator));
  const auto wanted = [&](Message* stored) { return matches(source, tag, *stored); };
  auto found = std::find_if(store.begin(), store.end(), wanted);
  if (found == store.end()) return nullptr;
  if (defect == Defect::store_reversed) {
    found = std::prev(std::find_if(store.rbegin(), store.rend(), wanted).base());
  }
  Message* message = *found;
  store.erase(found);
  return message;
}

void SimChannels::count_sent(const Message& message) {
  Channel& to = channel(message.communicator, message.destination);
  ++to.sent;
  ++to.wire_sent;
}

void SimChannels::count_received(const Message& message) {
  Channel& from = channel(message.communicator, message.source);
  ++from.received;
  ++(message.colour == colour_ ? from.wire_received : from.old_wire_received);
}

void SimChannels::count_delivered(const Message& message) {
  Channel& from = channel(message.communicator, message.source);
  ++from.received;
  if (defect == Defect::counted_twice) ++from.wire_received;
}

std::size_t SimChannels::stored() const {
  std::size_t count = 0;
  for (const auto& store : stores_) count += store.size();
  return count;
}

std::vector<SimChannels::Counts> SimChannels::counts() const {
  std::vector<Counts> counts;
  for (const auto& channel : channels_) counts.push_back({channel.sent, channel.received});
  return counts;
}

std::vector<Message*> SimChannels::messages() const {
  std::vector<Message*> all;
  for (const auto& store : stores_) all.insert(all.end(), store.begin(), store.end());
  return all;
}

void SimChannels::restore(const std::vector<Counts>& counts,
                          const std::vector<Message*>& messages) {
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    channels_[i].sent = counts[i].sent;
    channels_[i].received = counts[i].received;
  }
  for (Message* message : messages) {
    stores_.at(static_cast<std::size_t>(message->communicator)).push_back(message);
  }
}

}  // namespace cairn::simulation
