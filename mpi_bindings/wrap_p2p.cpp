// Sends and receives.
#include <cstddef>
#include <vector>

#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// A standard send of at most this many bytes goes straight to MPI: it is buffered (I5).
constexpr long small_bytes = 1024;

bool is_small(int count, MPI_Datatype type) {
  int size = 0;
  PMPI_Type_size(type, &size);
  return static_cast<long>(count) * size <= small_bytes;
}

using Start = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);
using Send = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm);

/// A send that returns when it is complete, by the non-blocking form.
int send_polled(Start start, const char* name, const void* buffer, int count, MPI_Datatype type,
                int destination, int tag, Communicator& communicator) {
  MPI_Request request = MPI_REQUEST_NULL;
  int error = start(buffer, count, type, destination, tag, layer->coloured(communicator), &request);
  if (error != MPI_SUCCESS) return error;
  layer->count_sent(communicator, destination);
  return poll_until(
      [&] {
        return Call{name, &communicator, destination, tag};
      },
      [&](int* flag) { return PMPI_Test(&request, flag, MPI_STATUS_IGNORE); });
}

/// A send that MPI completes without the receiver's help.
int send_buffered(Send send, const void* buffer, int count, MPI_Datatype type, int destination,
                  int tag, Communicator& communicator) {
  const int error = send(buffer, count, type, destination, tag, layer->coloured(communicator));
  if (error == MPI_SUCCESS) layer->count_sent(communicator, destination);
  return error;
}

int start_send(Start start, const char* name, const void* buffer, int count, MPI_Datatype type,
               int destination, int tag, Communicator& communicator, MPI_Request* request) {
  const int error =
      start(buffer, count, type, destination, tag, layer->coloured(communicator), request);
  if (error != MPI_SUCCESS) return error;
  layer->count_sent(communicator, destination);
  RequestRecord record;
  record.kind = RequestRecord::Kind::send;
  record.colour = static_cast<std::uint8_t>(layer->colour());
  record.peer = destination;
  record.tag = tag;
  record.communicator = &communicator;
  record.call = name;
  layer->requests().add(*request, record);
  return error;
}

/// The record of `comm`; nullptr when the call is none of Cairn's business.
Communicator* managed(MPI_Comm comm, int peer) {
  if (layer == nullptr || peer == MPI_PROC_NULL) return nullptr;
  return layer->find(comm);
}

}  // namespace

int post_receive(Communicator& communicator, void* buffer, int count, MPI_Datatype type, int source,
                 int tag, MPI_Request* request) {
  if (!communicator.store.empty()) [[unlikely]] {
    const auto stored = find_stored(communicator, source, tag);
    if (stored != communicator.store.end()) {
      return layer->deliver(communicator, stored, buffer, count, type, request);
    }
  }
  const int error =
      PMPI_Irecv(buffer, count, type, source, tag, layer->coloured(communicator), request);
  if (error != MPI_SUCCESS) return error;
  RequestRecord record;
  record.kind = RequestRecord::Kind::receive;
  record.colour = static_cast<std::uint8_t>(layer->colour());
  record.peer = source;
  record.tag = tag;
  record.communicator = &communicator;
  record.call = "MPI_Irecv";
  layer->requests().add(*request, record);
  return error;
}

}  // namespace cairn::mpi

using namespace cairn::mpi;

#define CAIRN_SEND_PARAMETERS \
  const void *buffer, int count, MPI_Datatype type, int destination, int tag, MPI_Comm comm

CAIRN_WRAPPER MPI_Send(CAIRN_SEND_PARAMETERS) {
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr) return PMPI_Send(buffer, count, type, destination, tag, comm);
  if (is_small(count, type)) {
    return send_buffered(PMPI_Send, buffer, count, type, destination, tag, *communicator);
  }
  return send_polled(PMPI_Isend, "MPI_Send", buffer, count, type, destination, tag, *communicator);
}

// A ready send is sent as a standard one: in the window its receive may be held by Cairn.
CAIRN_WRAPPER MPI_Rsend(CAIRN_SEND_PARAMETERS) {
  return MPI_Send(buffer, count, type, destination, tag, comm);
}

CAIRN_WRAPPER MPI_Ssend(CAIRN_SEND_PARAMETERS) {
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr) return PMPI_Ssend(buffer, count, type, destination, tag, comm);
  return send_polled(PMPI_Issend, "MPI_Ssend", buffer, count, type, destination, tag,
                     *communicator);
}

CAIRN_WRAPPER MPI_Bsend(CAIRN_SEND_PARAMETERS) {
  Communicator* communicator = managed(comm, destination);
  if (communicator == nullptr) return PMPI_Bsend(buffer, count, type, destination, tag, comm);
  return send_buffered(PMPI_Bsend, buffer, count, type, destination, tag, *communicator);
}

