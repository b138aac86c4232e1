#include "runtime/protocol/aligned_cut.hpp"

#include <algorithm>

namespace cairn::protocol {
namespace {

constexpr std::uint64_t max_slack = 1U << 20U;
/// After so many cuts in a row that nobody missed, less slack is tried.
constexpr int hits_to_trust = 16;

}  // namespace

AlignedCut::AlignedCut(Transport& transport, AlignedCutSettings settings)
    : transport_(transport), settings_(settings), slack_(settings.slack) {
  next_wish_ = transport_.now() + settings_.wish_period_seconds;
}

AlignedCut::Action AlignedCut::action() const {
  if (phase_ != Phase::cut || index_ < target_) return Action::none;
  return at_safe_point_ && index_ == target_ ? Action::cut : Action::missed;
}

AlignedCut::Action AlignedCut::arrive(std::uint64_t index) {
  at_safe_point_ = true;
  index_ = index;
  return action();
}

AlignedCut::Action AlignedCut::poll(bool wish) {
  while (step(wish)) {
  }
  // A rank in MPI_Finalize comes to no safe point any more.
  if (phase_ == Phase::cut && leaving_) return Action::missed;
  return action();
}

/// One transition, if one is possible.
bool AlignedCut::step(bool wish) {
  if (stopped_ || phase_ == Phase::cut || phase_ == Phase::taken) return false;
  if (!joined_ && !contribute(wish)) return false;
  const auto result = transport_.finish_round();
  if (!result) return false;
  joined_ = false;
  finish(*result);
  return true;
}

bool AlignedCut::contribute(bool wish) {
  Round round;
  if (phase_ == Phase::wish) {
    const bool periodic = settings_.wish_period_seconds > 0;
    // Others that insist on another kind of checkpoint may be waiting for this round to be over.
    const bool due = periodic && (!hold_told_ || transport_.now() >= next_wish_);
    if (!due && !leaving_) return false;
    round.wishes = wish ? 1 : 0;
    wished_at_ = index_;
  } else {
    // The answer to the wish took that many safe points; the next one will take about as many.
    round.bound = index_ + std::max(slack_, 2 * (index_ - wished_at_) + 1);
    wished_at_ = index_;
  }
  hold_told_ = true;
  round.leaving = leaving_ ? 1 : 0;
  round.held = held_ ? 1 : 0;
  transport_.start_round(round);
  joined_ = true;
  joined_held_ = held_ || leaving_;
  return true;
}

void AlignedCut::finish(const Round& result) {
  const bool forbidden = result.held + result.leaving > 0;
  if (phase_ == Phase::wish) {
    next_wish_ = transport_.now() + settings_.wish_period_seconds;
    stopped_ = result.leaving == static_cast<std::uint64_t>(transport_.size());
    if (result.wishes > 0 && !forbidden) phase_ = Phase::index;
  } else {
    target_ = result.bound;
    phase_ = taken_ahead_ ? Phase::taken : forbidden ? Phase::wish : Phase::cut;
    taken_ahead_ = false;
  }
}

void AlignedCut::finished(bool missed, bool again) {
  if (missed) {
    slack_ = std::min(2 * slack_, max_slack);
    hits_ = 0;
  } else if (++hits_ >= hits_to_trust) {
    slack_ = std::max(settings_.slack, slack_ / 2);
    hits_ = 0;
  }
  phase_ = again ? Phase::index : Phase::wish;
  if (!again) next_wish_ = transport_.now() + settings_.wish_period_seconds;
}

}  // namespace cairn::protocol
