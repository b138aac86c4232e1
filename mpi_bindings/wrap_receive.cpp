// Receives, and calls that send and receive.
#include <cstddef>
#include <vector>

#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// MPI_Irecv when there may be more to do than to count.
[[gnu::noinline]] int start_receive(void* buffer, int count, MPI_Datatype type, int source, int tag,
                                    MPI_Comm comm, MPI_Request* request) {
  const Entry entry;
  Communicator* communicator = managed(comm, source);
  if (communicator == nullptr) {
    const int error = native.Irecv(buffer, count, type, source, tag, comm, request);
    return layer == nullptr ? error : complete_requests.begun(error, *request);
  }
  Request& receive =
      layer->new_request(Request::Kind::receive, "MPI_Irecv", *communicator, source, tag);
  receive.buffer = buffer;
  receive.count = count;
  receive.type = type;
  const int error = layer->post(receive);
  if (error != MPI_SUCCESS) {
    layer->forget(receive);
    return error;
  }
  if (source != MPI_ANY_SOURCE) communicator->channel(source);  // the next one finds it
  *request = Requests::handle(receive);
  return error;
}

/// A request that MPI has refused to start with `error`, which is returned: puts it back.
[[gnu::cold, gnu::noinline]] int not_started(MPI_Request* request, int error) {
  layer->requests().put(*Requests::find(*request));
  *request = MPI_REQUEST_NULL;
  return error;
}

/// MPI_Recv, likewise.
[[gnu::noinline]] int receive(void* buffer, int count, MPI_Datatype type, int source, int tag,
                              MPI_Comm comm, MPI_Status* status) {
  const Entry entry;
  Communicator* communicator = managed(comm, source);
  if (communicator == nullptr)
    return released(native.Recv, buffer, count, type, source, tag, comm, status);
  BlockingReceive receive{"MPI_Recv", buffer, count, type, source, tag, communicator};
  const int error = layer->post(receive.request());
  return error == MPI_SUCCESS ? receive.wait(status) : error;
}

/// MPI_Recv whose receive is in MPI as `real`, and which has to wait.
[[gnu::noinline]] int wait_plainly(void* buffer, int count, MPI_Datatype type, int source, int tag,
                                   MPI_Status* status, MPI_Request real) {
  BlockingReceive receive{"MPI_Recv", buffer, count, type, source, tag, fast.communicator};
  receive.request().state = Receive::State::in_mpi;
  receive.request().colour = static_cast<std::uint8_t>(fast.colour);
  receive.request().stamp = layer->next_stamp();
  receive.request().real = real;
  return receive.wait(status);
}

