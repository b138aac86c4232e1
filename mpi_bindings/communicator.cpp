#include "mpi_bindings/communicator.hpp"

#include <numeric>

namespace cairn::mpi {

int translate_rank(MPI_Comm from, int rank, MPI_Comm to) {
  MPI_Group from_group = MPI_GROUP_NULL;
  MPI_Group to_group = MPI_GROUP_NULL;
  int result = MPI_UNDEFINED;
  PMPI_Comm_group(from, &from_group);
  PMPI_Comm_group(to, &to_group);
  PMPI_Group_translate_ranks(from_group, 1, &rank, to_group, &result);
  PMPI_Group_free(&from_group);
  PMPI_Group_free(&to_group);
  return result;
}

std::vector<int> world_ranks(MPI_Comm communicator) {
  int size = 0;
  PMPI_Comm_size(communicator, &size);
  std::vector<int> own(static_cast<std::size_t>(size));
  std::iota(own.begin(), own.end(), 0);
  std::vector<int> world(own.size());
  MPI_Group group = MPI_GROUP_NULL;
  MPI_Group world_group = MPI_GROUP_NULL;
  PMPI_Comm_group(communicator, &group);
  PMPI_Comm_group(MPI_COMM_WORLD, &world_group);
  PMPI_Group_translate_ranks(group, size, own.data(), world_group, world.data());
  PMPI_Group_free(&group);
  PMPI_Group_free(&world_group);
  return world;
}

int Communicator::world_rank_of(int peer) const {
  return translate_rank(colours[0], peer, MPI_COMM_WORLD);
}

int Communicator::rank_of_world(int world_rank) const {
  return translate_rank(MPI_COMM_WORLD, world_rank, colours[0]);
}

std::list<StoredMessage>::iterator find_stored(Communicator& communicator, int source, int tag) {
  auto it = communicator.store.begin();
  for (; it != communicator.store.end(); ++it) {
    const bool source_fits = source == MPI_ANY_SOURCE || source == it->source;
    const bool tag_fits = tag == MPI_ANY_TAG || tag == it->tag;
    if (source_fits && tag_fits) break;
  }
  return it;
}

}  // namespace cairn::mpi
