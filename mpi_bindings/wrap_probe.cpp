// Probes: the store first, then MPI (M4, M6); and receives of matched messages.
#include <utility>

#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// Whether MPI alone can answer: nothing is stored, and no window is open; or it is to complain.
bool only_mpi(const Communicator& communicator, int source, int tag) {
  if (!layer->window().open() && communicator.store.empty()) [[likely]]
    return true;
  return (source < 0 && source != MPI_ANY_SOURCE) || source >= communicator.remote_size ||
         (tag < 0 && tag != MPI_ANY_TAG);
}

int iprobe(Communicator& communicator, int source, int tag, int* flag, MPI_Status* status) {
  const MPI_Comm comm = layer->coloured(communicator);
  if (only_mpi(communicator, source, tag)) [[likely]]
    return native.Iprobe(source, tag, comm, flag, status);
  const auto found = layer->window().look(communicator, source, tag);
  *flag = static_cast<int>(found.has_value());
  if (!found) return MPI_SUCCESS;
  if (found->stored != communicator.store.end()) {
    describe_stored(*found->stored, status);
    return MPI_SUCCESS;
  }
  return native.Iprobe(found->envelope.source, found->envelope.tag, comm, flag, status);
}

int improbe(Communicator& communicator, int source, int tag, int* flag, MPI_Message* message,
            MPI_Status* status) {
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  MPI_Message real = MPI_MESSAGE_NULL;
  std::unique_ptr<StoredMessage> stored;
  if (!only_mpi(communicator, source, tag)) [[unlikely]] {
    const auto found = layer->window().look(communicator, source, tag);
    *flag = static_cast<int>(found.has_value());
    if (!found) return MPI_SUCCESS;
    source = found->envelope.source;
    tag = found->envelope.tag;
    if (found->stored != communicator.store.end()) {
      describe_stored(*found->stored, seen);
      stored =
          std::make_unique<StoredMessage>(layer->window().take_stored(communicator, found->stored));
    }
  }
  if (stored == nullptr) {
    const int error = native.Improbe(source, tag, layer->coloured(communicator), flag, &real, seen);
    if (error != MPI_SUCCESS || *flag == 0) return error;
    ++communicator.channel(seen->MPI_SOURCE).ahead;  // taken off MPI, not received
  }
  MatchedMessage& matched = layer->matched().take();
  matched.communicator = &communicator;
  matched.envelope = {seen->MPI_SOURCE, seen->MPI_TAG};
  matched.real = real;
  matched.stored = std::move(stored);
  *message = Messages::handle(matched);
  return MPI_SUCCESS;
}

/// Starts the receive of a matched message, which is then gone.
int start_matched(Request& receive, MatchedMessage& matched) {
  receive.state = Receive::State::in_mpi;
  receive.colour = static_cast<std::uint8_t>(layer->colour());
  receive.counted = true;
  int error = MPI_SUCCESS;
  if (matched.stored != nullptr) {
    layer->window().give(receive, std::move(*matched.stored));
    matched.stored.reset();
  } else {
    error =
        native.Imrecv(receive.buffer, receive.count, receive.type, &matched.real, &receive.real);
  }
  layer->matched().put(matched);
  return error;
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

CAIRN_WRAPPER(int, Iprobe)(int source, int tag, MPI_Comm comm, int* flag, MPI_Status* status) {
  const Entry entry;
  Communicator* communicator = managed(comm, source);
  if (communicator == nullptr) return native.Iprobe(source, tag, comm, flag, status);
  layer->poll_sometimes();
  return iprobe(*communicator, source, tag, flag, status);
}

CAIRN_WRAPPER(int, Probe)(int source, int tag, MPI_Comm comm, MPI_Status* status) {
  const Entry entry;
  Communicator* communicator = managed(comm, source);
  if (communicator == nullptr) return released(native.Probe, source, tag, comm, status);
  return poll_until(
      [&] {
        return Call{"MPI_Probe", communicator, source, tag};
      },
      [&](int* flag) { return iprobe(*communicator, source, tag, flag, status); });
}

CAIRN_WRAPPER(int, Improbe)
(int source, int tag, MPI_Comm comm, int* flag, MPI_Message* message, MPI_Status* status) {
  const Entry entry;
  Communicator* communicator = managed(comm, source);
  if (communicator == nullptr) return native.Improbe(source, tag, comm, flag, message, status);
  layer->poll_sometimes();
  return improbe(*communicator, source, tag, flag, message, status);
}

CAIRN_WRAPPER(int, Mprobe)
(int source, int tag, MPI_Comm comm, MPI_Message* message, MPI_Status* status) {
  const Entry entry;
  Communicator* communicator = managed(comm, source);
  if (communicator == nullptr) return released(native.Mprobe, source, tag, comm, message, status);
  return poll_until(
      [&] {
        return Call{"MPI_Mprobe", communicator, source, tag};
      },
      [&](int* flag) { return improbe(*communicator, source, tag, flag, message, status); });
}

CAIRN_WRAPPER(int, Mrecv)
(void* buffer, int count, MPI_Datatype type, MPI_Message* message, MPI_Status* status) {
  const Entry entry;
  MatchedMessage* matched = Messages::find(*message);
  if (matched == nullptr) return released(native.Mrecv, buffer, count, type, message, status);
  const Envelope envelope = matched->envelope;
  BlockingReceive receive{"MPI_Mrecv",          buffer, count, type, envelope.source, envelope.tag,
                          matched->communicator};
  const int error = start_matched(receive.request(), *matched);
  *message = MPI_MESSAGE_NULL;
  return error == MPI_SUCCESS ? receive.wait(status) : error;
}

CAIRN_WRAPPER(int, Imrecv)
(void* buffer, int count, MPI_Datatype type, MPI_Message* message, MPI_Request* request) {
  const Entry entry;
  MatchedMessage* matched = Messages::find(*message);
  if (matched == nullptr) {
    const int error = native.Imrecv(buffer, count, type, message, request);
    return layer == nullptr ? error : complete_requests.begun(error, *request);
  }
  Request& receive =
      layer->new_request(Request::Kind::receive, "MPI_Imrecv", *matched->communicator,
                         matched->envelope.source, matched->envelope.tag);
  receive.buffer = buffer;
  receive.count = count;
  receive.type = type;
  const int error = start_matched(receive, *matched);
  *message = MPI_MESSAGE_NULL;
  if (error != MPI_SUCCESS) {
    layer->forget(receive);
    return error;
  }
  *request = Requests::handle(receive);
  return error;
}

CAIRN_WRAPPER(MPI_Fint, Message_c2f)(MPI_Message message) {
  const MatchedMessage* matched = Messages::find(message);
  return matched == nullptr ? native.Message_c2f(message) : Messages::fortran_handle(*matched);
}

CAIRN_WRAPPER(MPI_Message, Message_f2c)(MPI_Fint message) {
  const Entry entry;
  MatchedMessage* matched = layer == nullptr ? nullptr : layer->matched().find_fortran(message);
  return matched == nullptr ? native.Message_f2c(message) : Messages::handle(*matched);
}
