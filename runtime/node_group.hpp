// Which ranks write their data into one file: the setting CAIRN_LAYOUT.
#pragma once

#include <mpi.h>

#include <string>

#include "io/node_group.hpp"

namespace cairn {

/// This rank's group. Collective over `all`: unmanaged, with the ranks of MPI_COMM_WORLD. `layout`:
/// a valid Options::layout, the same on every rank. The caller frees the group's communicator, if
/// any.
io::NodeGroup make_node_group(MPI_Comm all, const std::string& layout);

}  // namespace cairn
