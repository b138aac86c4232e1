// Persistent requests: one request in MPI per colour, behind one handle.
#include <utility>

#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

using SendInit = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);

Request& new_persistent(Request::Kind kind, const char* call, Communicator& communicator, int peer,
                        int tag, const MPI_Request (&twins)[2]) {
  Request& made = layer->new_request(kind, call, communicator, peer, tag);
  made.state = Receive::State::inactive;
  made.persistent = true;
  made.twins[0] = twins[0];
  made.twins[1] = twins[1];
  return made;
}

/// Open MPI 4.1 sends what happens to be in its buffer when a persistent buffered send of more than
/// an eager message is started again: it is made anew.
int renew_buffered(Request& request, int colour) {
  const std::uint64_t bit = 1U << static_cast<unsigned>(colour);
  const bool used = (std::exchange(request.stamp, request.stamp | bit) & bit) != 0;
  if (!used) return MPI_SUCCESS;
  native.Request_free(&request.twins[colour]);
  return native.Bsend_init(request.buffer, request.count, request.type, request.peer, request.tag,
                           request.communicator->colours[colour], &request.twins[colour]);
}

int make_send(SendInit init, const char* call, const void* buffer, int count, MPI_Datatype type,
              int destination, int tag, Communicator& communicator, MPI_Request* request) {
  MPI_Request twins[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  for (int colour = 0; colour < 2; ++colour) {
    const int error =
        init(buffer, count, type, destination, tag, communicator.colours[colour], &twins[colour]);
    if (error != MPI_SUCCESS) return error;
  }
  *request = Requests::handle(
      new_persistent(Request::Kind::send, call, communicator, destination, tag, twins));
  return MPI_SUCCESS;
}

/// When there is nothing else to do.
inline int start_plainly(Request& request) {
  MPI_Request& twin = request.twins[fast.colour];
  const int error = native.Start(&twin);  // which may change it
  if (error != MPI_SUCCESS) [[unlikely]]
    return error;
  request.real = twin;
  request.colour = static_cast<std::uint8_t>(fast.colour);
  request.state = Receive::State::in_mpi;
  request.simple = true;
  if (request.kind == Request::Kind::send) {
    ++request.communicator->channel(request.peer).sent;
    return error;
  }
  request.stamp = layer->next_stamp();
  request.counted = request.cancelled = request.delivered = false;
  return error;
}

int start(Request& request) {
  const bool buffered = request.kind == Request::Kind::buffered_send;
  if (fast.plain && !buffered) [[likely]]
    return start_plainly(request);
  if (request.kind == Request::Kind::receive) return layer->post(request);
  layer->announce(*request.communicator, request.peer);
  const int colour = layer->colour();
  if (buffered) {
    const int error = renew_buffered(request, colour);
    if (error != MPI_SUCCESS) return error;
  }
  request.real = request.twins[colour];
  const int error = native.Start(&request.real);
  request.twins[colour] = request.real;  // MPI may have changed it
  if (error != MPI_SUCCESS) return error;
  request.colour = static_cast<std::uint8_t>(colour);
  request.state = Receive::State::in_mpi;
  ++request.communicator->channel(request.peer).sent;
  return error;
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

// A ready send is a standard one: Cairn may be holding the receive that it relies on.
#define CAIRN_SEND_INIT_WRAPPER(name, init)                                                   \
  CAIRN_WRAPPER(int, name)                                                                    \
  (const void* buffer, int count, MPI_Datatype type, int destination, int tag, MPI_Comm comm, \
   MPI_Request* request) {                                                                    \
    const Entry entry;                                                                        \
    Communicator* communicator = managed(comm, destination);                                  \
    if (communicator == nullptr)                                                              \
      return native.name(buffer, count, type, destination, tag, comm, request);               \
    return make_send(native.init, "MPI_" #name, buffer, count, type, destination, tag,        \
                     *communicator, request);                                                 \
  }

CAIRN_SEND_INIT_WRAPPER(Send_init, Send_init)
CAIRN_SEND_INIT_WRAPPER(Ssend_init, Ssend_init)
CAIRN_SEND_INIT_WRAPPER(Rsend_init, Send_init)

CAIRN_WRAPPER(int, Bsend_init)
(const void* buffer, int count, MPI_Datatype type, int destination, int tag, MPI_Comm comm,
 MPI_Request* request) {
  const Entry entry;
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr)
    return native.Bsend_init(buffer, count, type, destination, tag, comm, request);
  const int error = make_send(native.Bsend_init, "MPI_Bsend_init", buffer, count, type, destination,
                              tag, *communicator, request);
  if (error != MPI_SUCCESS) return error;
  Request& made = *Requests::find(*request);
  made.kind = Request::Kind::buffered_send;
  made.stamp = 0;
  made.buffer = const_cast<void*>(buffer);
  made.count = count;
  made.type = type;
  return MPI_SUCCESS;
}

CAIRN_WRAPPER(int, Recv_init)
(void* buffer, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
 MPI_Request* request) {
  const Entry entry;
  Communicator* communicator = managed(comm, source);
  if (communicator == nullptr)
    return native.Recv_init(buffer, count, type, source, tag, comm, request);
  MPI_Request twins[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  for (int colour = 0; colour < 2; ++colour) {
    const int error = native.Recv_init(buffer, count, type, source, tag,
                                       communicator->colours[colour], &twins[colour]);
    if (error != MPI_SUCCESS) return error;
  }
  Request& made =
      new_persistent(Request::Kind::receive, "MPI_Recv_init", *communicator, source, tag, twins);
  made.buffer = buffer;
  made.count = count;
  made.type = type;
  *request = Requests::handle(made);
  return MPI_SUCCESS;
}

CAIRN_WRAPPER(int, Start)(MPI_Request* request) {
  Request* known = Requests::find(*request);
  if (fast.plain && known != nullptr && known->kind != Request::Kind::buffered_send) [[likely]]
    return start_plainly(*known);
  const Entry entry;
  return known == nullptr ? native.Start(request) : start(*known);
}

CAIRN_WRAPPER(int, Startall)(int count, MPI_Request* requests) {
  const Entry entry;
  if (layer == nullptr || count < 0 || requests == nullptr) return native.Startall(count, requests);
  for (int i = 0; i < count; ++i) {
    Request* known = Requests::find(requests[i]);
    const int error = known == nullptr ? native.Start(&requests[i]) : start(*known);
    if (error != MPI_SUCCESS) return error;
  }
  return MPI_SUCCESS;
}
