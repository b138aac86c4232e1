// Writes state.h5 through parallel HDF5 (driver `mpiio`), all ranks together.
#pragma once

#include <mpi.h>

#include <filesystem>

#include <cairn/status.hpp>

#include "io/records.hpp"

namespace cairn::io {

/// Writes one epoch's state file. Collective over `comm` (an unmanaged communicator; rank i of it
/// is rank i of MPI_COMM_WORLD); blocking; the same Status code on every rank. Every rank makes
/// the same collective calls whatever fails on one of them, so that no rank is left waiting.
/// `path` must not exist. The data is on stable storage when this returns ok (every node fsyncs).
/// Passes the crash points file_created … data_synced.
Status write_state(MPI_Comm comm, const std::filesystem::path& path, const EpochInfo& info,
                   const RankState& state);

}  // namespace cairn::io
