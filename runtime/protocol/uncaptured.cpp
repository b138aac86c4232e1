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
  closing_ = false;
  drain_.start(epoch_);
  const int rank = transport_.rank();
  for (const int neighbour : {(rank - 1) / 2, 2 * rank + 1, 2 * rank + 2}) {
    if (neighbour == rank || neighbour >= transport_.size()) continue;
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
    drain_.take_in(marker);
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
  const bool drained = drain_.poll([&] { receive(); });
  if (drained && !closing_) {
    transport_.start_round({});
    closing_ = true;
  }
  if (closing_ && transport_.finish_round()) closed_ = epoch_;
}

void UncapturedEpochs::poll() {
  receive();
  if (may_cut() && heard_ > epoch_) cut();
  if (closed_ < epoch_) poll_window();
  if (phase_ != Leaving::no) poll_leaving();
}

void UncapturedEpochs::leave() {
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
