// Writes an epoch's files, all ranks together.
#pragma once

#include <mpi.h>

#include <filesystem>

#include <cairn/status.hpp>

#include "io/changes.hpp"
#include "io/compression.hpp"
#include "io/node_group.hpp"
#include "io/records.hpp"

namespace cairn::io {

/// How the ranks write their data. The file is the same, byte for byte.
enum class WriteDriver {
  direct,  ///< each rank with pwrite(2) at the datasets' offsets
  mpiio,   ///< through MPI-IO, collectively where slabs are scattered in the file
};

struct WriteOptions {
  WriteDriver driver = WriteDriver::direct;
  NodeGroup group = {};  ///< not with mpiio
  Compression compression = {};
  FindChanges find_changes = nullptr;  ///< see StateWrite::begin
};

/// Writes one epoch's state file, and those of the nodes if they have any. Collective over `comm`
/// (an unmanaged communicator; rank i of it is rank i of MPI_COMM_WORLD); blocking; the same Status
/// on every rank. No rank is left waiting, whatever fails on one of them. `path` must not exist; it
/// does not exist either when this fails. The data is on stable storage when this returns ok (every
/// node fsyncs); `form` is then what the epoch has become. info's bytes, committed_at and
/// messages_in_flight are not used. invalid_argument: an entry is wrong, or differs between ranks.
/// io_error: no space, or the file system refused. The message names the rank that failed first
/// unless it is 0. Passes the crash points file_created … data_synced.
Status write_state(MPI_Comm comm, const std::filesystem::path& path, const EpochInfo& info,
                   const RankState& state, const WriteOptions& options = {},
                   DataForm* form = nullptr);

}  // namespace cairn::io
