// Takes one coordinated checkpoint: drain, prepare, then commit or abort.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <string>

#include <cairn/options.hpp>
#include <cairn/status.hpp>

#include "io/node_group.hpp"
#include "io/store.hpp"
#include "mpi_bindings/channel_layer.hpp"
#include "runtime/capture/chain.hpp"
#include "runtime/capture/change_tracker.hpp"
#include "runtime/capture/registry.hpp"
#include "runtime/late_items.hpp"
#include "runtime/pending_requests.hpp"
#include "runtime/protocol/mpi_transport.hpp"

namespace cairn {

/// The parts of a session that writing an epoch needs.
struct EpochContext {
  mpi::ChannelLayer& layer;
  protocol::Transport& transport;
  const capture::Registry& registry;
  capture::ChangeTracker& tracker;
  const capture::Chain& chain;
  LateItems& late;
  PendingRequests& requests;
  const io::Store& store;
  const Options& options;
  const io::Job& job;
  MPI_Comm comm;  ///< unmanaged, ranks as in MPI_COMM_WORLD
  const io::NodeGroup& group;
};

/// Two phases. Prepare: all ranks are at the cut (the agreement has seen to that); they flip their
/// colour, drain, and write a tentative checkpoint. Commit or abort: all vote; rank 0 publishes
/// the epoch only if all are for it. Either way every rank goes on with the new colour, drained.
/// Collective; the same code on every rank; `waited_seconds` is how long this rank has been kept
/// from computing already. Chandy, Lamport: "Distributed snapshots", ACM TOCS 1985, for what a
/// consistent state is; two-phase commit for how it becomes one.
Result<io::EpochInfo> take_epoch(const EpochContext& context, std::uint64_t epoch,
                                 std::uint64_t safe_point, double waited_seconds);

}  // namespace cairn
