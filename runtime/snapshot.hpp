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
#include "runtime/protocol/global_snapshot.hpp"
#include "runtime/protocol/mpi_transport.hpp"

namespace cairn {

/// What a snapshot asks of its session.
class SnapshotHost : public protocol::Participant {
 public:
  virtual EpochContext context() = 0;
  /// Number of the next epoch; the same on every rank.
  virtual std::uint64_t number() const = 0;
  /// Why ready() has said no.
  virtual const std::string& reason() const = 0;
  /// Called once for each epoch, from poll() or at a safe point. `info`: all of it on rank 0, when
  /// it is committed. Whether all try again at once; the same on every rank.
  virtual bool over(const protocol::EpochOutcome& outcome, const io::EpochInfo& info) = 0;
};

/// What the protocol (protocol::GlobalSnapshot) does on MPI: the state is copied into memory set
/// aside, and a thread writes the copy (io::StateWrite); rank 0's publishes the epoch.
class Snapshot : private protocol::SnapshotOwner {
 public:
  /// Collective over MPI_COMM_WORLD.
  Snapshot(mpi::ChannelLayer& layer, SnapshotHost& host, protocol::SnapshotSettings settings,
           std::uint64_t staging_limit_bytes);
  ~Snapshot() override;
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  /// The program is at safe point `index`. `cut_here`: all ranks cut here, and know it; with the
  /// marker cut, this rank begins. That waits until the epoch before is over.
  void pass_safe_point(std::uint64_t index, bool cut_here);
  /// Memory for a copy of what is protected now, as early as possible. Local.
  void reserve();
  /// A cut is near: copies what has changed so far, in the background. Once for each cut. Local.
  void copy_ahead();
  /// Seconds that it takes, about.
  double seconds_ahead() const;
  /// Makes what progress is possible.
  void poll() { protocol_.poll(); }
  /// Until no epoch is under way here.
  void wait_until_over();
  /// Until release() there is no cut, on any rank: waits until that is so. Collective.
  void hold();
  void release() { protocol_.release(); }
  /// In MPI_Finalize: brings the epoch under way to its end, and frees everything. Collective.
  void finalize();

  // See GlobalSnapshot.
  bool idle() const { return protocol_.idle(); }
  bool working() const { return protocol_.working(); }
  void close() { protocol_.close(); }
  void begin_region() { protocol_.begin_region(); }
  void end_region() { protocol_.end_region(); }
  void announce_to(int peer) { protocol_.announce_to(peer); }
  std::optional<std::uint64_t> awaited() const { return protocol_.awaited(); }

 private:
  bool wishes() override { return host_.wishes(); }
  bool ready() override { return host_.ready(); }
  std::uint64_t collective_fingerprint() override { return host_.collective_fingerprint(); }
  std::uint64_t program_fingerprint() override { return host_.program_fingerprint(); }
  const std::string& reason() const override { return host_.reason(); }
  bool in_repeatable_call() override { return layer_.in_repeatable_call(); }
  std::vector<protocol::AwaitedChannel> awaited_channels() override;
  std::string present_call() const override { return describe(layer_.current_call()); }
  void capture(Status& why_not, bool& no_memory) override;
  void begin(const Status& why_not) override;
  void report(protocol::Round& vote) override;
  void finish(const protocol::Round& votes, const Status& judgement) override;
  bool written(Status& status) override;
  bool over(const protocol::EpochOutcome& outcome) override;

  Status copy(const EpochContext& context, bool& no_memory);
  void wait_for(bool (protocol::GlobalSnapshot::*test)() const);
  io::StateWrite::Options publishing(const EpochContext& context);

  mpi::ChannelLayer& layer_;
  SnapshotHost& host_;
  MPI_Comm comms_[4];  ///< wishes, epochs, leaving, writing
  protocol::MpiTransport wishes_, transport_, leaving_;
  protocol::MpiChannels channels_;
  protocol::GlobalSnapshot protocol_;
  capture::Staging staging_;

  // The epoch under way:
  std::unique_ptr<io::StateWrite> write_;
  io::EpochInfo info_;
  capture::Capture state_;  ///< its objects are what write_ still reads
  std::vector<io::ChannelCounter> counters_;
  std::vector<io::Communicator> communicators_;
  bool finished_ = false;  ///< write_ knows the judgement, or is over
  double cut_at_ = 0, blocked_seconds_ = 0;
  bool ahead_ = false;  ///< copy_ahead() since the last cut
};

}  // namespace cairn
