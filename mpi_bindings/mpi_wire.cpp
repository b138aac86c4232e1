#include "mpi_bindings/mpi_wire.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "mpi_bindings/native.hpp"
#include "mpi_bindings/packed_bytes.hpp"

namespace cairn::mpi {
namespace {

constexpr int delivery_tag = 0;
constexpr int never_sent_tag = 1;
constexpr int copy_tag = 2;

MPI_Count size_of(MPI_Datatype type) {
  MPI_Count bytes = 0;
  PMPI_Type_size_x(type, &bytes);
  return bytes;
}

}  // namespace

MpiWire::MpiWire() {
  native.Comm_dup(MPI_COMM_SELF, &self_);
  PMPI_Comm_set_errhandler(self_, MPI_ERRORS_RETURN);
}

MpiWire::~MpiWire() {
  for (auto& send : self_sends_) {
    int done = 0;
    native.Test(&send.request, &done, MPI_STATUS_IGNORE);
    if (done == 0) native.Request_free(&send.request);
  }
  native.Comm_free(&self_);
}

Wire::Outcome MpiWire::cancel(Receive& receive, int& source) {
  auto& request = static_cast<Request&>(receive);
  request.complicate();
  native.Cancel(&request.real);
  // Asked without completing it: the program's own call does that, with MPI's error handling.
  int done = 0;
  MPI_Status status;
  native.Request_get_status(request.real, &done, &status);
  if (done == 0) return Outcome::under_way;
  int cancelled = 0;
  PMPI_Test_cancelled(&status, &cancelled);
  if (cancelled == 0) {
    source = status.MPI_SOURCE;
    return Outcome::matched;
  }
  native.Wait(&request.real, MPI_STATUS_IGNORE);
  request.real = MPI_REQUEST_NULL;
  return Outcome::cancelled;
}

bool MpiWire::resolved(Receive& receive, int& source) {
  int done = 0;
  MPI_Status status;
  native.Request_get_status(static_cast<Request&>(receive).real, &done, &status);
  source = status.MPI_SOURCE;
  return done != 0;
}

void MpiWire::post(Receive& receive, int colour) {
  auto& request = static_cast<Request&>(receive);
  request.colour = static_cast<std::uint8_t>(colour);
  request.state = Receive::State::in_mpi;
  if (request.persistent) {
    request.real = request.twins[colour];
    post_error_ = native.Start(&request.real);
    request.twins[colour] = request.real;  // MPI may have changed it
    return;
  }
  post_error_ = native.Irecv(request.buffer, request.count, request.type, request.peer, request.tag,
                             request.communicator->colours[colour], &request.real);
}

bool MpiWire::pull(Communicator& communicator, int colour, StoredMessage& message) {
  int arrived = 0;
  MPI_Message handle = MPI_MESSAGE_NULL;
  MPI_Status status;
  native.Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator.colours[colour], &arrived, &handle,
                 &status);
  if (arrived == 0) return false;
  MPI_Count bytes = 0;
  PMPI_Get_elements_x(&status, MPI_PACKED, &bytes);
  message.source = status.MPI_SOURCE;
  message.tag = status.MPI_TAG;
  Payload& payload = *message.payload;
  payload.bytes.resize(static_cast<std::size_t>(bytes));
  const PackedBytes packed{payload.bytes.size()};
  native.Imrecv(payload.bytes.data(), packed.count(), packed.type(), &handle, &payload.arriving);
  return true;
}

bool MpiWire::arrived(Payload& payload) {
  if (payload.arriving == MPI_REQUEST_NULL) return true;
  int done = 0;
  native.Test(&payload.arriving, &done, MPI_STATUS_IGNORE);
  return done != 0;
}

bool MpiWire::probe(Communicator& communicator, int colour, int source, int tag,
                    Envelope& envelope) {
  int arrived = 0;
  MPI_Status status;
  native.Iprobe(source, tag, communicator.colours[colour], &arrived, &status);
  if (arrived == 0) return false;
  envelope = {status.MPI_SOURCE, status.MPI_TAG};
  return true;
}

