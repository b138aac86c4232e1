#include "mpi_bindings/channel_layer.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <span>

#include "base/checksum.hpp"
#include "mpi_bindings/native.hpp"
#include "mpi_bindings/twin.hpp"

namespace cairn::mpi {

ChannelLayer* layer = nullptr;
thread_local constinit Call ChannelLayer::current_call_;
constinit FastPath fast;
void (*layer_started)(ChannelLayer&) = nullptr;

namespace {

constexpr std::uint64_t world_id = 1;
constexpr std::uint64_t self_id = 2;

int rank_in_world() {
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

std::unique_ptr<Communicator> named(std::uint64_t id, std::string label) {
  auto made = std::make_unique<Communicator>();
  made->id = id;
  made->label = std::move(label);
  return made;
}

std::uint64_t hash_of(const std::vector<int>& members) {
  return checksum(std::as_bytes(std::span{members}));
}

/// Tells apart groups that one call makes.
std::string label_of(const std::vector<int>& members, const Communicator& parent,
                     std::uint64_t child) {
  std::string label = fmt::format("{}.{}", parent.label, child);
  if (members.size() != static_cast<std::size_t>(parent.size)) {
    label += fmt::format("@{}", members.front());
  }
  return label;
}

/// What a communicator that is made from `parent`, by all its members, is known by.
std::unique_ptr<Communicator> nth_child(Communicator& parent, std::uint32_t child,
                                        const std::vector<int>& members) {
  return named(mix(mix(parent.id, child), hash_of(members)), label_of(members, parent, child));
}

}  // namespace

std::string describe(const Call& call) {
  if (call.name == nullptr) return "no MPI call";
  if (call.communicator == nullptr) return call.name;
  const std::string where = fmt::format("communicator {}", call.communicator->label);
  if (call.peer == MPI_PROC_NULL) return fmt::format("{} ({})", call.name, where);
  const std::string peer = call.peer == MPI_ANY_SOURCE ? "any" : std::to_string(call.peer);
  const std::string tag = call.tag == MPI_ANY_TAG ? "any" : std::to_string(call.tag);
  return fmt::format("{} (peer {}, tag {}, {})", call.name, peer, tag, where);
}

ChannelLayer::ChannelLayer(bool threaded)
    : window_(wire_, by_id_, rank_in_world()), guarded_(threaded), threaded_(threaded) {
  fast.forget_communicator();
  complete_requests.find();
  manage(MPI_COMM_WORLD, make_twin(MPI_COMM_WORLD, MPI_COMM_WORLD), named(world_id, "world"));
  manage(MPI_COMM_SELF, make_twin(MPI_COMM_SELF, MPI_COMM_SELF), named(self_id, "self"));
  bridge_ = make_twin(MPI_COMM_WORLD, MPI_COMM_WORLD);
  forward_errors(bridge_, MPI_COMM_WORLD);
  settle();
}

ChannelLayer::~ChannelLayer() {
  fast = {};
  fast.forget_communicator();
  free_zombies();
  native.Comm_free(&bridge_);
  // Freeing is collective: only what every rank has for sure is freed, MPI_Finalize does the rest.
  for (const std::uint64_t id : {world_id, self_id}) {
    native.Comm_free(&by_id_.at(id)->colours[1]);
  }
}

void ChannelLayer::set_stress() {
  stress_ = true;
  polled_collectives_ = true;
  guarded_ = true;
  fast.plain = fast.quiet = false;
  fast.update();
}

void ChannelLayer::settle() {
  if (guarded_) return;  // nothing is ever plain, and other threads read that without a lock
  fast.colour = window_.colour();
  working_ = std::any_of(progress_.begin(), progress_.end(),
                         [](const Progress* one) { return one->working(); });
  fast.plain = !working_ && !window_.open() && window_.stored_messages() == 0 && zombies_.empty();
  fast.quiet = fast.plain && std::all_of(progress_.begin(), progress_.end(),
                                         [](const Progress* one) { return one->idle(); });
  fast.update();
}

bool ChannelLayer::enter() {
  if (threaded_ && owner_ == std::this_thread::get_id()) return false;
  lock();
  ++inside_;
  return true;
}

void ChannelLayer::leave() {
  --inside_;
  unlock();
}

void ChannelLayer::lock() {
  if (!threaded_) return;
  mutex_.lock();
  owner_ = std::this_thread::get_id();
}

void ChannelLayer::unlock() {
  if (!threaded_) return;
  owner_ = std::thread::id{};
  mutex_.unlock();
}

void ChannelLayer::let_others_run() {
  if (!threaded_) return;
  unlock();
  sched_yield();
  lock();
}

void ChannelLayer::poll() {
  if (progress_.empty() || polling_) return;
  polling_ = true;
  reap_freed();
  for (Progress* progress : progress_) progress->poll();
  polling_ = false;
  settle();
}

void ChannelLayer::add_progress(Progress* progress) {
  progress_.push_back(progress);
  settle();
}

void ChannelLayer::remove_progress(Progress* progress) {
  std::erase(progress_, progress);
  settle();
}

void ChannelLayer::finalize() {
  while (!progress_.empty()) {
    Progress* last = progress_.back();
    last->finalize();
    remove_progress(last);
  }
}

// ---- Communicators

Communicator* ChannelLayer::find_slowly(MPI_Comm handle) {
  Communicator** found = by_handle_.find(handle_key(handle));
  if (found == nullptr) return nullptr;
  fast.remember(handle, **found);
  return *found;
}

void ChannelLayer::manage(MPI_Comm handle, MPI_Comm twin, std::unique_ptr<Communicator> made) {
  made->colours[0] = handle;
  made->colours[1] = twin;
  PMPI_Comm_rank(handle, &made->rank);
  PMPI_Comm_size(handle, &made->size);
  int inter = 0;
  PMPI_Comm_test_inter(handle, &inter);
  made->inter = inter != 0;
  made->remote_size = made->size;
  if (made->inter) PMPI_Comm_remote_size(handle, &made->remote_size);
  forward_errors(twin, handle);
  by_handle_[handle_key(handle)] = made.get();
  const std::uint64_t id = made->id;
  by_id_[id] = std::move(made);
  if (window_.open()) window_.communicator_made();
}

/// Other threads may be in the same collective call that other ranks are in: they must not wait.
MPI_Comm ChannelLayer::make_twin_released(MPI_Comm handle, MPI_Comm parent) {
  unlock();
  const MPI_Comm twin = make_twin(handle, parent);
  lock();
  return twin;
}

void ChannelLayer::adopt(MPI_Comm handle, Communicator& parent) {
  // Creating a communicator is collective over its parent, so all members count alike. Groups
  // that one call makes are told apart by their members, and so is a group that has other members
  // in a restarted run (ranks that share a node, say).
  const std::uint32_t child = ++parent.children;
  if (handle == MPI_COMM_NULL && parent.inter) return;
  // Open MPI makes communicators one after the other, by the number of the communicator that they
  // are made from; threads that make several would block each other if the twin came from another.
  const MPI_Comm twin = make_twin_released(handle, parent.inter ? handle : parent.colours[0]);
  if (handle == MPI_COMM_NULL) return;
  manage(handle, twin, nth_child(parent, child, world_ranks(handle)));
}

void ChannelLayer::adopt_group(MPI_Comm handle, MPI_Comm twin, Communicator& parent, int tag) {
  const std::vector<int> members = world_ranks(handle);
  const std::uint64_t group = mix(hash_of(members), static_cast<std::uint64_t>(tag));
  const std::uint32_t child = ++parent.groups[group];
  const std::uint64_t id = mix(mix(parent.id, child), ~group);
  manage(handle, twin, named(id, label_of(members, parent, child) + "g"));
}

void ChannelLayer::adopt_intercommunicator(MPI_Comm handle, Communicator& local) {
  const std::uint32_t child = ++local.children;
  const std::vector<int> members = world_ranks(handle);
  if (std::any_of(members.begin(), members.end(), [](int member) { return member < 0; })) {
    refuse_for_good("MPI_Intercomm_create");  // with ranks of another job
    return;
  }
  // Each side knows its own past; the sum is the same on both.
  const std::uint64_t own = mix(local.id, child);
  std::uint64_t other = 0;
  const std::uint64_t root_own = local.rank == 0 ? own : 0;
  unlock();
  native.Allreduce(&root_own, &other, 1, MPI_UINT64_T, MPI_SUM, handle);
  lock();
  const MPI_Comm twin = make_twin_released(handle, handle);
  const std::uint64_t id = mix(own + other, hash_of(members));
  manage(handle, twin, named(id, label_of(members, local, child)));
}

std::unique_ptr<Communicator> ChannelLayer::announce_duplicate(Communicator& parent) {
  const std::uint32_t child = ++parent.children;
  return nth_child(parent, child, world_ranks(parent.colours[0]));
}

void ChannelLayer::adopt_duplicate(MPI_Comm handle, MPI_Comm twin,
                                   std::unique_ptr<Communicator> made) {
  manage(handle, twin, std::move(made));
}

bool ChannelLayer::has_pending(const Communicator& communicator) {
  bool pending = false;
  requests_.for_each([&](const Request& request) {
    pending = pending ||
              (request.communicator == &communicator && (request.active() || request.persistent));
  });
  messages_.for_each([&](const MatchedMessage& message) {
    pending = pending || message.communicator == &communicator;
  });
  return pending;
}

int ChannelLayer::release(Communicator& communicator, MPI_Comm* handle, int (*free)(MPI_Comm*)) {
  const std::uint64_t key = handle_key(*handle);
  const bool pending = has_pending(communicator);
  if (!pending) {
    // An attribute's delete function may refuse.
    const int error = free(handle);
    if (error != MPI_SUCCESS) return error;
  }
  *handle = MPI_COMM_NULL;
  if (fast.communicator == &communicator) fast.forget_communicator();
  by_handle_.erase(key);
  if (pending) {
    zombies_.push_back({communicator.id, free});
  } else {
    bury(communicator);
  }
  settle();
  return MPI_SUCCESS;
}

/// Frees in MPI what the program has freed, once nothing of it is pending.
void ChannelLayer::free_zombies() {
  std::erase_if(zombies_, [&](const Zombie& zombie) {
    Communicator& communicator = *by_id_.at(zombie.id);
    if (has_pending(communicator)) return false;
    zombie.free(&communicator.colours[0]);
    bury(communicator);
    return true;
  });
}

/// What is left to do when a communicator has been freed in MPI.
void ChannelLayer::bury(Communicator& communicator) {
  native.Comm_free(&communicator.colours[1]);
  communicator.freed = true;
  while (!communicator.store.empty()) {
    window_.take_stored(communicator, communicator.store.begin());
  }
  bool talked = window_.open();
  communicator.for_each_channel([&](const Channel& channel) {
    talked = talked || channel.wire_sent() > 0 || channel.wire_received() > 0;
  });
  // The next markers may speak of it, unless there are none to come.
  if (talked && !progress_.empty()) {
    freed_.push_back({communicator.id});
  } else {
    by_id_.erase(communicator.id);
  }
}

int ChannelLayer::bridge_tag(std::uint64_t what) { return static_cast<int>(what & 0x7ffeU); }

void ChannelLayer::meet(Communicator& communicator, const char* call) {
  if (!polled_collectives_ || polling_) return;
  const Call outer = current_call_;
  current_call_ = {call, &communicator, MPI_PROC_NULL, MPI_ANY_TAG};
  meet(world_ranks(communicator.colours[0]), communicator.id);
  current_call_ = outer;
}

/// A dissemination barrier (Hensgen, Finkel, Manber, 1988). Not MPI_Ibarrier on the communicator: a
/// Comm_idup of it that is under way gets in its way, as await_duplications() says.
void ChannelLayer::meet(const std::vector<int>& members, std::uint64_t key) {
  if (!polled_collectives_) return;
  int own = 0;
  PMPI_Comm_rank(bridge_, &own);
  const auto self = std::find(members.begin(), members.end(), own);
  if (self == members.end()) return;
  const std::size_t size = members.size();
  const auto rank = static_cast<std::size_t>(self - members.begin());
  for (std::size_t distance = 1; distance < size; distance *= 2) {
    const int tag = bridge_tag(mix(key, distance)) + 1;
    MPI_Request requests[2];
    native.Irecv(nullptr, 0, MPI_BYTE, members[(rank + size - distance) % size], tag, bridge_,
                 &requests[0]);
    native.Isend(nullptr, 0, MPI_BYTE, members[(rank + distance) % size], tag, bridge_,
                 &requests[1]);
    int done = 0;
    while (done == 0) {
      let_others_run();
      poll();
      native.Testall(2, requests, &done, MPI_STATUSES_IGNORE);
    }
  }
}

// ---- Requests

namespace {

/// Whether MPI will refuse it.
bool is_wrong(const Request& receive) {
  if (receive.count < 0 || receive.type == MPI_DATATYPE_NULL) return true;
  if (receive.tag < 0 && receive.tag != MPI_ANY_TAG) return true;
  if (receive.peer == MPI_ANY_SOURCE) return false;
  return receive.peer < 0 || receive.peer >= receive.communicator->remote_size;
}

}  // namespace

int ChannelLayer::post(Request& receive) {
  if (!fast.plain) [[unlikely]]
    settle();
  receive.stamp = ++stamps_;
  receive.complicate();
  receive.counted = false;
  receive.cancelled = false;
  receive.delivered = false;
  Communicator& communicator = *receive.communicator;
  if ((!window_.open() && communicator.store.empty()) || is_wrong(receive)) [[likely]] {
    wire_.post(receive, window_.colour());
    return wire_.post_error();
  }
  window_.post(receive);
  return receive.state == Receive::State::in_mpi && !receive.delivered ? wire_.post_error()
                                                                       : MPI_SUCCESS;
}

void ChannelLayer::announce_in_window(Communicator& communicator, int destination) {
  if (destination < 0 || destination >= communicator.remote_size) return;
  const int world_rank = communicator.channel(destination).world_rank;
  if (!window_.unannounced(world_rank)) return;
  for (Progress* progress : progress_) progress->first_send(world_rank);
}

void ChannelLayer::add_blocking(Request& receive) {
  receive.next_blocking = blocking_;
  blocking_ = &receive;
}

void ChannelLayer::remove_blocking(Request& receive) {
  for (Request** link = &blocking_; *link != nullptr; link = &(*link)->next_blocking) {
    if (*link != &receive) continue;
    *link = receive.next_blocking;
    return;
  }
}

void ChannelLayer::forget(Request& request) {
  if (request.own_type) [[unlikely]] {
    native.Type_free(&request.type);
    request.own_type = false;
  }
  if (request.persistent) [[unlikely]] {
    for (MPI_Request& twin : request.twins) {
      if (twin != MPI_REQUEST_NULL) native.Request_free(&twin);
    }
  }
  request.reset();
  requests_.put(request);
  if (zombies_.empty()) return;
  free_zombies();
  settle();
}

void ChannelLayer::observed(Request& receive, MPI_Status& status) {
  receive.complicate();
  received(receive, status);
  receive.observed = true;
}

void ChannelLayer::complete_later(Request& receive) {
  reap_freed();
  receive.freed = true;
  ++to_complete_;
}

void ChannelLayer::reap_freed() {
  if (to_complete_ == 0) return;
  requests_.for_each([&](Request& request) {
    if (!request.freed) return;
    wire_.advance(request);
    if (request.state != Receive::State::in_mpi) return;
    int done = 0;
    MPI_Status status;
    native.Test(&request.real, &done, &status);
    if (done == 0) return;
    received(request, status);
    --to_complete_;
    forget(request);
  });
}

std::size_t ChannelLayer::pending_requests() {
  reap_freed();
  std::size_t pending = complete_requests.pending;
  requests_.for_each([&](const Request& request) { pending += request.active() ? 1 : 0; });
  messages_.for_each([&](const MatchedMessage&) { ++pending; });
  return pending;
}

// ---- Refusals

void ChannelLayer::refuse_for_good(const char* call) {
  if (uncovered_call_ == nullptr) uncovered_call_ = call;
}

void ChannelLayer::opened(std::uint64_t handle, const char* what, Communicator& communicator) {
  open_[handle] = {what, communicator.id};
}

void ChannelLayer::closed(std::uint64_t handle) { open_.erase(handle); }

Communicator* ChannelLayer::opened_on(std::uint64_t handle) {
  const auto open = open_.find(handle);
  if (open == open_.end()) return nullptr;
  const auto found = by_id_.find(open->second.communicator);
  return found == by_id_.end() || found->second->freed ? nullptr : found->second.get();
}

/// Why a pending request is in the way of an epoch; empty when it is not.
std::string ChannelLayer::why_not_pending(const Request& request, const MayPend& may_pend) const {
  const std::string what =
      describe({request.call, request.communicator, request.peer, request.tag});
  const bool message =
      request.kind == Request::Kind::send || request.kind == Request::Kind::receive;
  if (!message) {
    return fmt::format(
        "{} is pending, and a restart can't take a collective call up in the middle; complete it "
        "before the safe point",
        what);
  }
  if (!may_pend(request)) {
    return fmt::format(
        "the request of {} is pending and would be lost by a restart; complete it before the safe "
        "point, or protect() it, or see CAIRN_PENDING_REQUESTS",
        what);
  }
  const bool freed = std::any_of(zombies_.begin(), zombies_.end(), [&](const Zombie& zombie) {
    return zombie.id == request.communicator->id;
  });
  if (!freed) return {};
  return fmt::format("the request of {} is pending, and the program has freed its communicator",
                     what);
}

/// Likewise, of complete requests: which of them are pending is not known, but the last send is.
std::string ChannelLayer::why_not_complete() {
  const Communicator* communicator = nullptr;
  for (const auto& [id, one] : by_id_) {
    one->for_each_channel([&, &owner = one](const Channel& channel) {
      if (&channel == complete_requests.channel) communicator = owner.get();
    });
  }
  std::string last;
  if (communicator != nullptr) {
    const Call call{"the last one: MPI_Isend", communicator, complete_requests.channel->peer,
                    complete_requests.tag};
    last = fmt::format(" ({})", describe(call));
  }
  return fmt::format(
      "{} requests of MPI_Isend or to MPI_PROC_NULL, complete in MPI{}, are pending and would be "
      "lost by a restart; complete them before the safe point, or protect() them, or see "
      "CAIRN_PENDING_REQUESTS",
      complete_requests.pending, last);
}

std::optional<std::string> ChannelLayer::refusal(const MayPend& may_pend,
                                                 std::size_t complete_may_pend) {
  if (uncovered_call_ != nullptr) {
    return fmt::format("the program has called {}, after which no checkpoint can be taken",
                       uncovered_call_);
  }
  if (!open_.empty()) {
    return fmt::format("an {} of the program is open", open_.begin()->second.what);
  }
  reap_freed();
  if (threaded_ && inside_ > 1) return "another thread of the program is in an MPI call";
  std::optional<std::string> why;
  requests_.for_each([&](const Request& pending) {
    if (why || !pending.active()) return;
    if (auto reason = why_not_pending(pending, may_pend); !reason.empty()) why = std::move(reason);
  });
  messages_.for_each([&](const MatchedMessage& message) {
    if (why) return;
    why = fmt::format(
        "a message that MPI_Mprobe has matched (source {}, tag {}, communicator {}) is pending and "
        "would be lost by a restart; receive it before the safe point",
        message.envelope.source, message.envelope.tag, message.communicator->label);
  });
  // last, as it can't say which of them
  if (!why && complete_requests.pending > complete_may_pend) why = why_not_complete();
  return why;
}

}  // namespace cairn::mpi
