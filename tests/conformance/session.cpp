// Preloaded before libcairn, under a program that knows nothing of it: a session in which a
// checkpoint is under way from MPI_Init on, and is taken in MPI_Finalize. In between Cairn polls
// wherever the program waits, as it does while the ranks are on their way to a cut.
#include <dlfcn.h>
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>

#include <cairn/session.hpp>

namespace {

constexpr int kMostSafePoints = 100;

std::unique_ptr<cairn::Session> session;

/// Cairn's function of this name: Cairn is next.
template <class Function>
Function* next(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Function*>(found);
}

/// The program has yet to come to the safe point that the ranks agree on from here.
void begin() {
  using namespace std::chrono_literals;
  cairn::Options options;
  options.interval = cairn::Interval::every_seconds(0.001);
  session = std::make_unique<cairn::Session>(MPI_COMM_WORLD, options);
  session->restart();
  std::this_thread::sleep_for(20ms);  // a session asks for wishes each 10 ms at most
  session->safe_point();
}

/// The first safe point is the cut, unless the program has made too few calls to agree on it. A
/// rank that is here early waits for the others, in calls that poll. They learn at different safe
/// points that it is committed.
void end() {
  int committed = 0;
  for (int i = 0; i < kMostSafePoints; ++i) {
    int everywhere = 0;
    MPI_Request all_here = MPI_REQUEST_NULL;
    MPI_Iallreduce(&committed, &everywhere, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &all_here);
    MPI_Wait(&all_here, MPI_STATUS_IGNORE);
    if (everywhere != 0) break;
    if (session->safe_point()) committed = 1;
  }
  session.reset();
}

}  // namespace

// Fortran's interfaces call PMPI_X.
#define WRAPPER(name)                                                               \
  extern "C" __attribute__((visibility("default"),                                  \
                            alias("MPI_" #name))) decltype(MPI_##name) PMPI_##name; \
  extern "C" __attribute__((visibility("default"))) int MPI_##name

WRAPPER(Init)(int* argc, char*** argv) {
  const int error = next<decltype(MPI_Init)>("MPI_Init")(argc, argv);
  if (error == MPI_SUCCESS) begin();
  return error;
}

WRAPPER(Init_thread)(int* argc, char*** argv, int required, int* provided) {
  const auto init = next<decltype(MPI_Init_thread)>("MPI_Init_thread");
  const int error = init(argc, argv, required, provided);
  if (error == MPI_SUCCESS) begin();
  return error;
}

WRAPPER(Finalize)() {
  end();
  return next<decltype(MPI_Finalize)>("MPI_Finalize")();
}
