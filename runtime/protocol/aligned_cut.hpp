// The aligned cut: all ranks cut at the same safe point, and none waits for it.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/protocol/transport.hpp"

namespace cairn::protocol {

struct AlignedCutSettings {
  double wish_period_seconds = 1;  ///< pause between two rounds that ask for wishes; 0: none
  std::uint64_t slack = 1;         ///< safe points between the index agreed and the cut, at first
};

/// Two rounds (non-blocking reductions), joined in any MPI call (E8) and never waited for:
///
///   wish   does any rank want a checkpoint?
///   index  how far is everybody? The cut is at the largest index plus slack.
///
/// A rank that learns of the cut when it has passed it has missed it: it cuts without capture
/// where it is, the epoch is aborted, and all try again with twice the slack.
class AlignedCut {
 public:
  AlignedCut(Transport& transport, AlignedCutSettings settings);

  /// What this rank has to do about the cut now.
  enum class Action { none, cut, missed };

  /// The program has reached safe point `index`, or left it.
  Action arrive(std::uint64_t index);
  void depart() { at_safe_point_ = false; }
  /// Makes what progress is possible. Call from every polled MPI call. `wish`: whether this rank
  /// wants a checkpoint by now.
  Action poll(bool wish);
  /// Whether the others may cut before this rank knows where.
  bool answer_is_due() const { return phase_ == Phase::index; }
  /// This rank has cut, here or elsewhere. Where, it may learn later: others have given it up.
  void taken() {
    if (phase_ == Phase::cut) phase_ = Phase::taken;
    taken_ahead_ = phase_ == Phase::index;
  }
  /// The epoch of the last cut is over; the same on all ranks. `again`: all try anew at once.
  void finished(bool missed, bool again);

  /// Contributions from now on forbid a cut, until release(): the program insists on a checkpoint
  /// of another kind. Settled: no earlier contribution of this rank can lead to a cut any more.
  void hold() {
    held_ = true;
    hold_told_ = false;
  }
  void release() { held_ = false; }
  bool settled() const {
    return (!joined_ || joined_held_) && (phase_ == Phase::wish || phase_ == Phase::index);
  }

  /// The safe point of a cut that this rank has yet to make.
  std::optional<std::uint64_t> target() const {
    return phase_ == Phase::cut ? std::optional{target_} : std::nullopt;
  }
  /// Whether no other rank can be waiting for this one to call poll().
  bool idle() const { return phase_ == Phase::wish && !joined_ && !leaving_; }

  /// The rank is in MPI_Finalize: it joins whatever others begin, and asks all to stop. Poll until
  /// stopped().
  void leave() { leaving_ = true; }
  bool stopped() const { return stopped_; }

 private:
  enum class Phase { wish, index, cut, taken };

  bool step(bool wish);
  bool contribute(bool wish);
  void finish(const Round& result);
  Action action() const;

  Transport& transport_;
  AlignedCutSettings settings_;
  Phase phase_ = Phase::wish;
  bool joined_ = false;       ///< this rank has joined the round of phase_
  bool joined_held_ = false;  ///< … with a contribution that forbids a cut
  bool taken_ahead_ = false;  ///< the cut that the index round is about to tell of
  bool held_ = false;
  bool hold_told_ = true;  ///< a round has been joined since hold()
  bool leaving_ = false;
  bool stopped_ = false;
  bool at_safe_point_ = false;
  std::uint64_t index_ = 0;      ///< of the safe point the program is at or was last
  std::uint64_t slack_;          ///< grows when a rank missed a cut; the same on all ranks
  std::uint64_t wished_at_ = 0;  ///< safe point at which this rank joined the wish round
  std::uint64_t target_ = 0;
  int hits_ = 0;  ///< cuts in a row that nobody missed
  double next_wish_ = 0;
};

}  // namespace cairn::protocol
