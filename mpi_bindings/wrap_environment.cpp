// Init and Finalize: when the channel layer lives.
#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "mpi_bindings/wrappers.hpp"

using namespace cairn::mpi;

namespace {

void start() {
  int rank = 0;
  int thread_level = MPI_THREAD_SINGLE;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  PMPI_Query_thread(&thread_level);
  cairn::log::set_rank(rank);
  cairn::set_crash_point_rank(rank);
  layer = new ChannelLayer{thread_level == MPI_THREAD_MULTIPLE};
  if (layer_started != nullptr) layer_started(*layer);
}

}  // namespace

CAIRN_WRAPPER(int, Init)(int* argc, char*** argv) {
  const int error = native.Init(argc, argv);
  if (error == MPI_SUCCESS) start();
  return error;
}

CAIRN_WRAPPER(int, Init_thread)(int* argc, char*** argv, int required, int* provided) {
  const int error = native.Init_thread(argc, argv, required, provided);
  if (error == MPI_SUCCESS) start();
  return error;
}

CAIRN_WRAPPER(int, Finalize)() {
  if (layer != nullptr) {
    layer->finalize();
    delete layer;
    layer = nullptr;
  }
  return native.Finalize();
}
