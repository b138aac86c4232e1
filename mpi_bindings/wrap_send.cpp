// Sends.
#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// A standard send of at most this many bytes goes straight to MPI: it is buffered (I5).
constexpr long small_bytes = 1024;

bool is_small(int count, MPI_Datatype type) {
  if (type == MPI_DATATYPE_NULL) return true;  // MPI will complain
  int size = 0;
  PMPI_Type_size(type, &size);
  return static_cast<long>(count) * size <= small_bytes;
}

using Start = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);
using Send = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm);

/// A send that returns when it is complete, by the non-blocking form.
int send_polled(Start start, const char* name, const void* buffer, int count, MPI_Datatype type,
                int destination, int tag, Communicator& communicator) {
  layer->announce(communicator, destination);
  MPI_Request request = MPI_REQUEST_NULL;
  const int error =
      start(buffer, count, type, destination, tag, layer->coloured(communicator), &request);
  if (error != MPI_SUCCESS) return error;
  ++communicator.channel(destination).sent;
  return poll_until([&] { return Call{name, &communicator, destination, tag}; },
                    [&](int* flag) { return native.Test(&request, flag, MPI_STATUS_IGNORE); });
}

/// A send that MPI completes without the receiver's help.
int send_buffered(Send send, const void* buffer, int count, MPI_Datatype type, int destination,
                  int tag, Communicator& communicator) {
  layer->announce(communicator, destination);
  const int error = send(buffer, count, type, destination, tag, layer->coloured(communicator));
  if (error == MPI_SUCCESS) [[likely]]
    ++communicator.channel(destination).sent;
  return error;
}

int start_send(Start start, const char* name, const void* buffer, int count, MPI_Datatype type,
               int destination, int tag, Communicator& communicator, MPI_Request* request) {
  layer->announce(communicator, destination);
  MPI_Request real = MPI_REQUEST_NULL;
  const int error =
      start(buffer, count, type, destination, tag, layer->coloured(communicator), &real);
  if (error != MPI_SUCCESS) return error;
  ++communicator.channel(destination).sent;
  Request& made =
      layer->new_request(Request::Kind::send, name, communicator, destination, tag);
  made.real = real;
  *request = Requests::handle(made);
  return error;
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

#define CAIRN_SEND_PARAMETERS \
  const void *buffer, int count, MPI_Datatype type, int destination, int tag, MPI_Comm comm

CAIRN_WRAPPER(int, Send)(CAIRN_SEND_PARAMETERS) {
  const Entry entry;
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr) return native.Send(buffer, count, type, destination, tag, comm);
  if (is_small(count, type)) [[likely]]
    return send_buffered(native.Send, buffer, count, type, destination, tag, *communicator);
  return send_polled(native.Isend, "MPI_Send", buffer, count, type, destination, tag,
                     *communicator);
}

/// A ready send is a standard one: Cairn may be holding the receive that it relies on.
CAIRN_WRAPPER(int, Rsend)(CAIRN_SEND_PARAMETERS) {
  return MPI_Send(buffer, count, type, destination, tag, comm);
}

CAIRN_WRAPPER(int, Ssend)(CAIRN_SEND_PARAMETERS) {
  const Entry entry;
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr) return native.Ssend(buffer, count, type, destination, tag, comm);
  return send_polled(native.Issend, "MPI_Ssend", buffer, count, type, destination, tag,
                     *communicator);
}

CAIRN_WRAPPER(int, Bsend)(CAIRN_SEND_PARAMETERS) {
  const Entry entry;
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr) return native.Bsend(buffer, count, type, destination, tag, comm);
  return send_buffered(native.Bsend, buffer, count, type, destination, tag, *communicator);
}

#define CAIRN_START_WRAPPER(name, start)                                                     \
  CAIRN_WRAPPER(int, name)(CAIRN_SEND_PARAMETERS, MPI_Request* request) {                    \
    const Entry entry;                                                                       \
    Communicator* communicator = managed(comm, destination);                                 \
    if (communicator == nullptr)                                                             \
      return native.name(buffer, count, type, destination, tag, comm, request);              \
    return start_send(native.start, "MPI_" #name, buffer, count, type, destination, tag,     \
                      *communicator, request);                                               \
  }

CAIRN_START_WRAPPER(Isend, Isend)
CAIRN_START_WRAPPER(Irsend, Isend)
CAIRN_START_WRAPPER(Issend, Issend)
CAIRN_START_WRAPPER(Ibsend, Ibsend)