#define CAIRN_START_WRAPPER(name, start)                                                  \
  CAIRN_WRAPPER name(CAIRN_SEND_PARAMETERS, MPI_Request* request) {                       \
    Communicator* communicator = managed(comm, destination);                              \
    if (communicator == nullptr)                                                          \
      return P##name(buffer, count, type, destination, tag, comm, request);               \
    return start_send(start, #name, buffer, count, type, destination, tag, *communicator, \
                      request);                                                           \
  }

CAIRN_START_WRAPPER(MPI_Isend, PMPI_Isend)
CAIRN_START_WRAPPER(MPI_Irsend, PMPI_Isend)
CAIRN_START_WRAPPER(MPI_Issend, PMPI_Issend)
CAIRN_START_WRAPPER(MPI_Ibsend, PMPI_Ibsend)

CAIRN_WRAPPER MPI_Irecv(void* buffer, int count, MPI_Datatype type, int source, int tag,
                        MPI_Comm comm, MPI_Request* request) {
  Communicator* communicator = managed(comm, source);
  if (communicator == nullptr) return PMPI_Irecv(buffer, count, type, source, tag, comm, request);
  return post_receive(*communicator, buffer, count, type, source, tag, request);
}

CAIRN_WRAPPER MPI_Recv(void* buffer, int count, MPI_Datatype type, int source, int tag,
                       MPI_Comm comm, MPI_Status* status) {
  Communicator* communicator = managed(comm, source);
  if (communicator == nullptr) return PMPI_Recv(buffer, count, type, source, tag, comm, status);
  // The common case needs no entry in the request table: the request does not outlive the call.
  if (communicator->store.empty()) [[likely]] {
    const int colour = layer->colour();
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Status own;
    MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
    seen->MPI_SOURCE = MPI_PROC_NULL;
    int error =
        PMPI_Irecv(buffer, count, type, source, tag, communicator->colours[colour], &request);
    if (error != MPI_SUCCESS) return error;
    error = poll_until(
        [&] {
          return Call{"MPI_Recv", communicator, source, tag};
        },
        [&](int* flag) { return PMPI_Test(&request, flag, seen); });
    if (seen->MPI_SOURCE >= 0) layer->count_received(*communicator, seen->MPI_SOURCE, colour);
    return error;
  }
  MPI_Request request = MPI_REQUEST_NULL;
  const int error = post_receive(*communicator, buffer, count, type, source, tag, &request);
  return error == MPI_SUCCESS ? MPI_Wait(&request, status) : error;
}

CAIRN_WRAPPER MPI_Sendrecv(const void* send_buffer, int send_count, MPI_Datatype send_type,
                           int destination, int send_tag, void* receive_buffer, int receive_count,
                           MPI_Datatype receive_type, int source, int receive_tag, MPI_Comm comm,
                           MPI_Status* status) {
  if (layer == nullptr || layer->find(comm) == nullptr) {
    return PMPI_Sendrecv(send_buffer, send_count, send_type, destination, send_tag, receive_buffer,
                         receive_count, receive_type, source, receive_tag, comm, status);
  }
  MPI_Request receive = MPI_REQUEST_NULL;
  MPI_Request send = MPI_REQUEST_NULL;
  int error =
      MPI_Irecv(receive_buffer, receive_count, receive_type, source, receive_tag, comm, &receive);
  if (error != MPI_SUCCESS) return error;
  error = MPI_Isend(send_buffer, send_count, send_type, destination, send_tag, comm, &send);
  if (error != MPI_SUCCESS) {
    MPI_Cancel(&receive);
    MPI_Wait(&receive, MPI_STATUS_IGNORE);
    return error;
  }
  const int send_error = MPI_Wait(&send, MPI_STATUS_IGNORE);
  const int receive_error = MPI_Wait(&receive, status);
  return receive_error != MPI_SUCCESS ? receive_error : send_error;
}

// The message is packed first; what is sent as MPI_PACKED matches any type with the same elements.
CAIRN_WRAPPER MPI_Sendrecv_replace(void* buffer, int count, MPI_Datatype type, int destination,
                                   int send_tag, int source, int receive_tag, MPI_Comm comm,
                                   MPI_Status* status) {
  if (layer == nullptr || layer->find(comm) == nullptr) {
    return PMPI_Sendrecv_replace(buffer, count, type, destination, send_tag, source, receive_tag,
                                 comm, status);
  }
  int bytes = 0;
  int error = PMPI_Pack_size(count, type, comm, &bytes);
  if (error != MPI_SUCCESS) return error;
  std::vector<std::byte> packed(static_cast<std::size_t>(bytes));
  int position = 0;
  error = PMPI_Pack(buffer, count, type, packed.data(), bytes, &position, comm);
  if (error != MPI_SUCCESS) return error;
  return MPI_Sendrecv(packed.data(), position, MPI_PACKED, destination, send_tag, buffer, count,
                      type, source, receive_tag, comm, status);
}
