// Sends.
#include <climits>

#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// A standard send of at most this many bytes goes straight to MPI: it is buffered (I5).
constexpr long small_bytes = 1024;

bool is_small(int count, MPI_Datatype type) {
  if (type == fast.small_type) [[likely]]
    return count <= fast.small_count;
  if (type == MPI_DATATYPE_NULL) return true;  // MPI will complain
  int size = 0;
  PMPI_Type_size(type, &size);
  fast.small_type = type;
  fast.small_count = size == 0 ? INT_MAX : static_cast<int>(small_bytes / size);
  return count <= fast.small_count;
}

using Start = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);
using Send = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm);

/// A send that returns when it is complete, by the non-blocking form.
int send_polled(Start start, const char* name, const void* buffer, int count, MPI_Datatype type,
                int destination, int tag, Communicator& communicator) {
  MPI_Request request = MPI_REQUEST_NULL;
  const int error = send_counted(communicator, destination, [&](MPI_Comm coloured) {
    return start(buffer, count, type, destination, tag, coloured, &request);
  });
  if (error != MPI_SUCCESS) return error;
  return poll_until(
      [&] {
        return Call{name, &communicator, destination, tag};
      },
      [&](int* flag) { return native.Test(&request, flag, MPI_STATUS_IGNORE); });
}

/// A send that MPI completes without the receiver's help.
int send_buffered(Send send, const void* buffer, int count, MPI_Datatype type, int destination,
                  int tag, Communicator& communicator) {
  return send_counted(communicator, destination, [&](MPI_Comm coloured) {
    return send(buffer, count, type, destination, tag, coloured);
  });
}

/// MPI_Send when there may be more to do than to count.
[[gnu::noinline]] int send(const void* buffer, int count, MPI_Datatype type, int destination,
                           int tag, MPI_Comm comm) {
  const Entry entry;
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr)
    return released(native.Send, buffer, count, type, destination, tag, comm);
  if (is_small(count, type) || fast.quiet) {
    return send_buffered(native.Send, buffer, count, type, destination, tag, *communicator);
  }
  return send_polled(native.Isend, "MPI_Send", buffer, count, type, destination, tag,
                     *communicator);
}

/// A non-blocking send, likewise. `unmanaged`: what the program has called.
int start_send(Start start, Start unmanaged, const char* name, const void* buffer, int count,
               MPI_Datatype type, int destination, int tag, MPI_Comm comm, MPI_Request* request) {
  const Entry entry;
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr) {
    const int error = unmanaged(buffer, count, type, destination, tag, comm, request);
    return layer == nullptr ? error : complete_requests.begun(error, *request);
  }
  MPI_Request real = MPI_REQUEST_NULL;
  const int error = send_counted(*communicator, destination, [&](MPI_Comm coloured) {
    return start(buffer, count, type, destination, tag, coloured, &real);
  });
  if (error != MPI_SUCCESS) return error;
  if (real == complete_requests.handle) {
    *request = real;
    complete_requests.channel = &communicator->channel(destination);
    complete_requests.tag = tag;
    return complete_requests.begun(error, real);
  }
  Request& made = layer->new_request(Request::Kind::send, name, *communicator, destination, tag);
  made.real = real;
  *request = Requests::handle(made);
  return error;
}

std::uint64_t uncounted = 0;

/// A plain send, the last one, has been begun and is not complete.
[[gnu::noinline]] int record_plainly(const char* name, MPI_Request* request) {
  Request& made = layer->requests().take();
  made.communicator = fast.communicator;
  made.tally = &uncounted;
  made.begin(Request::Kind::send, fast.colour, name, complete_requests.channel->peer,
             complete_requests.tag);
  made.real = *request;
  *request = Requests::handle(made);
  return MPI_SUCCESS;
}

/// The same as start_send() when there is nothing else to do. Little has to outlive MPI's call: it
/// would have to be in registers that have to be saved.
[[gnu::always_inline]] inline int start_plainly(Start start, const char* name, Channel& channel,
                                                const void* buffer, int count, MPI_Datatype type,
                                                int destination, int tag, MPI_Request* request) {
  complete_requests.channel = &channel;
  complete_requests.tag = tag;
  const int error = start(buffer, count, type, destination, tag, fast.coloured, request);
  if (error != MPI_SUCCESS) [[unlikely]]
    return error;
  ++complete_requests.channel->sent;
  if (*request != complete_requests.handle) return record_plainly(name, request);
  ++complete_requests.pending;
  return error;
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

#define CAIRN_SEND_PARAMETERS \
  const void *buffer, int count, MPI_Datatype type, int destination, int tag, MPI_Comm comm

CAIRN_WRAPPER(int, Send)(CAIRN_SEND_PARAMETERS) {
  if (fast.fits(comm) && type == fast.small_type && count <= fast.small_count) [[likely]] {
    Channel& channel = fast.communicator->recent_channel(destination);
    if (channel.peer == destination) [[likely]] {
      const int error = native.Send(buffer, count, type, destination, tag, fast.coloured);
      if (error == MPI_SUCCESS) [[likely]]
        ++channel.sent;
      return error;
    }
  }
  return send(buffer, count, type, destination, tag, comm);
}

/// A ready send is a standard one: Cairn may be holding the receive that it relies on.
CAIRN_WRAPPER(int, Rsend)(CAIRN_SEND_PARAMETERS) {
  return send(buffer, count, type, destination, tag, comm);
}

CAIRN_WRAPPER(int, Ssend)(CAIRN_SEND_PARAMETERS) {
  const Entry entry;
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr)
    return released(native.Ssend, buffer, count, type, destination, tag, comm);
  return send_polled(native.Issend, "MPI_Ssend", buffer, count, type, destination, tag,
                     *communicator);
}

CAIRN_WRAPPER(int, Bsend)(CAIRN_SEND_PARAMETERS) {
  const Entry entry;
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr) return native.Bsend(buffer, count, type, destination, tag, comm);
  return send_buffered(native.Bsend, buffer, count, type, destination, tag, *communicator);
}

// The slow way has the same parameters, so that it is a jump, and the fast way has nothing to save.
#define CAIRN_START_WRAPPER(name, start)                                                         \
  [[gnu::noinline]] static int name##_slowly(CAIRN_SEND_PARAMETERS, MPI_Request* request) {      \
    return start_send(native.start, native.name, "MPI_" #name, buffer, count, type, destination, \
                      tag, comm, request);                                                       \
  }                                                                                              \
  CAIRN_WRAPPER(int, name)(CAIRN_SEND_PARAMETERS, MPI_Request * request) {                       \
    if (fast.fits(comm)) [[likely]] {                                                            \
      Channel& channel = fast.communicator->recent_channel(destination);                         \
      if (channel.peer == destination) [[likely]]                                                \
        return start_plainly(native.start, "MPI_" #name, channel, buffer, count, type,           \
                             destination, tag, request);                                         \
    }                                                                                            \
    return name##_slowly(buffer, count, type, destination, tag, comm, request);                  \
  }

CAIRN_START_WRAPPER(Isend, Isend)
CAIRN_START_WRAPPER(Irsend, Isend)
CAIRN_START_WRAPPER(Issend, Issend)
CAIRN_START_WRAPPER(Ibsend, Ibsend)
