// How a rank runs its program: each MPI call as the wrappers make it.
#include <algorithm>
#include <utility>

#include "tests/simulation/window_job.hpp"

namespace cairn::window_simulation {

using Kind = Op::Kind;

/// The requests of one call, and what stands for each in MPI: as Batch of wrap_completion.cpp.
class SimRank::Batch {
 public:
  Batch(SimLayer& layer, std::vector<Request*> requests)
      : layer_(layer), requests_(std::move(requests)), real_(requests_.size()) {}

  /// Whether MPI can be asked for all of them.
  bool refresh() {
    if (gathered_ && waiting_ == 0 && generation_ == layer_.generation()) return true;
    gathered_ = true;
    generation_ = layer_.generation();
    waiting_ = 0;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      SimReceive* receive = requests_[i]->receive;
      if (receive == nullptr) continue;
      real_[i] = layer_.in_mpi(*receive) ? receive->real : nullptr;
      waiting_ += real_[i] == nullptr ? 1 : 0;
    }
    return waiting_ == 0;
  }

  std::vector<Request*> complete() const {
    std::vector<Request*> done;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      const SimSend* send = requests_[i]->send;
      const bool is_done =
          send != nullptr ? send->message->sent : real_[i] != nullptr && real_[i]->complete;
      if (is_done) done.push_back(requests_[i]);
    }
    return done;
  }

 private:
  SimLayer& layer_;
  std::vector<Request*> requests_;
  std::vector<const Reception*> real_;
  bool gathered_ = false;
  int waiting_ = 0;
  std::uint64_t generation_ = 0;
};

SimRank::SimRank(World& world, Controls& controls, int rank, const RankState* from,
                 const std::vector<const Message*>& messages)
    : layer(world, rank), world_(world), rank_(rank) {
  if (world.settings.checkpoints.kind == Checkpoints::Kind::none) {
    protocol_ = std::make_unique<StressMode>(world, controls, layer, rank);
  } else {
    protocol_ = std::make_unique<SimSession>(world, controls, layer, *this, rank,
                                             from != nullptr ? from->safe_points : 0);
  }
  layer.connect(*protocol_);
  requests_.resize(static_cast<std::size_t>(world_.program.slots));
  matched_.resize(requests_.size());
  if (from != nullptr) {
    restore(*from, messages);
  } else {
    for (int id = 1; id <= world_.program.made_before; ++id) adopt(id);
  }
}

void SimRank::start() {
  task_ = run();
  task_.start();
}

// ---- Checkpoints and restarts

std::string SimRank::obstacle() const {
  if (background_makes_ > 0) return "a communicator is being made";
  const char* obstacle = layer.obstacle();
  return obstacle != nullptr ? obstacle : "";
}

/// With the requests of a program that deals with them itself (`pending_requests = repost`).
RankState SimRank::capture() const {
  if (!at_safe_point_ && !in_repeatable_call()) throw Failure("captured in the middle of a call");
  RankState state;
  state.at = at_safe_point_ ? at_ + 1 : at_;
  state.meetings = meetings_;
  for (std::size_t slot = 0; slot < requests_.size(); ++slot) {
    const auto& [receive, send] = requests_[slot];
    RankState::Pending pending;
    pending.slot = slot;
    if (send != nullptr && send->active) {
      pending.is_send = true;
      pending.communicator = static_cast<int>(send->communicator->id);
    } else if (receive != nullptr) {
      pending.communicator = static_cast<int>(receive->communicator->id);
      pending.peer = receive->peer;
      pending.tag = receive->tag;
      pending.stamp = receive->stamp;
    } else {
      continue;
    }
    state.pending.push_back(pending);
  }
  std::sort(state.pending.begin(), state.pending.end(),
            [](const auto& a, const auto& b) { return a.stamp < b.stamp; });
  layer.capture(state);
  return state;
}

