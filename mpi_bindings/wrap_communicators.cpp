// Communicators that need more than functions.def generates: free, error handlers.
#include "mpi_bindings/wrappers.hpp"

using namespace cairn::mpi;

CAIRN_WRAPPER MPI_Comm_free(MPI_Comm* comm) {
  Communicator* communicator = layer == nullptr ? nullptr : layer->find(*comm);
  if (communicator != nullptr && *comm != MPI_COMM_WORLD && *comm != MPI_COMM_SELF) {
    layer->release(*communicator);
  }
  return PMPI_Comm_free(comm);
}

CAIRN_WRAPPER MPI_Comm_disconnect(MPI_Comm* comm) {
  Communicator* communicator = layer == nullptr ? nullptr : layer->find(*comm);
  if (communicator != nullptr && *comm != MPI_COMM_WORLD && *comm != MPI_COMM_SELF) {
    layer->release(*communicator);
  }
  return PMPI_Comm_disconnect(comm);
}

CAIRN_WRAPPER MPI_Comm_set_errhandler(MPI_Comm comm, MPI_Errhandler handler) {
  const int error = PMPI_Comm_set_errhandler(comm, handler);
  Communicator* communicator = layer == nullptr ? nullptr : layer->find(comm);
  if (communicator == nullptr || error != MPI_SUCCESS) return error;
  return PMPI_Comm_set_errhandler(communicator->colours[1], handler);
}
