// The protocol chandy-lamport: global checkpoints that are taken and written while the program goes
// on computing and communicating.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <cairn/status.hpp>

#include "io/records.hpp"
#include "io/state_write.hpp"
#include "runtime/capture/staging.hpp"
#include "runtime/epoch_writer.hpp"
#include "runtime/protocol/agreement.hpp"
#include "runtime/protocol/aligned_cut.hpp"
#include "runtime/protocol/epochs.hpp"
#include "runtime/protocol/mpi_transport.hpp"

namespace cairn {

/// How an epoch ended: the same on every rank, but for what only rank 0 knows of a committed one.
struct EpochOutcome {
  std::uint64_t epoch = 0;
  Status status;         ///< ok: it is committed
  bool passing = false;  ///< not ok, for a reason that may pass soon
  bool memory = false;   ///< not ok: some rank has no memory for a copy of its state
  bool missed = false;   ///< … that a rank was past the cut already: nothing to report
  io::EpochInfo info;    ///< rank 0, when it is committed
};

/// What a snapshot asks of its session.
class SnapshotHost : public protocol::Participant {
 public:
  virtual EpochContext context() = 0;
  /// Number of the next epoch; the same on every rank.
  virtual std::uint64_t number() const = 0;
  /// Why ready() has said no.
  virtual const std::string& reason() const = 0;
  /// Called once for each epoch, from poll() or at a safe point. Whether all try again at once; the
  /// same on every rank.
  virtual bool over(const EpochOutcome& outcome) = 0;
};

/// One epoch on one rank: at its cut it copies its state, changes colour and goes on. The window
/// takes late messages in (protocol::Epochs), a thread writes the copy (io::StateWrite). When all
/// windows are closed, and all have voted for it, messages and tables are written, and rank 0
/// publishes it. One epoch is under way at a time. Whatever is in the way of one is voted on; no
/// rank ever waits for another.
class Snapshot : private protocol::EpochOwner {
 public:
  /// Collective over MPI_COMM_WORLD. `wish_period_seconds`: see AlignedCutSettings; not used with
  /// the marker cut.
  Snapshot(mpi::ChannelLayer& layer, SnapshotHost& host, double wish_period_seconds,
           bool marker_cut, std::uint64_t staging_limit_bytes);
  ~Snapshot() override;

  /// The program is at safe point `index`. `cut_here`: all ranks cut here, and know it; with the
  /// marker cut, this rank begins. That waits until the epoch before is over.
  void pass_safe_point(std::uint64_t index, bool cut_here);
  /// Memory for a copy of what is protected now, as early as possible. Local.
  void reserve();
  /// Makes what progress is possible.
  void poll();
  /// Until no epoch is under way here.
  void wait_until_over();
  /// Whether poll() has nothing to do, and no other rank can be waiting for this one.
  bool idle() const;
  /// The program has closed its session: this rank is never captured again.
  /// Whether it is in the middle of something that other ranks wait for, too.
  bool working() const { return busy() || !aligned_.idle(); }
  void close() { leaving_now_ = true; }
  void begin_region() { ++regions_; }
  void end_region() { --regions_; }
  void announce_to(int peer) { epochs_.announce_to(peer); }

  /// Until release() there is no cut, on any rank: waits until that is so. Collective.
  void hold();
  void release() { aligned_.release(); }

  /// The safe point of a cut that this rank has yet to make.
  std::optional<std::uint64_t> awaited() const { return aligned_.target(); }

  /// In MPI_Finalize: brings the epoch under way to its end, and frees everything. Collective.
  void finalize();

 private:
  void heard() override;
  protocol::Round vote() override;
  void closed(const protocol::Round& votes) override;

  void act(protocol::AlignedCut::Action action);
  bool may_cut_in_region() const;
  bool hopeless();
  bool busy() const { return epochs_.open() || write_ != nullptr; }
  void lose_patience();
  /// This rank's cut; with the state of this safe point, unless `why_not` says why that can't be.
  void cut(Status why_not);
  void poll_write();
  void conclude(Status status);
  io::StateWrite::Options publishing(const EpochContext& context);
  std::uint64_t spread(std::uint64_t value) const;
  Status judge(const protocol::Round& votes) const;

  mpi::ChannelLayer& layer_;
  SnapshotHost& host_;
  MPI_Comm comms_[4];  ///< wishes, epochs, leaving, writing
  protocol::MpiTransport wishes_, transport_, leaving_;
  protocol::MpiChannels channels_;
  protocol::AlignedCut aligned_;
  protocol::Epochs epochs_;
  capture::Staging staging_;
  bool marker_cut_;
  bool at_safe_point_ = false;
  int regions_ = 0;  ///< safe regions that the program is in
  std::uint64_t index_ = 0;
  bool leaving_now_ = false;

  // The epoch under way:
  std::unique_ptr<io::StateWrite> write_;
  io::EpochInfo info_;
  Status why_not_;       ///< why this rank was not captured
  bool missed_ = false;  ///< … since it had passed the cut
  bool no_memory_ = false;
  bool hopeless_ = false;                        ///< … since it could never come to it
  std::vector<std::vector<std::byte>> objects_;  ///< what write_ still reads
  std::vector<io::ChannelCounter> counters_;
  std::vector<io::Communicator> communicators_;
  std::uint64_t collectives_ = 0, program_ = 0;
  double waited_since_ = 0, polled_at_ = 0;  // see lose_patience()
  double blocked_seconds_ = 0;
  bool aborted_ = false;
  bool written_ = false;  ///< write_ is over
  protocol::Round votes_;
};

}  // namespace cairn