/// A receive that is in MPI as `real`, while there is nothing else to do.
inline int finish_plainly(void* buffer, int count, MPI_Datatype type, int source, int tag,
                          MPI_Status* status, MPI_Request real) {
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  int done = 0;
  const int error = native.Test(&real, &done, seen);
  if (done == 0 && error == MPI_SUCCESS) {
    return wait_plainly(buffer, count, type, source, tag, status, real);
  }
  // A truncated message has been received, too.
  if (seen->MPI_SOURCE >= 0) ++fast.communicator->channel(seen->MPI_SOURCE).received;
  return error;
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

CAIRN_WRAPPER(int, Irecv)
(void* buffer, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
 MPI_Request* request) {
  if (!fast.fits(comm)) [[unlikely]]
    return start_receive(buffer, count, type, source, tag, comm, request);
  Channel& channel = fast.communicator->recent_channel(source);
  std::uint64_t* tally = &channel.received;
  if (channel.peer != source) [[unlikely]] {
    if (source != MPI_ANY_SOURCE)
      return start_receive(buffer, count, type, source, tag, fast.comm, request);
    tally = &Request::complicated;
  }
  Request* const next = layer->requests().next();
  if (next == nullptr) [[unlikely]]
    return start_receive(buffer, count, type, source, tag, fast.comm, request);
  // In this order there are registers enough.
  next->tally = tally;
  next->communicator = fast.communicator;
  Request& made = layer->requests().take_next();
  made.begin(Request::Kind::receive, fast.colour, "MPI_Irecv", source, tag);
  made.buffer = buffer;
  made.count = count;
  made.type = type;
  made.stamp = layer->next_stamp();
  *request = Requests::handle(made);  // now, so that little has to outlive MPI's call
  const int error = native.Irecv(buffer, count, type, source, tag, fast.coloured, &made.real);
  if (error != MPI_SUCCESS) [[unlikely]]
    return not_started(request, error);
  return error;
}

CAIRN_WRAPPER(int, Recv)
(void* buffer, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
 MPI_Status* status) {
  if (!fast.fits(comm) || source == MPI_PROC_NULL) [[unlikely]]
    return receive(buffer, count, type, source, tag, comm, status);
  if (fast.quiet) [[likely]] {
    MPI_Status own;
    MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
    seen->MPI_SOURCE = MPI_PROC_NULL;
    const int error = native.Recv(buffer, count, type, source, tag, fast.coloured, seen);
    // A truncated message has been received, too.
    if (seen->MPI_SOURCE >= 0) ++fast.communicator->channel(seen->MPI_SOURCE).received;
    return error;
  }
  MPI_Request real = MPI_REQUEST_NULL;
  const int error = native.Irecv(buffer, count, type, source, tag, fast.coloured, &real);
  if (error != MPI_SUCCESS) [[unlikely]]
    return error;
  return finish_plainly(buffer, count, type, source, tag, status, real);
}

CAIRN_WRAPPER(int, Sendrecv)
(const void* send_buffer, int send_count, MPI_Datatype send_type, int destination, int send_tag,
 void* receive_buffer, int receive_count, MPI_Datatype receive_type, int source, int receive_tag,
 MPI_Comm comm, MPI_Status* status) {
  if (fast.fits(comm) && source != MPI_PROC_NULL && send_type == fast.small_type &&
      send_count <= fast.small_count) [[likely]] {
    Channel& channel = fast.communicator->recent_channel(destination);
    if (channel.peer == destination) [[likely]] {
      MPI_Request real = MPI_REQUEST_NULL;
      int error = native.Irecv(receive_buffer, receive_count, receive_type, source, receive_tag,
                               fast.coloured, &real);
      if (error != MPI_SUCCESS) [[unlikely]]
        return error;
      error = native.Send(send_buffer, send_count, send_type, destination, send_tag, fast.coloured);
      if (error != MPI_SUCCESS) [[unlikely]] {
        native.Cancel(&real);
        native.Wait(&real, MPI_STATUS_IGNORE);
        return error;
      }
      ++channel.sent;
      return finish_plainly(receive_buffer, receive_count, receive_type, source, receive_tag,
                            status, real);
    }
  }
  const Entry entry;
  Communicator* communicator = managed(comm);
  if (communicator == nullptr) {
    return released(native.Sendrecv, send_buffer, send_count, send_type, destination, send_tag,
                    receive_buffer, receive_count, receive_type, source, receive_tag, comm, status);
  }
  if (source == MPI_PROC_NULL) {
    const int error = PMPI_Send(send_buffer, send_count, send_type, destination, send_tag, comm);
    if (error != MPI_SUCCESS) return error;
    return native.Recv(receive_buffer, receive_count, receive_type, source, receive_tag, comm,
                       status);
  }
  if (destination == MPI_PROC_NULL) {
    return MPI_Recv(receive_buffer, receive_count, receive_type, source, receive_tag, comm, status);
  }
  BlockingReceive receive{"MPI_Sendrecv", receive_buffer, receive_count, receive_type,
                          source,         receive_tag,    communicator};
  int error = layer->post(receive.request());
  if (error != MPI_SUCCESS) return error;
  MPI_Request send = MPI_REQUEST_NULL;
  error = send_counted(*communicator, destination, [&](MPI_Comm coloured) {
    return native.Isend(send_buffer, send_count, send_type, destination, send_tag, coloured, &send);
  });
  if (error != MPI_SUCCESS) {
    receive.withdraw();
    return error;
  }
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  seen->MPI_SOURCE = MPI_PROC_NULL;
  int sent = 0;
  int received = 0;
  int receive_error = MPI_SUCCESS;
  error = poll_until([&] { return receive.describe(); },
                     [&](int* flag) {
                       if (received == 0) {
                         receive_error = receive.test(&received, seen);
                         if (receive_error != MPI_SUCCESS) received = 1;
                         if (received != 0) receive_error = receive.finish(*seen, receive_error);
                       }
                       int send_error = MPI_SUCCESS;
                       if (sent == 0) send_error = native.Test(&send, &sent, MPI_STATUS_IGNORE);
                       *flag = static_cast<int>(sent != 0 && received != 0);
                       return send_error;
                     });
  return receive_error != MPI_SUCCESS ? receive_error : error;
}

// The message is packed first; what is sent as MPI_PACKED matches any type with the same elements.
CAIRN_WRAPPER(int, Sendrecv_replace)
(void* buffer, int count, MPI_Datatype type, int destination, int send_tag, int source,
 int receive_tag, MPI_Comm comm, MPI_Status* status) {
  const Entry entry;
  if (managed(comm) == nullptr) {
    return released(native.Sendrecv_replace, buffer, count, type, destination, send_tag, source,
                    receive_tag, comm, status);
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
