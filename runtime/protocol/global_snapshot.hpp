// The protocol chandy-lamport on one rank: when it cuts, what it says of the epoch, and how that
// ends. Not what is captured, nor how it is written: that is its owner's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <cairn/status.hpp>

#include "runtime/protocol/agreement.hpp"
#include "runtime/protocol/aligned_cut.hpp"
#include "runtime/protocol/epochs.hpp"
#include "runtime/protocol/transport.hpp"

namespace cairn::protocol {

/// How an epoch ended: the same on every rank.
struct EpochOutcome {
  Status status;         ///< ok: it is committed
  bool passing = false;  ///< not ok, for a reason that may pass soon
  bool memory = false;   ///< not ok: some rank has no memory for a copy of its state
  bool missed = false;   ///< … that a rank was past the cut already: nothing to report
};

/// What a rank's blocking call can't do without.
struct AwaitedChannel {
  std::uint64_t communicator = 0;
  int source = 0;                   ///< rank of MPI_COMM_WORLD
  std::uint64_t wire_received = 0;  ///< messages of the colour interval taken off MPI
  std::uint64_t needed = 1;         ///< more than these
};

/// What a snapshot asks of its rank, in the order in which it does.
class SnapshotOwner : public Participant {
 public:
  /// Why ready() has said no.
  virtual const std::string& reason() const = 0;
  /// Whether the call that the program blocks in can be made again after a restart.
  virtual bool in_repeatable_call() = 0;
  virtual std::vector<AwaitedChannel> awaited_channels() = 0;
  /// The MPI call that the program is in, for people.
  virtual std::string present_call() const = 0;

  /// This rank cuts. Copies its state, unless `why_not` says why that can't be; it may turn into a
  /// failure here. `no_memory`: … for want of memory.
  virtual void capture(Status& why_not, bool& no_memory) = 0;
  /// The colour has changed. Begins to write the copy, or joins the others without one.
  virtual void begin(const Status& why_not) = 0;
  /// Adds what people want to know of the epoch.
  virtual void report(Round& vote) = 0;
  /// All windows are closed, and all ranks have come to the same judgement.
  virtual void finish(const Round& votes, const Status& judgement) = 0;
  /// Whether the writing is over, on all ranks with the same status: makes what progress it can.
  /// It may fail, and be over, before finish().
  virtual bool written(Status& status) = 0;
  /// Called once for each epoch. Whether all try again at once; the same on every rank.
  virtual bool over(const EpochOutcome& outcome) = 0;
};

struct SnapshotSettings {
  bool marker_cut = false;
  double wish_period_seconds = 1;  ///< see AlignedCutSettings; not used with the marker cut
  double patience_seconds = 60;    ///< how long a rank waits for others to cut before it aborts
};

/// At its cut a rank copies its state, changes colour and goes on. The window takes late messages
/// in (Epochs), the copy is written. When all windows are closed, and all have voted for it,
/// messages and tables are written, and the epoch is published. One epoch is under way at a time.
/// Whatever is in the way of one is voted on; no rank ever waits for another.
class GlobalSnapshot : private EpochOwner {
 public:
  /// Three transports, as their rounds must not mix: for wishes, epochs, and the end.
  GlobalSnapshot(Transport& wishes, Transport& epochs, Transport& leaving, Channels& channels,
                 SnapshotOwner& owner, SnapshotSettings settings);

  /// The program is at safe point `index`. `cut_here`: all ranks cut here, and know it; with the
  /// marker cut, this rank begins. Not before the last epoch is over().
  void pass_safe_point(std::uint64_t index, bool cut_here);
  /// Makes what progress is possible. Call from every polled MPI call.
  void poll();
  /// No epoch is under way here.
  bool over() const { return !epochs_.open() && !writing_; }
  /// Whether poll() has nothing to do, and no other rank can be waiting for this one.
  bool idle() const { return aligned_.idle() && epochs_.idle() && !writing_; }
  /// Whether it is in the middle of something that other ranks wait for, too.
  bool working() const { return !over() || !aligned_.idle(); }

  void begin_region() { ++regions_; }
  void end_region() { --regions_; }
  void announce_to(int peer) { epochs_.announce_to(peer); }
  /// The program has closed its session: this rank is never captured again.
  void close() { closed_ = true; }

  /// Until release() there is no cut, on any rank. True when that is so and no epoch is under way.
  void hold() { aligned_.hold(); }
  bool held() const { return aligned_.settled() && over(); }
  void release() { aligned_.release(); }

  /// The safe point of a cut that this rank has yet to make.
  std::optional<std::uint64_t> awaited() const { return aligned_.target(); }
  /// Index of the last safe point.
  std::uint64_t safe_point() const { return index_; }
  /// Cuts that this rank has made.
  std::uint64_t cuts() const { return epochs_.epochs(); }

  /// The rank is in MPI_Finalize. Poll until left().
  void leave();
  bool left() const { return epochs_.left() && over(); }

 private:
  void heard() override;
  Round vote() override;
  void closed(const Round& votes) override;

  void act(AlignedCut::Action action);
  void note_cut_ahead();
  bool may_cut_in_region() const;
  bool hopeless();
  void lose_patience();
  void cut(Status why_not);
  void poll_write();
  void poll_leaving();
  std::uint64_t spread(std::uint64_t value) const;
  Status judge(const Round& votes) const;

  Transport& transport_;
  SnapshotOwner& owner_;
  SnapshotSettings settings_;
  AlignedCut aligned_;
  Epochs epochs_;
  bool at_safe_point_ = false;
  int regions_ = 0;  ///< safe regions that the program is in
  std::uint64_t index_ = 0;
  bool cut_ahead_ = false;  ///< this rank has made the cut of the next safe point to `cut_here`
  bool closed_ = false;
  /// Until no epoch is under way here; until all are leaving.
  enum class Leaving { no, finishing, gathering, gone } leaving_ = Leaving::no;

  // The epoch under way:
  bool writing_ = false;  ///< from the cut until owner_.over()
  bool written_ = false;  ///< the writing is over
  Status outcome_;        ///< … and how
  Status why_not_;        ///< why this rank was not captured
  bool missed_ = false;   ///< … since it had passed the cut
  bool no_memory_ = false;
  bool hopeless_ = false;  ///< … since it could never come to it
  bool aborted_ = false;   ///< by this rank
  std::uint64_t collectives_ = 0, program_ = 0;
  double waited_since_ = 0, polled_at_ = 0;  // see lose_patience()
  Round votes_;
};

}  // namespace cairn::protocol
