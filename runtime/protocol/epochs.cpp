#include "runtime/protocol/epochs.hpp"

#include <algorithm>
#include <utility>

#include "base/rules.hpp"

namespace cairn::protocol {

/// E1. The own window is not enough.
bool Epochs::may_cut() const {
  return closed_ == epoch_ || (voted_ && rule_removed(Rule::e1_closed));
}

void Epochs::cut(bool record) {
  ++epoch_;
  heard_ = std::max(heard_, epoch_);
  voted_ = false;
  drain_.start(epoch_, record);
  flood(told_, epoch_, false);
  for (const Marker& marker : std::exchange(early_, {})) take_in(marker);
}

/// Once per epoch.
void Epochs::flood(std::uint64_t& told, std::uint64_t epoch, bool abort) {
  if (told >= epoch || rule_removed(Rule::e2_flood)) return;
  told = epoch;
  const int rank = transport_.rank();
  for (const int neighbour : {(rank - 1) / 2, 2 * rank + 1, 2 * rank + 2}) {
    if (neighbour == rank || neighbour >= transport_.size()) continue;
    const auto kind = abort ? Marker::Kind::abort : Marker::Kind::announcement;
    transport_.send_marker({neighbour, epoch, {}, kind});
  }
}

void Epochs::abort() {
  if (!open()) return;
  aborted_ = epoch_;
  flood(told_abort_, epoch_, true);
}

void Epochs::take_in(const Marker& marker) {
  if (marker.kind == Marker::Kind::abort) {
    aborted_ = std::max(aborted_, marker.epoch);
    // When it is closed here, all have voted. Who is leaving must not begin to talk again.
    if (marker.epoch > closed_) flood(told_abort_, marker.epoch, true);
  }
  if (marker.kind != Marker::Kind::counts) return;
  if (marker.epoch > epoch_) {
    early_.push_back(marker);
  } else if (marker.epoch == epoch_) {
    drain_.take_in(marker);
  }
  // An older one is a zero marker that came after all windows were closed.
}

void Epochs::receive() {
  while (auto marker = transport_.receive_marker()) {
    heard_ = std::max(heard_, marker->epoch);
    flood(told_, heard_, false);
    take_in(*marker);
  }
}

void Epochs::announce_to(int peer) {
  transport_.send_marker({peer, epoch_, {}, Marker::Kind::counts});
}

void Epochs::poll_window() {
  const bool drained = drain_.poll([&] { receive(); });
  if (drained && !voted_) {
    transport_.start_round(owner_.vote());
    voted_ = true;
  }
  if (!voted_) return;
  const auto votes = transport_.finish_round();
  if (!votes) return;
  closed_ = epoch_;
  owner_.closed(*votes);
}

void Epochs::poll() {
  receive();
  if (may_cut() && heard_ > epoch_) owner_.heard();
  if (open()) poll_window();
  if (phase_ != Leaving::no) poll_leaving();
}

void Epochs::leave() {
  phase_ = Leaving::gathering;
  leaving_.start_round({});
}

void Epochs::poll_leaving() {
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
