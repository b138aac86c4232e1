// Communicators that need more than functions.def generates.
#include <algorithm>

#include "base/checksum.hpp"
#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

bool is_predefined(MPI_Comm comm) { return comm == MPI_COMM_WORLD || comm == MPI_COMM_SELF; }

/// The rank in MPI_COMM_WORLD of a rank of `comm`; negative when it is in another job.
int world_rank_of(MPI_Comm comm, int rank) {
  MPI_Group group = MPI_GROUP_NULL;
  MPI_Group world = MPI_GROUP_NULL;
  int translated = MPI_UNDEFINED;
  PMPI_Comm_group(comm, &group);
  PMPI_Comm_group(MPI_COMM_WORLD, &world);
  PMPI_Group_translate_ranks(group, 1, &rank, world, &translated);
  PMPI_Group_free(&group);
  PMPI_Group_free(&world);
  return translated;
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

CAIRN_WRAPPER(int, Comm_free)(MPI_Comm* comm) {
  const Entry entry;
  Communicator* communicator = comm == nullptr ? nullptr : managed(*comm);
  if (communicator == nullptr || is_predefined(*comm)) return native.Comm_free(comm);
  return layer->release(*communicator, comm, native.Comm_free);
}

CAIRN_WRAPPER(int, Comm_disconnect)(MPI_Comm* comm) {
  const Entry entry;
  Communicator* communicator = comm == nullptr ? nullptr : managed(*comm);
  if (communicator == nullptr || is_predefined(*comm))
    return released(native.Comm_disconnect, comm);
  layer->meet(*communicator, "MPI_Comm_disconnect");
  return layer->release(*communicator, comm, native.Comm_disconnect);
}

CAIRN_WRAPPER(int, Comm_create_group)(MPI_Comm comm, MPI_Group group, int tag, MPI_Comm* newcomm) {
  const Entry entry;
  Communicator* parent = managed(comm);
  if (parent == nullptr || group == MPI_GROUP_NULL || tag < 0) {
    return released(native.Comm_create_group, comm, group, tag, newcomm);
  }
  // Open MPI lets communicators be made in a fixed order only, and hangs when a program's Comm_idup
  // on `comm` and a group made from the bridge are under way in another. Without protocols there is
  // no need of the bridge.
  const bool bridged = layer->has_progress();
  const MPI_Comm base = bridged ? layer->bridge() : comm;
  const std::uint64_t key = cairn::mix(parent->id, static_cast<std::uint64_t>(tag));
  const int base_tag = bridged ? ChannelLayer::bridge_tag(key) : tag;
  layer->meet(world_ranks(group), key);
  int error = MPI_SUCCESS;
  MPI_Comm twin = MPI_COMM_NULL;
  {
    const Released others_run;
    error = native.Comm_create_group(base, group, base_tag, newcomm);
    if (error == MPI_SUCCESS) native.Comm_create_group(base, group, base_tag, &twin);
  }
  if (error != MPI_SUCCESS || *newcomm == MPI_COMM_NULL) return error;
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  PMPI_Comm_get_errhandler(comm, &handler);
  PMPI_Comm_set_errhandler(*newcomm, handler);
  PMPI_Errhandler_free(&handler);
  layer->adopt_group(*newcomm, twin, *parent, tag);
  return error;
}

/// In the background; so is the twin, which is made from the parent's. Both are managed when the
/// program sees the request complete.
CAIRN_WRAPPER(int, Comm_idup)(MPI_Comm comm, MPI_Comm* newcomm, MPI_Request* request) {
  const Entry entry;
  Communicator* parent = managed(comm);
  if (parent == nullptr) return native.Comm_idup(comm, newcomm, request);
  await_duplications_if_polled(parent);
  Request& made = layer->new_request(Request::Kind::duplication, "MPI_Comm_idup", *parent,
                                     MPI_PROC_NULL, MPI_ANY_TAG);
  const int error = native.Comm_idup(comm, newcomm, &made.real);
  if (error != MPI_SUCCESS) {
    layer->forget(made);
    return error;
  }
  ++parent->duplications;
  made.made = layer->announce_duplicate(*parent);
  made.duplicate = *newcomm;  // Open MPI gives the handle at once
  native.Comm_idup(parent->colours[1], &made.made->colours[1], &made.real_twin);
  *request = Requests::handle(made);
  return error;
}

CAIRN_WRAPPER(int, Intercomm_create)
(MPI_Comm local, int local_leader, MPI_Comm peer, int remote_leader, int tag, MPI_Comm* newcomm) {
  const Entry entry;
  Communicator* own = managed(local);
  if (own == nullptr) {
    return released(native.Intercomm_create, local, local_leader, peer, remote_leader, tag,
                    newcomm);
  }
  layer->meet(*own, "MPI_Intercomm_create");
  await_duplications(own);
  if (own->rank == local_leader) {
    // The two leaders know nothing in common but `tag`.
    const int other = world_rank_of(peer, remote_leader);
    if (other >= 0) {
      const int self = world_rank_of(local, local_leader);
      const auto key = static_cast<std::uint64_t>(tag);
      layer->meet({std::min(self, other), std::max(self, other)}, key);
      peer = layer->bridge();
      remote_leader = other;
      tag = ChannelLayer::bridge_tag(cairn::mix(key, key));
    }
  }
  layer->meet(*own, "MPI_Intercomm_create");
  int error = MPI_SUCCESS;
  {
    const Released others_run;
    error = native.Intercomm_create(local, local_leader, peer, remote_leader, tag, newcomm);
  }
  if (error == MPI_SUCCESS) layer->adopt_intercommunicator(*newcomm, *own);
  return error;
}
