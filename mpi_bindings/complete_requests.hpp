// Requests that are complete when MPI hands them out: small sends, most often, and whatever goes to
// MPI_PROC_NULL. Open MPI has a single request for them all. The program gets it as it is: there is
// nothing to record, but how many there are that the program has yet to complete (B5).
#pragma once

#include <mpi.h>

#include <algorithm>
#include <cstddef>

namespace cairn::mpi {

struct Channel;

struct CompleteRequests {
  /// MPI's request for them. When it has none: a handle that no request has.
  MPI_Request handle{};
  std::size_t pending = 0;
  /// Of the last plain send, complete or not: for reports.
  Channel* channel = nullptr;
  int tag = 0;

  /// Asks MPI for the handle. Before the program has any request.
  void find();
  /// A call of the program's has begun `request`, if `error` says so. Returns `error`.
  int begun(int error, MPI_Request request) {
    if (error == MPI_SUCCESS && request == handle) ++pending;
    return error;
  }
  /// A request of MPI's that was `request` has been completed, or freed, by the program.
  void ended(MPI_Request request) {
    if (request == handle) ended(1);
  }
  /// So many have been. Those of calls that Cairn does not interpose were not counted when they
  /// began (to MPI_PROC_NULL in an RMA window, say).
  void ended(std::size_t number) { pending -= std::min(number, pending); }
};

/// Changed by one thread at a time: by all while messages are plain, else inside the layer.
[[gnu::visibility("hidden")]] extern constinit CompleteRequests complete_requests;

}  // namespace cairn::mpi
