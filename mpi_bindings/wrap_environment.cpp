// Init and Finalize: when the channel layer lives.
#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "mpi_bindings/wrappers.hpp"

using namespace cairn::mpi;

namespace {

void start(int thread_level) {
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  cairn::log::set_rank(rank);
  cairn::set_crash_point_rank(rank);
  if (thread_level == MPI_THREAD_MULTIPLE) {
    layer_missing_because = "MPI_THREAD_MULTIPLE is not covered yet; ask for MPI_THREAD_SERIALIZED";
    return;
  }
  layer = new ChannelLayer;
}

}  // namespace

CAIRN_WRAPPER MPI_Init(int* argc, char*** argv) {
  const int error = PMPI_Init(argc, argv);
  if (error == MPI_SUCCESS) start(MPI_THREAD_SINGLE);
  return error;
}

CAIRN_WRAPPER MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  const int error = PMPI_Init_thread(argc, argv, required, provided);
  if (error == MPI_SUCCESS) start(required == MPI_THREAD_MULTIPLE ? *provided : required);
  return error;
}

CAIRN_WRAPPER MPI_Finalize() {
  if (layer != nullptr) {
    if (layer->progress() != nullptr) layer->progress()->finalize();
    delete layer;
    layer = nullptr;
  }
  return PMPI_Finalize();
}
