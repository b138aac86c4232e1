#include "runtime/protocol/uncaptured.hpp"

#include <algorithm>
#include <utility>

#include "base/rules.hpp"

namespace cairn::protocol {

/// E1. The own window is not enough.
bool UncapturedEpochs::may_cut() const {
  return closed_ == epoch_ || (closing_ && rule_removed(Rule::e1_closed));
}

void UncapturedEpochs::start() {
  heard_ = epoch_ + 1;
  cut();
}

void UncapturedEpochs::cut() {
  ++epoch_;
  barrier_started_ = false;
  markers_over_ = false;
  closing_ = false;
  std::vector<Marker> markers = channels_.flip();
  for (Marker& marker : markers) {
    marker.epoch = epoch_;
    transport_.send_marker(marker);
  }
  const int rank = transport_.rank();
  for (const int neighbour : {(rank - 1) / 2, 2 * rank + 1, 2 * rank + 2}) {
    if (neighbour == rank || neighbour >= transport_.size()) continue;
    if (rank == 0 && neighbour == 0) continue;
    if (rule_removed(Rule::e2_flood)) continue;
    transport_.send_marker({neighbour, epoch_, {}, true});
  }
  for (const Marker& marker : std::exchange(early_, {})) take_in(marker);
}

void UncapturedEpochs::take_in(const Marker& marker) {
  if (marker.announcement) return;
  if (marker.epoch > epoch_) {
    early_.push_back(marker);
  } else if (marker.epoch == epoch_) {
    channels_.expect(marker);
  }
  // An older one is a zero marker that came after all windows were closed.
}

void UncapturedEpochs::receive() {
  while (auto marker = transport_.receive_marker()) {
    heard_ = std::max(heard_, marker->epoch);
    take_in(*marker);
  }
}

void UncapturedEpochs::announce_to(int peer) { transport_.send_marker({peer, epoch_, {}, false}); }

void UncapturedEpochs::poll_window() {
  if (!markers_over_) {
    // The barrier is looked at first: when it is done, all markers are here to be received.
    const bool over = barrier_started_ && transport_.barrier_done();
    receive();
    if (!barrier_started_ && transport_.markers_received()) {
      transport_.start_barrier();
      barrier_started_ = true;
    }
    markers_over_ = over;
    if (over) channels_.no_more_markers();
  }
  channels_.pull_late();
  if (!closing_ && markers_over_ && channels_.drained()) {
    transport_.start_round({});
    closing_ = true;
  }
  if (closing_ && transport_.finish_round()) closed_ = epoch_;
}

void UncapturedEpochs::poll() {
  receive();
  if (may_cut() && heard_ > epoch_) cut();
  if (closed_ < epoch_) poll_window();
  if (leaving_begun_) poll_leaving();
}

void UncapturedEpochs::leave() {
  leaving_begun_ = true;
  phase_ = Leaving::gathering;
  leaving_.start_round({});
}

void UncapturedEpochs::poll_leaving() {
  if (phase_ == Leaving::settling) {
    if (closed_ < last_epoch_ || !transport_.markers_received()) return;
    leaving_.start_round({});
    phase_ = Leaving::quieting;
  }
  if (phase_ == Leaving::gone) return;
  const auto round = leaving_.finish_round();
  if (!round) return;
  if (phase_ == Leaving::gathering) {
    // Nobody starts an epoch any more, so the newest that anybody has heard of is the last.
    Round newest;
    newest.bound = heard_;
    leaving_.start_round(newest);
    phase_ = Leaving::counting;
  } else if (phase_ == Leaving::counting) {
    last_epoch_ = round->bound;
    phase_ = Leaving::settling;
  } else {
    phase_ = Leaving::gone;
  }
}

}  // namespace cairn::protocol
