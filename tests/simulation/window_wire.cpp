#include "tests/simulation/window_wire.hpp"

#include <cstring>
#include <utility>

namespace cairn::window_simulation {
namespace {

constexpr std::size_t message_bytes = sizeof(std::uint64_t);

Reception& reception_of(const mpi::Payload& payload) {
  return *reinterpret_cast<Reception*>(payload.arriving);
}

}  // namespace

/// The protocol's own is 0.
Context context_of(const mpi::Communicator& communicator, int colour) {
  if (communicator.freed) throw Failure("MPI is asked about a communicator that has been freed");
  return {static_cast<int>(communicator.id), colour};
}

std::byte* bytes_of(std::uint64_t& buffer) { return reinterpret_cast<std::byte*>(&buffer); }

std::uint64_t number_of(const mpi::Payload& payload) {
  if (payload.arriving != MPI_REQUEST_NULL) return reception_of(payload).message->number;
  std::uint64_t number = 0;
  std::memcpy(&number, payload.bytes.data(), message_bytes);
  return number;
}

mpi::Wire::Outcome SimWire::cancel(mpi::Receive& receive, int& source) {
  Reception& real = *static_cast<SimReceive&>(receive).real;
  world_.interleave();
  world_.network.cancel(real);
  world_.interleave();
  if (!real.complete) return Outcome::under_way;
  if (real.cancelled) {
    static_cast<SimReceive&>(receive).real = nullptr;
    world_.log(rank_, "receive {} is taken back", receive.stamp);
    return Outcome::cancelled;
  }
  source = real.message->source;
  world_.log(rank_, "receive {} has message {} at the cut", receive.stamp, real.message->number);
  return Outcome::matched;
}

bool SimWire::resolved(mpi::Receive& receive, int& source) {
  world_.interleave();
  const Reception& real = *static_cast<SimReceive&>(receive).real;
  if (real.complete) source = real.message->source;
  return real.complete;
}

void SimWire::post(mpi::Receive& receive, int colour) {
  world_.interleave();
  auto& request = static_cast<SimReceive&>(receive);
  request.colour = static_cast<std::uint8_t>(colour);
  request.state = mpi::Receive::State::in_mpi;
  request.real = &world_.network.receive(rank_, context_of(*request.communicator, colour),
                                         request.peer, request.tag, bytes_of(request.buffer));
  world_.log(rank_, "receive {} (from {}, tag {}, communicator {}) goes to MPI in colour {}",
             request.stamp, request.peer, request.tag, request.communicator->id, colour);
}

bool SimWire::pull(mpi::Communicator& communicator, int colour, mpi::StoredMessage& message) {
  world_.interleave();
  Message* matched =
      world_.network.match(rank_, context_of(communicator, colour), MPI_ANY_SOURCE, MPI_ANY_TAG);
  if (matched == nullptr) return false;
  world_.log(rank_, "pulls message {} in colour {}", matched->number, colour);
  message.source = matched->source;
  message.tag = matched->tag;
  message.payload->bytes.resize(message_bytes);
  Reception& real = world_.network.receive_matched(*matched, message.payload->bytes.data());
  message.payload->arriving = reinterpret_cast<MPI_Request>(&real);
  return true;
}

bool SimWire::arrived(mpi::Payload& payload) const {
  if (payload.arriving == MPI_REQUEST_NULL) return true;
  world_.interleave();
  if (!reception_of(payload).complete) return false;
  payload.arriving = MPI_REQUEST_NULL;
  return true;
}

void SimWire::keep_now(SimReceive& receive) {
  if (receive.recorded == nullptr) return;
  advance(receive);
  if (receive.state != mpi::Receive::State::in_mpi || !receive.real->complete) return;
  const auto recorded = std::exchange(receive.recorded, nullptr);
  const auto& communicator = *receive.communicator;
  const Message* matched = receive.real->message;
  recorded->source =
      communicator.world_rank_of(receive.delivered ? receive.envelope.source : matched->source);
  recorded->tag = receive.delivered ? receive.envelope.tag : matched->tag;
  const std::byte* bytes = bytes_of(receive.buffer);
  recorded->payload->bytes.assign(bytes, bytes + message_bytes);
  recorded->payload->awaited = false;
}

bool SimWire::probe(mpi::Communicator& communicator, int colour, int source, int tag,
                    mpi::Envelope& envelope) {
  world_.interleave();
  const Message* found = world_.network.find(rank_, context_of(communicator, colour), source, tag);
  if (found == nullptr) return false;
  envelope = {found->source, found->tag};
  return true;
}

void SimWire::take(mpi::Receive& receive, int colour, const mpi::Envelope& envelope) {
  world_.interleave();
  auto& request = static_cast<SimReceive&>(receive);
  Message* matched = world_.network.match(rank_, context_of(*request.communicator, colour),
                                          envelope.source, envelope.tag);
  if (matched == nullptr) throw Failure("take() finds no message");
  request.colour = static_cast<std::uint8_t>(colour);
  request.state = mpi::Receive::State::in_mpi;
  request.real = &world_.network.receive_matched(*matched, bytes_of(request.buffer));
  world_.log(rank_, "held receive {} takes message {}", request.stamp, matched->number);
}

void SimWire::deliver(mpi::Receive& receive, mpi::StoredMessage&& message) {
  auto& request = static_cast<SimReceive&>(receive);
  request.delivered = true;
  request.envelope = {message.source, message.tag};
  world_.network.tick();
  request.given_at = world_.network.now();
  world_.log(rank_, "receive {} gets stored message {}", request.stamp,
             number_of(*message.payload));
  if (arrived(*message.payload)) {
    start_delivery(request, std::move(message));
    return;
  }
  request.state = mpi::Receive::State::assigned;
  request.message = std::make_unique<mpi::StoredMessage>(std::move(message));
}

void SimWire::advance(SimReceive& receive) {
  if (receive.state != mpi::Receive::State::assigned || !arrived(*receive.message->payload)) return;
  start_delivery(receive, std::move(*receive.message));
  receive.message.reset();
}

/// A message to oneself, which MPI may deliver at once or later.
void SimWire::start_delivery(SimReceive& receive, mpi::StoredMessage&& message) {
  Reception& real = world_.network.foreign();
  receive.real = &real;
  receive.state = mpi::Receive::State::in_mpi;
  const auto finish = [&receive, &real, payload = message.payload] {
    std::memcpy(&receive.buffer, payload->bytes.data(), message_bytes);
    real.complete = true;
  };
  if (world_.random.chance(0.5)) {
    finish();
  } else {
    world_.network.later(finish);
  }
}

void SimWire::complete_cancelled(SimReceive& receive) {
  Reception& real = world_.network.foreign();
  real.cancelled = true;
  real.complete = true;
  receive.real = &real;
  receive.state = mpi::Receive::State::in_mpi;
}

}  // namespace cairn::window_simulation