void SimRank::restore(const RankState& state, const std::vector<const Message*>& messages) {
  at_ = state.at;
  meetings_ = state.meetings;
  layer.restore(state, messages);
  pending_ = state.pending;
}

/// Not in the constructor: others must be there.
void SimRank::post_pending() {
  for (const auto& pending : pending_) {
    Request& request = requests_[pending.slot];
    mpi::Communicator& communicator = layer.communicator(pending.communicator);
    if (pending.is_send) {
      request.send = &layer.completed_send(communicator);
    } else {
      request.receive = &layer.new_receive(communicator, pending.peer, pending.tag);
      layer.post(*request.receive);
    }
  }
}

bool SimRank::in_repeatable_call() const {
  if (!in_region_ || !awaits_) return false;
  const SimReceive* receive = awaits_->receive;
  return receive == nullptr || (!receive->counted && !receive->delivered);
}

std::vector<protocol::AwaitedChannel> SimRank::awaited_channels() {
  std::vector<protocol::AwaitedChannel> awaited;
  const auto add = [&](mpi::Communicator& communicator, int peer) {
    if (peer < 0) return;
    const mpi::Channel& channel = communicator.channel(peer);
    for (auto& one : awaited) {
      if (one.communicator != communicator.id || one.source != channel.world_rank) continue;
      ++one.needed;
      return;
    }
    awaited.push_back({communicator.id, channel.world_rank, channel.wire_received(), 1});
  };
  if (awaits_) {
    const SimReceive* receive = awaits_->receive;
    const bool has_it = receive != nullptr && (receive->counted || receive->delivered);
    if (!has_it) add(layer.communicator(awaits_->communicator), awaits_->peer);
  }
  for (const SimReceive* receive : awaits_all_) {
    if (!receive->counted) add(*receive->communicator, receive->peer);
  }
  return awaited;
}

bool SimRank::may_be_in_region(const Op& op) {
  const bool repeatable =
      op.kind == Kind::receive || op.kind == Kind::probe_receive || op.kind == Kind::mprobe;
  return repeatable && world_.random.chance(world_.settings.checkpoints.regions);
}

Task SimRank::pass_safe_point() {
  co_await poll_until([this] { return !protocol_->must_wait(); });
  at_safe_point_ = true;
  protocol_->pass_safe_point();
  at_safe_point_ = false;
}

std::string SimRank::doing() const {
  constexpr const char* calls[] = {"send",
                                   "isend",
                                   "receive",
                                   "irecv",
                                   "probe and receive",
                                   "mprobe",
                                   "mrecv",
                                   "wait",
                                   "free of a request",
                                   "cancel",
                                   "barrier",
                                   "making",
                                   "begin of making",
                                   "end of making",
                                   "free",
                                   "safe point"};
  const auto& ops = world_.program.ops[static_cast<std::size_t>(rank_)];
  if (finished) return "has left";
  if (at_ >= ops.size()) return fmt::format("is leaving, after epoch {}", layer.epochs());
  const Op& op = ops[at_];
  return fmt::format("epoch {}{}: call {} of {}: {} (peer {}, tag {}, communicator {})",
                     layer.epochs(), layer.window().open() ? ", window open" : "", at_, ops.size(),
                     calls[static_cast<std::size_t>(op.kind)], op.peer, op.tag, op.communicator);
}

Task SimRank::pause() { co_await Pause{next_}; }

Task SimRank::run() {
  try {
    co_await body();
  } catch (const Failure& failure) {
    world_.fail(fmt::format("rank {}: {}", rank_, failure.what()));
  }
  finished = true;
}

Task SimRank::body() {
  co_await pause();
  post_pending();
  const auto& ops = world_.program.ops[static_cast<std::size_t>(rank_)];
  for (; at_ < ops.size(); ++at_) {
    if (world_.random.chance(0.3)) co_await pause();
    world_.network.tick();
    layer.called();
    in_region_ = may_be_in_region(ops[at_]);
    if (in_region_) protocol_->begin_region();
    co_await execute(ops[at_]);
    if (in_region_) protocol_->end_region();
    in_region_ = false;
  }
  // MPI_Finalize
  protocol_->leave();
  co_await poll_until([this] { return protocol_->left(); });
}

