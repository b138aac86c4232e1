// Agreement on a cut: at which safe point all ranks take the next checkpoint, or that they don't.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/protocol/transport.hpp"

namespace cairn::protocol {

/// What the agreement asks of its rank.
class Participant {
 public:
  virtual ~Participant() = default;
  /// Whether this rank wants a checkpoint by now (timer, signal).
  virtual bool wishes() = 0;
  /// Whether this rank can be captured at the safe point where it is.
  virtual bool ready() = 0;
  /// E4: adds up to 0 over all ranks when they have made the same collective calls.
  virtual std::uint64_t collective_fingerprint() = 0;
  /// A number that must be the same on every rank at a cut (names of what is protected).
  virtual std::uint64_t program_fingerprint() = 0;
};

struct AgreementSettings {
  double wish_period_seconds = 1;  ///< pause between two rounds that ask for wishes; 0: none
  double patience_seconds = 60;    ///< longest wait for others before the program goes on
  std::uint64_t slack = 1;         ///< safe points between the index agreed and the cut, at first
};

/// How an attempt at a checkpoint ended before anything was done.
struct Refusal {
  bool retry = false;  ///< some rank had a passing reason; the same on all ranks
  std::string why;     ///< for people; empty when a rank that reports its own reason is the cause
};

/// A state machine that all ranks step through alike, driven by rounds (non-blocking reductions):
///
///   wish    who wants a checkpoint? Nobody waits for this round.
///   index   how far is everybody? The cut is at the largest index plus slack (or at the index that
///           an explicit checkpoint pins). Nobody waits for this round at its own bound: somebody
///           who has yet to join may be deaf in a blocking collective further on, which needs the
///           rank that would wait. A rank that passes its bound before the answer is in joins the
///           next round at once, as `missed`.
///   confirm has anybody missed the cut? Then all try again at once, with twice the slack. Else
///           nobody has passed the cut, and from here on a rank that reaches it waits there.
///   arrive  each rank joins when it reaches the cut, ready or not; or when it has passed it. A
///           rank may give up waiting for this round.
///   go      all that are still there join; who gave up, or never came, has joined before with
///           `gone`. Nobody gone and all ready: cut.
///
/// A rank may give up in any phase but `go`, and that round needs nobody's decision: it follows
/// `arrive`, which all have joined, and whoever is not waiting there has joined `go` already (so
/// also a rank that is deaf inside a blocking collective). It takes as long as MPI takes to
/// progress a reduction that all have joined: on some networks until a rank that gave up and
/// computes calls MPI again. So no rank waits much longer than its patience, and none cuts unless
/// all do (I9).
class Agreement {
 public:
  enum class Verdict { none, cut, refused };

  Agreement(Transport& transport, Participant& participant, AgreementSettings settings);

  /// The program has reached safe point `index`. `pin`: it insists on a checkpoint right here, as
  /// all other ranks do. Call before polling for a verdict.
  void arrive(std::uint64_t index, bool pin);

  /// Makes what progress is possible. Called from every polled MPI call and while waiting. A
  /// verdict is returned once; `cut` only at the safe point.
  Verdict poll();

  /// Whether the program has to stay at its safe point for now.
  bool must_wait() const;
  /// Whether poll() has nothing to do away from safe points.
  bool idle() const { return phase_ == Phase::wish && !joined_ && !leaving_; }

  /// The safe point of a cut that is settled and that this rank has yet to reach.
  std::optional<std::uint64_t> awaited() const {
    if (phase_ != Phase::arrive || joined_) return std::nullopt;
    return target_;
  }

  /// The program has left the safe point.
  void depart();

  /// Another wish_period_seconds from now on. On all ranks alike.
  void ask_every(double seconds) {
    settings_.wish_period_seconds = seconds;
    next_wish_ = transport_.now() + seconds;
  }

  /// The rank is in MPI_Finalize: it joins whatever others start, and asks all to stop. Poll until
  /// stopped(), which is true when all ranks are leaving.
  void leave() { leaving_ = true; }
  bool stopped() const { return stopped_; }

  /// About the last verdict `refused`.
  const Refusal& refusal() const { return refusal_; }

 private:
  enum class Phase { wish, index, confirm, arrive, go };

  bool step();
  void join(const Round& round);
  Verdict take_verdict();
  bool contribute();
  bool contribute_wish();
  void contribute_index();
  void contribute_confirmation();
  bool contribute_arrival();
  void contribute_go();
  void leave_early();
  void finish(const Round& result);
  void finish_wish(const Round& result);
  void finish_index(const Round& result);
  void finish_confirm(const Round& result);
  void finish_go(const Round& result);
  void refuse(bool retry, std::string why);
  void give_up();
  std::uint64_t spread(std::uint64_t value) const;

  Transport& transport_;
  Participant& participant_;
  AgreementSettings settings_;

  Phase phase_ = Phase::wish;
  bool joined_ = false;           ///< this rank has joined the round of phase_
  bool confirmed_early_ = false;  ///< joined `confirm` during `index`
  bool left_early_ = false;       ///< joined `go` during `arrive`: will not be at the cut
  bool at_safe_point_ = false;
  bool gave_up_ = false;  ///< the patience has run out at this safe point
  bool leaving_ = false;
  bool stopped_ = false;
  std::uint64_t slack_ = 1;  ///< grows when a rank missed a cut; the same on all ranks
  std::uint64_t index_ = 0;  ///< of the safe point the program is at or was last
  std::optional<std::uint64_t> pin_;
  std::uint64_t bound_ = 0;   ///< this rank's own, in phase index
  std::uint64_t target_ = 0;  ///< index of the cut, from phase confirm on
  bool target_pinned_ = false;
  double next_wish_ = 0;
  double deadline_ = 0;  ///< end of the patience in the present wait
  bool arrival_ready_ = false;
  Round arrival_;  ///< result of the arrive round
  Verdict verdict_ = Verdict::none;
  Refusal refusal_;
};

}  // namespace cairn::protocol
