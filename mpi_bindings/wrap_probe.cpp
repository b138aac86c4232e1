// Probes: the store first, then MPI (M4).
#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

void describe_stored(const StoredMessage& message, MPI_Status* status) {
  if (status == MPI_STATUS_IGNORE) return;
  PMPI_Status_set_elements_x(status, MPI_PACKED, static_cast<MPI_Count>(message.bytes.size()));
  PMPI_Status_set_cancelled(status, 0);
  status->MPI_SOURCE = message.source;
  status->MPI_TAG = message.tag;
}

int iprobe(Communicator& communicator, int source, int tag, int* flag, MPI_Status* status) {
  if (!communicator.store.empty()) [[unlikely]] {
    const auto stored = find_stored(communicator, source, tag);
    if (stored != communicator.store.end()) {
      describe_stored(*stored, status);
      *flag = 1;
      return MPI_SUCCESS;
    }
  }
  return PMPI_Iprobe(source, tag, layer->coloured(communicator), flag, status);
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

CAIRN_WRAPPER MPI_Iprobe(int source, int tag, MPI_Comm comm, int* flag, MPI_Status* status) {
  Communicator* communicator = layer == nullptr ? nullptr : layer->find(comm);
  if (communicator == nullptr || source == MPI_PROC_NULL) {
    return PMPI_Iprobe(source, tag, comm, flag, status);
  }
  layer->poll();
  return iprobe(*communicator, source, tag, flag, status);
}

CAIRN_WRAPPER MPI_Probe(int source, int tag, MPI_Comm comm, MPI_Status* status) {
  Communicator* communicator = layer == nullptr ? nullptr : layer->find(comm);
  if (communicator == nullptr || source == MPI_PROC_NULL) {
    return PMPI_Probe(source, tag, comm, status);
  }
  return poll_until(
      [&] {
        return Call{"MPI_Probe", communicator, source, tag};
      },
      [&](int* flag) { return iprobe(*communicator, source, tag, flag, status); });
}