Task SimRank::execute(const Op& op) {
  const auto slot = static_cast<std::size_t>(op.slot);
  switch (op.kind) {
    case Kind::send:
    case Kind::isend: return send(op);
    case Kind::receive: return receive(op.communicator, op.peer, op.tag, 0);
    case Kind::probe_receive: return probe_receive(op);
    case Kind::mprobe: return mprobe(op);
    case Kind::mrecv: return mrecv(op);
    case Kind::wait: return wait(op);
    case Kind::cancel: return cancel(op);
    case Kind::barrier: return meet(op.communicator, true);
    case Kind::make: return make(op);
    case Kind::end_make: return end_make(op);
    case Kind::begin_make:
      ++layer.communicator(1).collectives;
      ++background_makes_;
      world_.join({-op.communicator, 0}, world_.program.members[1]);
      break;
    case Kind::safe_point: return pass_safe_point();
    case Kind::irecv:
      requests_[slot].receive =
          &layer.new_receive(layer.communicator(op.communicator), op.peer, op.tag);
      layer.post(*requests_[slot].receive);
      break;
    case Kind::free_request:
      layer.free_request(*std::exchange(requests_[slot].receive, nullptr));
      break;
    case Kind::free: layer.release(layer.communicator(op.communicator)); break;
  }
  return []() -> Task { co_return; }();
}

/// As poll_until() of wrappers.hpp.
Task SimRank::poll_until(std::function<bool()> test) {
  if (test()) co_return;
  do {
    co_await pause();
    layer.poll();
  } while (!test());
}

/// A barrier. The n-th on a communicator is the same for all its members.
Task SimRank::meet(int communicator, bool polled) {
  const std::pair<int, int> meeting{communicator, meetings_[communicator]++};
  ++layer.communicator(communicator).collectives;
  world_.join(meeting, world_.program.members[static_cast<std::size_t>(communicator)]);
  if (polled) {
    co_await poll_until([this, meeting] { return world_.over(meeting, rank_); });
  } else {
    while (!world_.over(meeting, rank_)) co_await pause();
  }
}

void SimRank::adopt(int communicator) {
  const auto& members = world_.program.members[static_cast<std::size_t>(communicator)];
  if (std::find(members.begin(), members.end(), rank_) == members.end()) return;
  layer.manage(communicator);
}

/// A polled meeting, then two calls of MPI's that block: the communicator, and its twin.
Task SimRank::make(const Op& op) {
  co_await meet(1, true);
  co_await meet(1, false);
  co_await meet(1, false);
  adopt(op.communicator);
}

Task SimRank::end_make(const Op& op) {
  co_await poll_until([this, &op] { return world_.over({-op.communicator, 0}, rank_); });
  --background_makes_;
  adopt(op.communicator);
}

Task SimRank::send(const Op& op) {
  SimSend& request = layer.send(layer.communicator(op.communicator), op.peer, op.tag, op.large);
  if (op.kind == Kind::isend) {
    requests_[static_cast<std::size_t>(op.slot)].send = &request;
    co_return;
  }
  // A small one goes to MPI without a request.
  if (op.large) co_await poll_until([&request] { return request.message->sent; });
  layer.finish(request);
}

Task SimRank::complete(SimReceive& receive) {
  co_await poll_until([this, &receive] {
    world_.interleave();
    return layer.in_mpi(receive) && receive.real->complete;
  });
}

