#include "runtime/protocol/agreement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/checksum.hpp"

namespace cairn::protocol {
namespace {

constexpr std::uint64_t max_slack = 1U << 20U;

}  // namespace

Agreement::Agreement(Transport& transport, Participant& participant, AgreementSettings settings)
    : transport_(transport),
      participant_(participant),
      settings_(settings),
      slack_(settings.slack) {
  next_wish_ = transport_.now() + settings_.wish_period_seconds;
}

void Agreement::arrive(std::uint64_t index, bool pin) {
  at_safe_point_ = true;
  index_ = index;
  if (pin) pin_ = index;
  // The clock is only read when there is something to wait for.
  if (pin || phase_ != Phase::wish) deadline_ = transport_.now() + settings_.patience_seconds;
}

void Agreement::depart() {
  at_safe_point_ = false;
  gave_up_ = false;
  pin_.reset();
}

bool Agreement::must_wait() const {
  if (!at_safe_point_ || verdict_ != Verdict::none) return false;
  // A pinned cut further on: the others go there, and so must this rank.
  const bool onward =
      target_pinned_ && index_ < target_ && (phase_ == Phase::confirm || phase_ == Phase::arrive);
  if (pin_) return !onward;
  if (left_early_ || (gave_up_ && phase_ != Phase::go)) return false;
  if (phase_ == Phase::go) return true;
  return (phase_ == Phase::confirm || phase_ == Phase::arrive) && index_ == target_;
}

Agreement::Verdict Agreement::poll() {
  while (step()) {
  }
  const bool at_bound = at_safe_point_ && phase_ == Phase::index && joined_ && index_ >= bound_;
  if (at_bound && !pin_ && !confirmed_early_) {
    Round round;
    round.missed = 1;
    join(round);
    confirmed_early_ = true;
  }
  // In phase go nobody may give up; it completes by itself.
  if (phase_ != Phase::go && must_wait() && transport_.now() > deadline_) give_up();
  return take_verdict();
}

Agreement::Verdict Agreement::take_verdict() { return std::exchange(verdict_, Verdict::none); }

/// One transition, if one is possible.
bool Agreement::step() {
  if (stopped_ || verdict_ != Verdict::none) return false;
  if (!joined_ && !contribute()) return false;
  const auto result = transport_.finish_round();
  if (!result) return false;
  finish(*result);
  return true;
}

void Agreement::join(const Round& round) { transport_.start_round(round); }

bool Agreement::contribute() {
  switch (phase_) {
    case Phase::wish: return contribute_wish();
    case Phase::index: contribute_index(); return true;
    case Phase::confirm: contribute_confirmation(); return true;
    case Phase::arrive: return contribute_arrival();
    case Phase::go: contribute_go(); return true;
  }
  return true;
}

bool Agreement::contribute_wish() {
  const bool pinned = at_safe_point_ && pin_;
  if (!pinned && !leaving_) {
    if (!at_safe_point_ || settings_.wish_period_seconds <= 0) return false;
    if (transport_.now() < next_wish_) return false;
  }
  Round round;
  round.wishes = pinned || participant_.wishes() ? 1 : 0;
  round.leaving = leaving_ ? 1 : 0;
  join(round);
  joined_ = true;
  return true;
}

void Agreement::contribute_index() {
  const bool pinned = at_safe_point_ && pin_;
  bound_ = pinned ? index_ : index_ + slack_;
  Round round;
  round.bound = bound_;
  round.pinned = pinned ? index_ + 1 : 0;
  join(round);
  joined_ = true;
}

void Agreement::contribute_confirmation() {
  const bool passed = index_ > target_ || (index_ == target_ && !at_safe_point_);
  Round round;
  round.gone = passed || leaving_ ? 1 : 0;
  round.superseded = at_safe_point_ && pin_ && index_ < target_ && !target_pinned_ ? 1 : 0;
  join(round);
  joined_ = true;
}

/// A number that adds up to 0 over all ranks when all contribute the same value.
std::uint64_t Agreement::spread(std::uint64_t value) const {
  const auto others = static_cast<std::uint64_t>(transport_.size() - 1);
  return transport_.rank() == 0 ? others * value : -value;
}

bool Agreement::contribute_arrival() {
  const bool here = at_safe_point_ && index_ == target_;
  const bool missed = index_ > target_ || (index_ == target_ && !at_safe_point_) || leaving_;
  const bool superseded = at_safe_point_ && pin_ && index_ < target_ && !target_pinned_;
  if (!here && !missed && !superseded) return false;
  Round round;
  arrival_ready_ = here && participant_.ready();
  round.ready = arrival_ready_ ? 1 : 0;
  round.put_off = here && !arrival_ready_ ? 1 : 0;
  round.gone = here || superseded ? 0 : 1;
  round.superseded = superseded ? 1 : 0;
  round.collectives = participant_.collective_fingerprint();
  round.program = spread(mix(participant_.program_fingerprint(), target_));
  join(round);
  joined_ = true;
  // A rank that does not wait here joins the next round at once, so that nobody waits for it there.
  if (!here) leave_early();
  return true;
}

/// All have arrived: joins with the promise to stay if all can be captured. This rank waits for the
/// result either way, since all decide alike from it what comes next.
void Agreement::contribute_go() {
  Round round;
  round.ready = arrival_.ready == static_cast<std::uint64_t>(transport_.size()) ? 1 : 0;
  join(round);
  joined_ = true;
}

/// Joins the go round before the arrive round is over: this rank will not be at the cut.
void Agreement::leave_early() {
  Round round;
  round.gone = 1;
  join(round);
  left_early_ = true;
}

void Agreement::finish(const Round& result) {
  joined_ = false;
  switch (phase_) {
    case Phase::wish: finish_wish(result); return;
    case Phase::index: finish_index(result); return;
    case Phase::confirm: finish_confirm(result); return;
    case Phase::arrive:
      arrival_ = result;
      if (arrival_.collectives != 0 || arrival_.program != 0) arrival_.ready = 0;
      phase_ = Phase::go;
      joined_ = left_early_;
      return;
    case Phase::go: finish_go(result); return;
  }
}

void Agreement::finish_wish(const Round& result) {
  next_wish_ = transport_.now() + settings_.wish_period_seconds;
  if (result.leaving == static_cast<std::uint64_t>(transport_.size())) {
    stopped_ = true;
  } else if (result.wishes > 0 && result.leaving == 0) {
    phase_ = Phase::index;
  } else if (result.wishes > 0) {
    refuse(false,
           fmt::format("{} of {} ranks are in MPI_Finalize", result.leaving, transport_.size()));
    pin_.reset();
  }
}

void Agreement::finish_index(const Round& result) {
  target_ = result.pinned > 0 ? result.pinned - 1 : result.bound;
  target_pinned_ = result.pinned > 0;
  if (!pin_) deadline_ = transport_.now() + settings_.patience_seconds;
  phase_ = Phase::confirm;
  joined_ = std::exchange(confirmed_early_, false);
}

void Agreement::finish_confirm(const Round& result) {
  phase_ = Phase::wish;
  if (result.gone > 0) {
    refuse(false, fmt::format("{} of {} ranks had passed safe point {}, where others want the "
                              "checkpoint, were in MPI_Finalize, or gave up waiting after {} s",
                              result.gone, transport_.size(), target_, settings_.patience_seconds));
  } else if (result.missed + result.superseded == 0) {
    phase_ = Phase::arrive;
  } else if (result.missed > 0) {
    slack_ = std::min(2 * slack_, max_slack);
  }
}

void Agreement::finish_go(const Round& result) {
  phase_ = Phase::wish;
  left_early_ = false;
  if (result.ready == static_cast<std::uint64_t>(transport_.size())) {
    slack_ = std::max(settings_.slack, slack_ / 2);
    verdict_ = Verdict::cut;
    return;
  }
  if (result.gone == arrival_.superseded && result.gone > 0) {
    // All try again, at the safe point that is insisted on.
  } else if (result.gone > 0) {
    refuse(false,
           fmt::format("{} of {} ranks did not reach safe point {}, or gave up waiting there "
                       "after {} s",
                       result.gone, transport_.size(), target_, settings_.patience_seconds));
  } else if (arrival_.put_off > 0) {
    refuse(true, "");
  } else if (arrival_.collectives != 0) {
    refuse(false, fmt::format("a collective call crosses safe point {}: the ranks have made "
                              "different numbers of them; put the safe point where all ranks are "
                              "between the same two collectives",
                              target_));
  } else {
    refuse(false, "the ranks do not protect the same names");
  }
}

void Agreement::refuse(bool retry, std::string why) {
  refusal_ = {retry, std::move(why)};
  verdict_ = Verdict::refused;
  // A rank that insists on a cut elsewhere goes on insisting: this attempt was another one.
  if (pin_ && *pin_ == target_) pin_.reset();
}

/// The patience at a safe point has run out: let the program go on.
void Agreement::give_up() {
  pin_.reset();
  gave_up_ = true;
  if (phase_ == Phase::arrive && joined_ && !left_early_) {
    leave_early();
  } else if (phase_ == Phase::index && !confirmed_early_) {
    Round round;
    round.gone = 1;
    join(round);
    confirmed_early_ = true;
  }
}

}  // namespace cairn::protocol
