// What the wrappers share: how one begins, polling, and the end of a request.
#pragma once

#include <mpi.h>

#include "mpi_bindings/channel_layer.hpp"
#include "mpi_bindings/native.hpp"

/// Begins the definition of an exported MPI function, under both of its names.
#define CAIRN_WRAPPER(result, name)                                                 \
  extern "C" __attribute__((visibility("default"),                                  \
                            alias("MPI_" #name))) decltype(MPI_##name) PMPI_##name; \
  extern "C" __attribute__((visibility("default"))) result MPI_##name

namespace cairn::mpi {

/// Every wrapper that may touch the layer holds one.
class Entry {
 public:
  Entry() {
    if (layer != nullptr && layer->guarded()) [[unlikely]]
      enter();
  }
  ~Entry() {
    if (entered_ != nullptr) [[unlikely]]
      leave();
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  void enter();
  void leave();
  ChannelLayer* entered_ = nullptr;
};

/// The record of `comm`; nullptr when the call is none of Cairn's business.
inline Communicator* managed(MPI_Comm comm) {
  return layer == nullptr ? nullptr : layer->find(comm);
}
inline Communicator* managed(MPI_Comm comm, int peer) {
  return peer == MPI_PROC_NULL ? nullptr : managed(comm);
}

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
    layer->let_others_run();
    layer->poll_sometimes();
    error = test(&flag);
  } while (flag == 0 && error == MPI_SUCCESS);
  layer->current_call() = outer;
  return error;
}

/// Sends with `send(comm)`, in the present colour, and counts what has been sent.
template <class Send>
int send_counted(Communicator& communicator, int destination, Send&& send) {
  layer->announce(communicator, destination);
  const int error = send(layer->coloured(communicator));
  if (error == MPI_SUCCESS) [[likely]]
    ++communicator.channel(destination).sent;
  return error;
}

/// A receive of a blocking call. Its Request need not be in the pool: the program has no handle.
class BlockingReceive {
 public:
  BlockingReceive(const char* call, void* buffer, int count, MPI_Datatype type, int source, int tag,
                  Communicator* communicator) {
    request_.kind = Request::Kind::receive;
    request_.call = call;
    request_.buffer = buffer;
    request_.count = count;
    request_.type = type;
    request_.peer = source;
    request_.tag = tag;
    request_.communicator = communicator;
  }
  ~BlockingReceive() {
    if (known_) layer->remove_blocking(request_);
  }
  BlockingReceive(const BlockingReceive&) = delete;
  BlockingReceive& operator=(const BlockingReceive&) = delete;

  Request& request() { return request_; }
  /// One attempt to complete it; what MPI says of it goes to `status`.
  int test(int* flag, MPI_Status* status);
  /// Before the runtime may change it: while it is waited for.
  void make_known() {
    if (known_) return;
    known_ = true;
    layer->add_blocking(request_);
  }
  Call describe() {
    make_known();
    return {request_.call, request_.communicator, request_.peer, request_.tag};
  }
  /// Waits for it, and finishes it.
  int wait(MPI_Status* status);
  /// After test() has set its flag or failed with `error`: counts it, completes `status`.
  int finish(MPI_Status& status, int error);
  /// The program's call fails for another reason: takes the receive back.
  void withdraw();

 private:
  Request request_;
  bool known_ = false;
};

/// What a status says of a message in the store.
void describe_stored(const StoredMessage& message, MPI_Status* status);

/// Counts a receive that MPI has completed with `status`, and gives a delivery's status its
/// envelope. Returns `error`, after the program's error handler has seen it if MPI could not call
/// that (deliveries travel on a private communicator; not when `report` is false).
int count_received(Request& receive, MPI_Status& status, int error, bool report);

/// A request that MPI has completed with `status`: counts it, and sets the program's handle to what
/// it is from now on. `real` is what MPI has left of the request.
int finish(MPI_Request* handle, Request& request, MPI_Request real, MPI_Status& status, int error,
           bool report);

/// Before a call that makes Open MPI begin non-blocking collective operations on `communicator`:
/// waits, polling, until every MPI_Comm_idup of it is done. Open MPI 4.1 begins the operations of
/// its own that Comm_idup consists of whenever it makes progress, and tells non-blocking operations
/// apart by their order alone. Polling moves the one against the other, and then they match wrongly
/// on different ranks: wrong results, or a hang. Nothing when `communicator` is nullptr.
void await_duplications(const Communicator* communicator);
/// Likewise, when the call must not wait for other ranks: only where the runtime polls at all (a
/// session, the stress mode), and it has to.
void await_duplications_if_polled(const Communicator* communicator);

/// Whether MPI has a request to be asked for it (else Cairn still has to match it); makes what
/// progress is possible.
bool in_mpi(Request& request);

}  // namespace cairn::mpi
