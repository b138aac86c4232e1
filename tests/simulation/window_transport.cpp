#include "tests/simulation/window_transport.hpp"

namespace cairn::window_simulation {

void ControlNetwork::join(Collective& collective) {
  world_.network.tick();
  collective.over.resize(static_cast<std::size_t>(ranks_));
  if (++collective.joined < ranks_) return;
  for (int rank = 0; rank < ranks_; ++rank) {
    world_.network.later(
        [&collective, rank] { collective.over[static_cast<std::size_t>(rank)] = true; },
        world_.random.pick({1.0, 0.3, 0.03}));
  }
}

void ControlNetwork::join_round(std::size_t n, const protocol::Round& contribution) {
  if (rounds_.size() <= n) rounds_.resize(n + 1);
  rounds_[n].result.combine(contribution);
  join(rounds_[n]);
}

void ControlNetwork::join_barrier(std::size_t n) {
  if (barriers_.size() <= n) barriers_.resize(n + 1);
  join(barriers_[n]);
}

void SimTransport::start_round(const protocol::Round& contribution) {
  world_.interleave();
  control_.join_round(rounds_started_++, contribution);
}

std::optional<protocol::Round> SimTransport::finish_round() {
  if (rounds_finished_ == rounds_started_) return std::nullopt;
  world_.interleave();
  const bool early = world_.settings.defect == Defect::closing_early;
  if (!early && !control_.round_over(rounds_finished_, rank_)) return std::nullopt;
  world_.network.tick();
  return control_.result(rounds_finished_++);
}

void SimTransport::send_marker(const protocol::Marker& marker) {
  world_.interleave();
  Message message;
  message.sender = rank_;
  message.receiver = marker.peer;
  message.context = control_.context;
  message.source = rank_;
  message.rendezvous = true;  // synchronous
  message.marker = marker;
  message.marker.peer = rank_;
  markers_.push_back(&world_.network.send(std::move(message)));
  world_.log(rank_, "{} of epoch {} to rank {}, {} counts",
             marker.kind == protocol::Marker::Kind::counts ? "marker" : "announcement",
             marker.epoch, marker.peer, marker.counts.size());
}

bool SimTransport::markers_received() {
  while (!markers_.empty()) {
    world_.interleave();
    if (!markers_.front()->sent) return false;
    markers_.pop_front();
  }
  return true;
}

std::optional<protocol::Marker> SimTransport::receive_marker() {
  world_.interleave();
  Message* message = world_.network.match(rank_, control_.context, MPI_ANY_SOURCE, MPI_ANY_TAG);
  if (message == nullptr) return std::nullopt;
  world_.network.later([message] { message->sent = true; });
  world_.log(rank_, "hears of epoch {} from rank {}", message->marker.epoch, message->sender);
  protocol::Marker marker = message->marker;
  const bool ignored = world_.settings.defect == Defect::epoch_ignored &&
                       marker.kind == protocol::Marker::Kind::counts;
  if (ignored) marker.epoch = epoch_expected();
  return marker;
}

void SimTransport::start_barrier() {
  world_.interleave();
  control_.join_barrier(barriers_++);
}

bool SimTransport::barrier_done() {
  world_.interleave();
  if (world_.settings.defect == Defect::barrier_early) return true;
  return barriers_ == 0 || control_.barrier_over(barriers_ - 1, rank_);
}

}  // namespace cairn::window_simulation