void MpiWire::take(Receive& receive, int colour, const Envelope& envelope) {
  auto& request = static_cast<Request&>(receive);
  int arrived = 0;
  MPI_Message handle = MPI_MESSAGE_NULL;
  native.Improbe(envelope.source, envelope.tag, request.communicator->colours[colour], &arrived,
                 &handle, MPI_STATUS_IGNORE);
  request.colour = static_cast<std::uint8_t>(colour);
  request.state = Receive::State::in_mpi;
  native.Imrecv(request.buffer, request.count, request.type, &handle, &request.real);
}

void MpiWire::deliver(Receive& receive, StoredMessage&& message) {
  auto& request = static_cast<Request&>(receive);
  request.delivered = true;
  request.envelope = {message.source, message.tag};
  if (arrived(*message.payload)) {
    start_delivery(request, std::move(message));
    return;
  }
  request.state = Receive::State::assigned;
  request.message = std::make_unique<StoredMessage>(std::move(message));
}

void MpiWire::advance(Request& receive) {
  if (receive.state != Receive::State::assigned || !arrived(*receive.message->payload)) return;
  start_delivery(receive, std::move(*receive.message));
  receive.message.reset();
}

/// B4. The send comes first: a receive that is posted before it would hide a truncation.
void MpiWire::start_delivery(Request& receive, StoredMessage&& message) {
  reap_self_sends();
  SelfSend& send = self_sends_.emplace_back();
  send.payload = std::move(message.payload);
  const auto& bytes = send.payload->bytes;
  const PackedBytes packed{bytes.size()};
  native.Isend(bytes.data(), packed.count(), packed.type(), 0, delivery_tag, self_, &send.request);
  native.Irecv(receive.buffer, receive.count, receive.type, 0, delivery_tag, self_, &receive.real);
  receive.state = Receive::State::in_mpi;
}

void MpiWire::keep(Receive& receive, std::shared_ptr<RecordedMessage> recorded) {
  auto& kept = static_cast<Request&>(receive).recorded;
  // The epoch before this one may have it already (C2).
  if (kept != nullptr && !kept->payload->awaited) *recorded = *kept;
  kept = std::move(recorded);
}

void MpiWire::fill_record(Request& receive, const MPI_Status& status) {
  if (receive.recorded == nullptr || !receive.recorded->payload->awaited) return;
  RecordedMessage& recorded = *receive.recorded;
  MPI_Count received = 0;
  PMPI_Get_elements_x(&status, MPI_PACKED, &received);
  // The last element may be there in part, and a message that was too long has been cut off.
  const MPI_Count element = std::max(size_of(receive.type), MPI_Count{1});
  const auto room = static_cast<std::size_t>(element * receive.count);
  const auto elements = std::min((received + element - 1) / element, MPI_Count{receive.count});
  auto& bytes = recorded.payload->bytes;
  bytes.resize(static_cast<std::size_t>(elements * element));
  // MPI_Pack takes no more than INT_MAX bytes.
  const PackedBytes packed{bytes.size()};
  native.Sendrecv(receive.buffer, static_cast<int>(elements), receive.type, 0, copy_tag,
                  bytes.data(), packed.count(), packed.type(), 0, copy_tag, self_,
                  MPI_STATUS_IGNORE);
  bytes.resize(std::min(static_cast<std::size_t>(received), room));
  const int source = receive.delivered ? receive.envelope.source : status.MPI_SOURCE;
  recorded.source = receive.communicator->channel(source).world_rank;
  recorded.tag = receive.delivered ? receive.envelope.tag : status.MPI_TAG;
  recorded.payload->awaited = false;
}

void MpiWire::fill_record_early(Request& receive) {
  if (receive.recorded == nullptr || !receive.recorded->payload->awaited) return;
  advance(receive);
  if (receive.state != Receive::State::in_mpi) return;
  int done = 0;
  MPI_Status status;
  native.Request_get_status(receive.real, &done, &status);
  if (done != 0) fill_record(receive, status);
}

void MpiWire::complete_cancelled(Request& receive) {
  native.Irecv(receive.buffer, receive.count, receive.type, 0, never_sent_tag, self_,
               &receive.real);
  native.Cancel(&receive.real);
  receive.state = Receive::State::in_mpi;
}

void MpiWire::reap_self_sends() {
  for (auto it = self_sends_.begin(); it != self_sends_.end();) {
    int done = 0;
    native.Test(&it->request, &done, MPI_STATUS_IGNORE);
    it = done != 0 ? self_sends_.erase(it) : std::next(it);
  }
}

}  // namespace cairn::mpi
