// Which ranks have their data in one file.
#pragma once

#include <mpi.h>

#include <cstdint>

namespace cairn::io {

/// This rank's node, or what stands for one: any group of ranks.
struct NodeGroup {
  /// Unmanaged; the members in the order of the world's ranks. MPI_COMM_NULL: there are no groups,
  /// all data is in state.h5.
  MPI_Comm comm = MPI_COMM_NULL;
  std::uint64_t number = 0;  ///< 0, 1, … in the order of the groups' lowest ranks; names the file

  bool has_file() const { return comm != MPI_COMM_NULL; }
};

}  // namespace cairn::io
