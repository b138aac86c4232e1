#include "runtime/protocol/global_snapshot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/checksum.hpp"
#include "base/rules.hpp"

namespace cairn::protocol {

using Action = AlignedCut::Action;

GlobalSnapshot::GlobalSnapshot(Transport& wishes, Transport& epochs, Transport& leaving,
                               Channels& channels, SnapshotOwner& owner, SnapshotSettings settings)
    : transport_(epochs),
      owner_(owner),
      settings_(settings),
      aligned_(wishes, {settings.marker_cut ? 0 : settings.wish_period_seconds, 1}),
      epochs_(epochs, leaving, channels, *this) {}

void GlobalSnapshot::pass_safe_point(std::uint64_t index, bool cut_here) {
  index_ = index;
  at_safe_point_ = true;
  if (cut_here && std::exchange(cut_ahead_, false)) cut_here = false;
  if (settings_.marker_cut) {
    if (epochs_.may_begin() && over() && (cut_here || owner_.wishes())) cut({});
  } else if (cut_here) {
    aligned_.arrive(index);
    cut({});
  } else {
    act(aligned_.arrive(index));
  }
  // Safe points may be microseconds apart. Who is idle can only miss that others, which have agreed
  // with nobody, have begun an epoch.
  if (settings_.marker_cut || !idle() || index % 16 == 0) {
    poll();
  } else {
    act(aligned_.poll(owner_.wishes()));
  }
  aligned_.depart();
  at_safe_point_ = false;
}

void GlobalSnapshot::poll() {
  act(aligned_.poll(!settings_.marker_cut && owner_.wishes()));
  if (closed_ && aligned_.target()) act(Action::missed);
  if (settings_.marker_cut && epochs_.may_begin() && over() && may_cut_in_region() &&
      owner_.wishes()) {
    cut({});
  }
  epochs_.poll();
  poll_write();
  lose_patience();
  poll_leaving();
}

/// I9. Time that this rank itself was away from MPI is not spent waiting for others.
void GlobalSnapshot::lose_patience() {
  if (!epochs_.open() || aborted_) return;
  const double now = transport_.now();
  const double away = now - std::exchange(polled_at_, now);
  if (away > settings_.patience_seconds / 4) waited_since_ += away;
  if (now - waited_since_ < settings_.patience_seconds) return;
  aborted_ = true;
  epochs_.abort();
}

/// All have agreed on the cut after the last epoch was over, here too.
void GlobalSnapshot::act(Action action) {
  if (action == Action::none) return;
  if (action == Action::cut) {
    cut({});
  } else {
    missed_ = true;
    if (closed_) {
      cut({Code::busy, "the program is in MPI_Finalize"});
      return;
    }
    cut({Code::busy, fmt::format("safe point {}, where the cut was to be, had been passed",
                                 aligned_.target().value_or(0))});
  }
}

/// An epoch that this rank does not come to by itself.
void GlobalSnapshot::heard() {
  if (writing_) return;  // the one before is not over here
  if (epochs_.aborted()) {
    note_cut_ahead();
    cut({Code::busy, "the cut was not reached in time"});
  } else if (closed_) {
    cut({Code::busy, "the program is in MPI_Finalize"});
  } else if (settings_.marker_cut && (at_safe_point_ || may_cut_in_region())) {
    cut({});
  } else if (hopeless()) {
    hopeless_ = true;
    note_cut_ahead();
    cut({Code::busy, fmt::format("{} waits for a message that is sent after the sender's cut",
                                 owner_.present_call())});
  }
}

/// The others have cut where all know to cut, and this rank has not come there yet.
void GlobalSnapshot::note_cut_ahead() {
  cut_ahead_ = !settings_.marker_cut && !aligned_.target() && !aligned_.answer_is_due();
}

bool GlobalSnapshot::may_cut_in_region() const {
  return regions_ > 0 && owner_.in_repeatable_call() && owner_.ready();
}

/// E6: this rank can't come to its cut, since what it waits for is held back until it has cut.
bool GlobalSnapshot::hopeless() {
  if (epochs_.early_markers().empty()) return false;
  const auto awaited = owner_.awaited_channels();
  const auto never_comes = [&](const AwaitedChannel& one) {
    for (const auto& marker : epochs_.early_markers()) {
      if (marker.peer != one.source) continue;
      std::uint64_t sent = 0;
      for (const auto& count : marker.counts) {
        if (count.communicator == one.communicator) sent = count.messages;
      }
      return sent < one.wire_received + one.needed;
    }
    return false;
  };
  return std::any_of(awaited.begin(), awaited.end(), never_comes);
}

void GlobalSnapshot::cut(Status why_not) {
  waited_since_ = polled_at_ = transport_.now();
  written_ = aborted_ = no_memory_ = false;
  if (why_not && !owner_.ready()) why_not = {Code::busy, owner_.reason()};
  owner_.capture(why_not, no_memory_);
  collectives_ = owner_.collective_fingerprint();
  program_ = mix(owner_.program_fingerprint(), settings_.marker_cut ? 0 : index_);
  epochs_.cut(why_not.ok());
  writing_ = true;
  owner_.begin(why_not);
  why_not_ = std::move(why_not);
  aligned_.taken();
}

/// A number that adds up to 0 over all ranks when all contribute the same value.
std::uint64_t GlobalSnapshot::spread(std::uint64_t value) const {
  const auto others = static_cast<std::uint64_t>(transport_.size() - 1);
  return transport_.rank() == 0 ? others * value : -value;
}

Round GlobalSnapshot::vote() {
  const bool given_up = aborted_ || epochs_.aborting();
  Round vote;
  if (why_not_ && !given_up) {
    vote.ready = 1;
  } else if (no_memory_) {
    vote.memory = 1;
  } else if (missed_) {
    vote.missed = 1;
  } else if (!why_not_ && why_not_.code() == Code::busy && !closed_ && !hopeless_ && !given_up) {
    vote.put_off = 1;
  } else {
    vote.gone = 1;
  }
  vote.collectives = collectives_;
  vote.program = spread(program_);
  owner_.report(vote);
  return vote;
}

/// The same on every rank.
Status GlobalSnapshot::judge(const Round& votes) const {
  const auto size = static_cast<std::uint64_t>(transport_.size());
  if (rule_removed(Rule::e5_vote) && epochs_.aborting()) {
    return {Code::busy, "an abort has been heard of"};
  }
  if (votes.ready < size && !rule_removed(Rule::e5_all)) {
    return {Code::busy,
            fmt::format("{} of {} ranks did not come to the cut within {} s (CAIRN_PATIENCE), or "
                        "were in MPI_Finalize",
                        size - votes.ready, size, settings_.patience_seconds)};
  }
  if (votes.collectives != 0 && !rule_removed(Rule::e4_collectives)) {
    return {Code::invalid_argument,
            fmt::format("a collective call crosses the cut at safe point {}: the ranks have made "
                        "different numbers of them; put the safe point where all ranks are between "
                        "the same two collectives",
                        index_)};
  }
  if (votes.program != 0) {
    return {Code::invalid_argument,
            "the ranks do not protect the same names, or have passed different numbers of safe "
            "points"};
  }
  return {};
}

void GlobalSnapshot::closed(const Round& votes) {
  votes_ = votes;
  owner_.finish(votes, judge(votes));
}

void GlobalSnapshot::poll_write() {
  if (!writing_) return;
  written_ = written_ || owner_.written(outcome_);
  if (!written_ || epochs_.open()) return;
  writing_ = missed_ = hopeless_ = false;
  EpochOutcome outcome;
  outcome.memory = !outcome_ && votes_.memory > 0;
  outcome.passing =
      !outcome_ && !outcome.memory && votes_.gone == 0 && votes_.put_off + votes_.missed > 0;
  outcome.missed = outcome.passing && votes_.put_off == 0;
  outcome.status = std::move(outcome_);
  // With the marker cut there is no round for it: who wishes it cuts again.
  const bool again = owner_.over(outcome) && !settings_.marker_cut;
  aligned_.finished(votes_.missed > 0, again);
}

void GlobalSnapshot::leave() {
  closed_ = true;
  leaving_ = Leaving::finishing;
}

void GlobalSnapshot::poll_leaving() {
  // Not in the middle of an epoch: it may end with all trying again, which is another round.
  if (leaving_ == Leaving::finishing && over()) {
    aligned_.leave();
    leaving_ = Leaving::gathering;
  }
  if (leaving_ == Leaving::gathering && aligned_.stopped() && over()) {
    epochs_.leave();
    leaving_ = Leaving::gone;
  }
}

}  // namespace cairn::protocol
