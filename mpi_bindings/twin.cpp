#include "mpi_bindings/twin.hpp"

#include "mpi_bindings/native.hpp"

namespace cairn::mpi {
namespace {

/// Key under which a twin keeps its original.
int original_key() {
  static const int key = [] {
    int made = MPI_KEYVAL_INVALID;
    PMPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &made, nullptr);
    return made;
  }();
  return key;
}

// The signature is MPI's.
void forward(MPI_Comm* twin, int* code, ...) {
  void* original = nullptr;
  int found = 0;
  PMPI_Comm_get_attr(*twin, original_key(), &original, &found);
  if (found != 0) PMPI_Comm_call_errhandler(static_cast<MPI_Comm>(original), *code);
}

MPI_Errhandler forwarding_handler() {
  static const MPI_Errhandler handler = [] {
    MPI_Errhandler made = MPI_ERRHANDLER_NULL;
    PMPI_Comm_create_errhandler(forward, &made);
    return made;
  }();
  return handler;
}

}  // namespace

MPI_Comm make_twin(MPI_Comm original, MPI_Comm parent) {
  MPI_Group group = MPI_GROUP_EMPTY;
  MPI_Comm twin = MPI_COMM_NULL;
  if (original != MPI_COMM_NULL) PMPI_Comm_group(original, &group);
  native.Comm_create(parent, group, &twin);
  if (original != MPI_COMM_NULL) PMPI_Group_free(&group);
  return twin;
}

void forward_errors(MPI_Comm twin, MPI_Comm original) {
  if (twin == MPI_COMM_NULL) return;
  PMPI_Comm_set_attr(twin, original_key(), original);
  PMPI_Comm_set_errhandler(twin, forwarding_handler());
}

}  // namespace cairn::mpi