/// `expected`: the message that it has to get; 0: any.
Task SimRank::receive(int communicator, int peer, int tag, std::uint64_t expected) {
  SimReceive& request = layer.new_receive(layer.communicator(communicator), peer, tag);
  layer.post(request);
  awaits_ = {communicator, peer, &request};
  co_await complete(request);
  awaits_.reset();
  layer.finish(request);
  if (expected != 0 && request.buffer != expected) {
    throw Failure(
        fmt::format("message {} has been probed, {} is received", expected, request.buffer));
  }
}

/// Probes in one call that waits, or in many that do not.
Task SimRank::probe_receive(const Op& op) {
  std::optional<mpi::Envelope> found;
  std::uint64_t number = 0;
  mpi::Communicator& communicator = layer.communicator(op.communicator);
  const bool in_many_calls = world_.random.chance(0.5);
  awaits_ = {op.communicator, op.peer, nullptr};
  co_await poll_until([&, this] {
    if (in_many_calls) layer.called();
    found = layer.iprobe(communicator, op.peer, op.tag, number);
    return found.has_value();
  });
  awaits_.reset();
  world_.log(rank_, "probe (from {}, tag {}, communicator {}) finds message {}", op.peer, op.tag,
             op.communicator, number);
  if (world_.random.chance(0.5)) co_await pause();
  layer.called();
  co_await receive(op.communicator, found->source, found->tag, number);
}

Task SimRank::mprobe(const Op& op) {
  auto& matched = matched_[static_cast<std::size_t>(op.slot)];
  awaits_ = {op.communicator, op.peer, nullptr};
  co_await poll_until([&, this] {
    matched = layer.improbe(layer.communicator(op.communicator), op.peer, op.tag);
    return matched != nullptr;
  });
  awaits_.reset();
}

Task SimRank::mrecv(const Op& op) {
  SimReceive& request =
      layer.receive_matched(std::move(matched_[static_cast<std::size_t>(op.slot)]));
  co_await complete(request);
  layer.finish(request);
}

void SimRank::finish(Request& request) {
  if (request.send != nullptr) {
    layer.finish(*request.send);
  } else {
    layer.finish(*request.receive);
  }
  request = {};
}

/// MPI_Waitall, or MPI_Waitsome or MPI_Waitany until none is left, or MPI_Test in turn.
Task SimRank::wait(const Op& op) {
  std::vector<Request*> left;
  for (const int slot : op.slots) left.push_back(&requests_[static_cast<std::size_t>(slot)]);
  while (!left.empty()) {
    std::vector<Request*> asked = left;
    if (op.how == Op::Wait::test) asked = {one_of(left)};
    Batch batch{layer, asked};
    std::vector<Request*> done;
    const bool wants_all = op.how == Op::Wait::all || op.how == Op::Wait::test;
    const auto test = [&, this] {
      const bool all_in_mpi = batch.refresh();
      if (wants_all && !all_in_mpi) return false;
      world_.interleave();
      done = batch.complete();
      return wants_all ? done.size() == asked.size() : !done.empty();
    };
    if (op.how != Op::Wait::test) {
      for (const Request* request : asked) {
        const bool all = op.how == Op::Wait::all && request->receive != nullptr;
        if (all) awaits_all_.push_back(request->receive);
      }
      co_await poll_until(test);
      awaits_all_.clear();
    } else if (layer.poll(); !test()) {
      co_await pause();
      done.clear();
    }
    if (op.how == Op::Wait::any) done = {one_of(done)};
    for (Request* request : done) {
      finish(*request);
      std::erase(left, request);
    }
    layer.called();
  }
}

Task SimRank::cancel(const Op& op) {
  SimReceive& request = *requests_[static_cast<std::size_t>(op.slot)].receive;
  layer.cancel(request);
  if (world_.random.chance(0.5)) co_await pause();
  layer.called();
  co_await complete(request);
  requests_[static_cast<std::size_t>(op.slot)] = {};
  if (layer.finish(request)) co_return;
  layer.called();
  co_await receive(op.communicator, op.peer, op.tag, 0);
}

}  // namespace cairn::window_simulation
