#include "runtime/node_group.hpp"

#include "mpi_bindings/native.hpp"
#include "runtime/environment.hpp"

namespace cairn {

io::NodeGroup make_node_group(MPI_Comm all, const std::string& layout) {
  io::NodeGroup group;
  if (layout == "shared") return group;
  int rank = 0;
  PMPI_Comm_rank(all, &rank);
  if (const int ranks = ranks_per_file(layout); ranks > 0) {
    mpi::native.Comm_split(all, rank / ranks, rank, &group.comm);
  } else {
    mpi::native.Comm_split_type(all, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &group.comm);
  }
  PMPI_Comm_set_errhandler(group.comm, MPI_ERRORS_RETURN);
  // The lowest ranks number their groups.
  int rank_in_group = 0;
  PMPI_Comm_rank(group.comm, &rank_in_group);
  const std::uint64_t first = rank_in_group == 0 ? 1 : 0;
  mpi::native.Exscan(&first, &group.number, 1, MPI_UINT64_T, MPI_SUM, all);
  if (rank == 0) group.number = 0;  // MPI leaves it undefined there
  mpi::native.Bcast(&group.number, 1, MPI_UINT64_T, 0, group.comm);
  return group;
}

}  // namespace cairn
