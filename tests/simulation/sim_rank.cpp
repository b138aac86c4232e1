#include "tests/simulation/sim_rank.hpp"

#include <cstdio>

#include "base/checksum.hpp"

namespace cairn::simulation {

SimRank::SimRank(World& world, int rank)
    : channels(world.network, rank, world.program.ranks,
               static_cast<int>(world.program.communicators.size()), world.defect),
      world_(world),
      kernel_(world.kernel),
      rank_(rank),
      ops_(world.program.ops.at(static_cast<std::size_t>(rank))),
      transport_(world.control, rank, world.program.ranks),
      agreement_(transport_, *this, world.settings.agreement) {
  schedule_next(world.settings.interval.seconds);
}

void SimRank::restore(const RankState& state, std::uint64_t epoch, std::uint64_t safe_point) {
  next_op_ = state.next_op;
  digest = state.digest;
  epoch_ = epoch;
  next_epoch_ = epoch + 1;
  safe_point_index = safe_point;
  std::vector<Message*> stored;
  for (const auto& message : state.messages) {
    if (world_.defect == Defect::messages_not_restored) break;
    stored.push_back(world_.network.adopt(message));
    stored.back()->sent_in = 0;
    stored.back()->received_in = -1;
    stored.back()->matched = true;
  }
  channels.restore(state.counts, stored);
}

void SimRank::start() {
  task_ = run();
  kernel_.after(kernel_.random.delay(1), [this] { task_.start(); });
}

void SimRank::trace(const std::string& what) const {
  if (kernel_.trace) std::printf("%10.4f  rank %d  %s\n", kernel_.now(), rank_, what.c_str());
}

Task SimRank::run() {
  try {
    co_await run_program();
  } catch (const Failure& failure) {
    if (!world_.failure) world_.failure = failure.what();
  }
}

Task SimRank::run_program() {
  while (next_op_ < ops_.size()) {
    const Op& op = ops_[next_op_++];
    if (op.kind != Op::Kind::compute) world_.control.rounds.touch(rank_);
    co_await run_op(op);
  }
  co_await finalize();
}

Task SimRank::run_op(const Op& op) {
  using Kind = Op::Kind;
  switch (op.kind) {
    case Kind::send: co_await send_blocking(op); break;
    case Kind::receive: co_await receive_blocking(op); break;
    case Kind::isend: start_send(op); break;
    case Kind::irecv: post(op); break;
    case Kind::wait: co_await wait(op.slot); break;
    case Kind::collective: co_await take_part(op); break;
    case Kind::safe_point: co_await pass_safe_point(false); break;
    case Kind::checkpoint: co_await pass_safe_point(!world_.settings.ignore_checkpoints); break;
    case Kind::hold: held_ = true; break;
    case Kind::release: held_ = false; break;
    case Kind::forbid: forbidden_ = true; break;
    case Kind::compute:
      doing = "computing";
      co_await Sleep{kernel_, op.seconds};
      break;
  }
}

Message* SimRank::send(const Op& op) {
  Message message;
  message.source = rank_;
  message.destination = op.peer;
  message.communicator = op.communicator;
  message.tag = op.tag;
  message.sequence = channels.channel(op.communicator, op.peer).sent;
  message.payload = mix(digest.ordered, message.sequence * 64 + static_cast<unsigned>(op.tag));
  message.rendezvous = op.rendezvous;
  message.colour = channels.colour();
  message.sent_in = cuts_made_;
  channels.count_sent(message);
  return world_.network.send(message);
}

bool SimRank::complete(const Request& request) const {
  if (request.is_send) {
    const Message& sent = *request.sent;
    return !sent.rendezvous || (sent.complete_at >= 0 && sent.complete_at <= kernel_.now());
  }
  return request.receive.message != nullptr && request.receive.complete_at <= kernel_.now();
}

Task SimRank::send_blocking(const Op& op) {
  doing = "sending to " + std::to_string(op.peer) + (op.rendezvous ? " (rendezvous)" : "");
  trace(doing);
  Request request;
  request.is_send = true;
  request.sent = send(op);
  while (!complete(request)) {
    poll();
    co_await pause();
  }
}

Task SimRank::receive_blocking(const Op& op) {
  doing = "receiving from " + std::to_string(op.peer);
  trace(doing);
  const bool last = world_.defect == Defect::store_searched_last;
  Message* stored = last ? nullptr : channels.take_stored(op.communicator, op.peer, op.tag);
  if (stored != nullptr) {
    observe(*stored, true, op.folds_in_any_order);
    co_return;
  }
  Request request;
  request.receive = {op.peer, op.tag};
  world_.network.post(rank_, op.communicator, channels.colour(), request.receive);
  while (!complete(request)) {
    if (last && request.receive.message == nullptr) {
      stored = channels.take_stored(op.communicator, op.peer, op.tag);
      if (stored != nullptr) {
        world_.network.withdraw(rank_, op.communicator, channels.colour(), request.receive);
        observe(*stored, true, op.folds_in_any_order);
        co_return;
      }
    }
    poll();
    co_await pause();
  }
  observe(*request.receive.message, false, op.folds_in_any_order);
}

void SimRank::start_send(const Op& op) {
  Request& request = requests_[op.slot];
  request.is_send = true;
  request.sent = send(op);
}

void SimRank::post(const Op& op) {
  Request& request = requests_[op.slot];
  request.folds_in_any_order = op.folds_in_any_order;
  request.receive = {op.peer, op.tag};
  if (Message* stored = channels.take_stored(op.communicator, op.peer, op.tag)) {
    request.delivery = true;
    request.receive.message = stored;
    request.receive.complete_at = 0;
    return;
  }
  world_.network.post(rank_, op.communicator, channels.colour(), request.receive);
}

Task SimRank::wait(int slot) {
  doing = "waiting for request " + std::to_string(slot);
  trace(doing);
  Request& request = requests_.at(slot);
  while (!complete(request)) {
    poll();
    co_await pause();
  }
  if (!request.is_send) {
    observe(*request.receive.message, request.delivery, request.folds_in_any_order);
  }
  requests_.erase(slot);
}

/// The program has received a message: exactly once, in order, and never an early one.
void SimRank::observe(Message& message, bool stored, bool in_any_order) {
  if (message.received_in >= 0) throw Failure("a message was received twice");
  if (message.destination != rank_) throw Failure("a message was received by another rank");
  if (cuts_made_ < message.sent_in) throw Failure("orphan (I1): received before its cut");
  message.received_in = cuts_made_;
  if (stored) {
    channels.count_delivered(message);
  } else {
    channels.count_received(message);
  }
  trace("received " + std::to_string(message.source) + "#" + std::to_string(message.sequence) +
        " on " + std::to_string(message.communicator) + (stored ? " from the store" : ""));
  if (in_any_order) {
    digest.unordered += message.payload;
  } else {
    fold(message.payload);
  }
}

void SimRank::fold(std::uint64_t value) { digest.ordered = mix(digest.ordered, value); }

/// Deaf until it is over: no polling in here (B1).
Task SimRank::take_part(const Op& op) {
  doing = "in a collective on " + std::to_string(op.communicator);
  trace(doing);
  world_.control.rounds.touch(rank_, true);
  auto call =
      world_.collectives.call(op.communicator, rank_, op.collective, op.peer, digest.ordered);
  const std::uint64_t result = co_await call;
  trace("out of the collective");
  world_.control.rounds.touch(rank_, false);
  fold(result);
}

}  // namespace cairn::simulation
