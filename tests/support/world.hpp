// Who a test is, asked with calls that Cairn does not interpose.
#pragma once

#include <mpi.h>

namespace cairn {

inline int world_rank() {
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

inline int world_size() {
  int size = 0;
  PMPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

}  // namespace cairn
