// What the wrappers share: the entry macro, polling, and the end of a request.
#pragma once

#include <mpi.h>

#include "mpi_bindings/channel_layer.hpp"

/// An exported MPI function.
#define CAIRN_WRAPPER extern "C" __attribute__((visibility("default"))) int

namespace cairn::mpi {

/// Repeats test(&flag) until it sets the flag or fails, and lets the runtime work in between (I5).
/// `describe()` gives the Call for reports; it is made only when there is something to wait for.
template <class Describe, class Test>
int poll_until(Describe&& describe, Test&& test) {
  int flag = 0;
  int error = test(&flag);
  if (flag != 0 || error != MPI_SUCCESS) return error;
  const Call outer = layer->current_call();
  layer->current_call() = describe();
  ++layer->blocked_calls();
  do {
    layer->poll();
    error = test(&flag);
  } while (flag == 0 && error == MPI_SUCCESS);
  layer->current_call() = outer;
  return error;
}

/// Records that the request `handle` (its value before MPI set it to null) has completed with
/// `status`; gives a delivery's status the message's source and tag. Returns `error`, after the
/// program's error handler has seen it if MPI could not call that (deliveries).
int complete_request(MPI_Request handle, MPI_Status& status, int error);

/// Posts a receive: from the store when a message there matches, else in the current colour.
int post_receive(Communicator& communicator, void* buffer, int count, MPI_Datatype type, int source,
                 int tag, MPI_Request* request);

}  // namespace cairn::mpi
