// The two-colour channel layer: which communicators and requests exist, what is in flight, and the
// operations that a checkpoint protocol needs. DESIGN.md section 3 and PROTOCOL.md give the rules.
#pragma once

#include <mpi.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mpi_bindings/communicator.hpp"
#include "mpi_bindings/complete_requests.hpp"
#include "mpi_bindings/fast_path.hpp"
#include "mpi_bindings/handle_key.hpp"
#include "mpi_bindings/mpi_wire.hpp"
#include "mpi_bindings/request.hpp"
#include "mpi_bindings/window.hpp"

namespace cairn::mpi {

/// What the runtime does inside MPI calls of the program.
class Progress {
 public:
  virtual ~Progress() = default;
  /// Called again and again while the program is blocked in a polled MPI call, and now and then in
  /// others.
  virtual void poll() = 0;
  /// Whether poll() would do nothing, however long it takes until the program's next call. What
  /// changes it calls ChannelLayer::settle().
  virtual bool idle() const { return false; }
  /// Whether poll() has a piece of work before it that takes several calls: then it is called now
  /// and then in every MPI call of the program's.
  virtual bool working() const { return false; }
  /// Called at the start of MPI_Finalize, on every rank.
  virtual void finalize() = 0;
  /// The program has made an MPI call. Only with ChannelLayer::stress().
  virtual void called() {}
  /// A message is about to go to a rank that has had no marker in this window.
  virtual void first_send(int /*world_rank*/) {}
};

/// A blocking call of the program, for reports.
struct Call {
  const char* name = nullptr;
  const Communicator* communicator = nullptr;
  int peer = MPI_PROC_NULL;
  int tag = MPI_ANY_TAG;
  /// The requests that it waits for, all of them.
  const MPI_Request* requests = nullptr;
  int count = 0;
};

/// "MPI_Recv (source 3, tag 7, communicator world.1)"
std::string describe(const Call& call);

/// A message of the channel state, with its ends as ranks of MPI_COMM_WORLD.
struct ChannelMessage {
  std::uint64_t communicator = 0;
  int source = 0;
  int tag = 0;
  std::vector<std::byte> bytes;
};

/// Program counters of one channel; `peer` is a rank of MPI_COMM_WORLD.
struct ChannelCount {
  std::uint64_t communicator = 0;
  int peer = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

class ChannelLayer {
 public:
  /// Starts managing MPI_COMM_WORLD and MPI_COMM_SELF. Collective, right after MPI_Init.
  /// `threaded`: several threads of the program call MPI at once; then only one is inside a
  /// wrapper.
  explicit ChannelLayer(bool threaded);
  /// Frees everything. Collective, right before MPI's own Finalize.
  ~ChannelLayer();
  ChannelLayer(const ChannelLayer&) = delete;
  ChannelLayer& operator=(const ChannelLayer&) = delete;

  // ---- Per message.
  /// The record of a handle; nullptr when it is not managed (I6): such calls go straight to MPI.
  Communicator* find(MPI_Comm handle) {
    if (handle == fast.comm) [[likely]]
      return fast.communicator;
    return find_slowly(handle);
  }
  Window& window() { return window_; }
  int colour() const { return window_.colour(); }
  MPI_Comm coloured(const Communicator& communicator) const {
    return communicator.colours[window_.colour()];
  }
  /// Before a message is sent.
  void announce(Communicator& communicator, int destination) {
    if (window_.open()) [[unlikely]]
      announce_in_window(communicator, destination);
  }
  Request& new_request(Request::Kind kind, const char* call, Communicator& communicator, int peer,
                       int tag) {
    Request& request = requests_.take();
    request.communicator = &communicator;
    request.begin(kind, window_.colour(), call, peer, tag);
    request.complicate();
    return request;
  }
  /// The program is done with it.
  void forget(Request& request);
  /// The number of a receive in the order of posting.
  std::uint64_t next_stamp() { return ++stamps_; }
  /// The program sees what a receive has got, or has freed it: counts it, once, and gives the
  /// status of a message from the store that message's envelope.
  void received(Request& receive, MPI_Status& status) {
    if (receive.delivered) [[unlikely]] {
      status.MPI_SOURCE = receive.envelope.source;
      status.MPI_TAG = receive.envelope.tag;
    }
    if (status.MPI_SOURCE < 0) return;
    if (receive.recorded != nullptr) [[unlikely]] {
      wire_.fill_record(receive, status);
      receive.recorded.reset();
    }
    if (std::exchange(receive.observed, false)) [[unlikely]]
      return;
    window_.received(receive, status.MPI_SOURCE);
  }
  /// MPI_Request_get_status has shown the program that a receive is complete (C5).
  void observed(Request& receive, MPI_Status& status);
  /// The program has freed an active receive: Cairn completes it (C5).
  void complete_later(Request& receive);
  /// Posts a receive whose envelope and buffer are set; returns MPI's error for wrong arguments.
  int post(Request& receive);
  /// Makes a receive known that is not in the pool, while its call blocks.
  void add_blocking(Request& receive);
  void remove_blocking(Request& receive);
  Requests& requests() { return requests_; }
  Messages& matched() { return messages_; }
  MpiWire& wire() { return wire_; }
  /// Whether the runtime is at work: it must not be called again, and its MPI calls are its own.
  bool& polling() { return polling_; }
  /// Lets the runtime work.
  void poll();
  /// Likewise, now and then: for calls that are repeated.
  void poll_sometimes() {
    if (!progress_.empty() && (stress_ || (++calls_ & 7U) == 0)) poll();
  }

  // ---- Threads and stress: what the wrappers ask at entry.
  bool guarded() const { return guarded_ || working_; }
  bool threaded() const { return threaded_; }
  /// A thread enters a wrapper, and leaves it. enter() is false in a wrapper that a wrapper of this
  /// thread has called: then nothing is to be done, and not leave() to be called.
  bool enter();
  void leave();
  /// For as long as a thread is blocked inside MPI. Nothing when there is but one.
  void unlock();
  void lock();
  void let_others_run();
  /// From now on Progress::called() is called at each MPI call, and blocking collectives are polled
  /// (B1). At the start of MPI only.
  void set_stress();
  bool stress() const { return stress_; }
  /// Blocking collectives wait in meet() until all members have come (B1). On all ranks alike.
  void poll_collectives(bool polled) { polled_collectives_ = polled; }
  void called() {
    if (polling_) return;
    for (Progress* progress : progress_) progress->called();
  }
  /// Waits, polling, until all members are about to make a blocking collective call. Does nothing
  /// unless collectives are polled.
  void meet(Communicator& communicator, const char* call);
  /// Likewise, of some ranks of MPI_COMM_WORLD, which give the same `key`.
  void meet(const std::vector<int>& members, std::uint64_t key);
  /// A communicator of all ranks that carries nothing but what Open MPI itself sends, point to
  /// point and with the program's tag, while it makes communicators: on the program's own
  /// communicator Cairn would take those messages for the program's. And a tag for that; meetings
  /// use others.
  MPI_Comm bridge() const { return bridge_; }
  static int bridge_tag(std::uint64_t what);

  // ---- Communicators.
  /// Manages a communicator that the program has just made from `parent`. Collective over it.
  void adopt(MPI_Comm handle, Communicator& parent);
  /// Likewise, of a group whose members alone have called.
  void adopt_group(MPI_Comm handle, MPI_Comm twin, Communicator& parent, int tag);
  /// Likewise, an intercommunicator made from `local` on each side.
  void adopt_intercommunicator(MPI_Comm handle, Communicator& local);
  /// The same in two steps, for a communicator that is made in the background: takes its number,
  /// and manages it with a twin that was made in the background, too.
  std::unique_ptr<Communicator> announce_duplicate(Communicator& parent);
  void adopt_duplicate(MPI_Comm handle, MPI_Comm twin, std::unique_ptr<Communicator> made);
  /// The program frees it. Forgets it, and frees it in MPI with `free`, now or as soon as no
  /// request on it is pending. Returns MPI's error; then nothing has happened. Collective over it.
  int release(Communicator& communicator, MPI_Comm* handle, int (*free)(MPI_Comm*));

  // ---- What keeps an epoch from being taken.
  /// The program has made a call that Cairn can't cover: no epoch from here on (I7).
  void refuse_for_good(const char* call);
  /// Files and windows of the program that are open, by handle_key(); an epoch is put off while
  /// there are any.
  void opened(std::uint64_t handle, const char* what, Communicator& communicator);
  void closed(std::uint64_t handle);
  /// The communicator of an open file or window; nullptr when it is not known.
  Communicator* opened_on(std::uint64_t handle);
  bool has_open() const { return !open_.empty(); }
  /// Which sends and receives may be pending at an epoch's cut. The others, and all operations of
  /// other kinds, are in its way.
  using MayPend = std::function<bool(const Request& pending)>;
  static bool none_may_pend(const Request&) { return false; }
  /// Why no epoch can be taken here and now; nothing when it can. `complete_may_pend`: how many
  /// CompleteRequests may. Local.
  std::optional<std::string> refusal(const MayPend& may_pend = none_may_pend,
                                     std::size_t complete_may_pend = 0);
  /// Why no epoch can ever be taken any more.
  const char* uncovered_call() const { return uncovered_call_; }
  /// Whether the program is in a blocking receive or probe that has got nothing yet, so that it can
  /// be called again after a restart.
  bool in_repeatable_call() const;
  /// What the program's blocking call can't do without: so many messages from a source.
  struct AwaitedChannel {
    std::uint64_t communicator;
    int source;                   ///< rank of MPI_COMM_WORLD
    std::uint64_t wire_received;  ///< in this colour interval
    std::uint64_t needed;         ///< more than these
  };
  std::vector<AwaitedChannel> awaited_channels();
  /// Requests and matched messages that the program has yet to complete.
  std::size_t pending_requests();

  // ---- For the protocol.
  /// Called in this order; finalize() in reverse order. Not from within poll().
  void add_progress(Progress* progress);
  void remove_progress(Progress* progress);
  /// Finds out anew how much there is to do per message.
  void settle();
  bool has_progress() const { return !progress_.empty(); }
  /// The program is in MPI_Finalize. Collective.
  void finalize();
  /// The call that this thread of the program is blocked in.
  static Call& current_call() { return current_call_; }
  /// Counts the calls in which the program has had to wait, to tell one from the next.
  std::uint64_t& blocked_calls() { return blocked_calls_; }
  /// Ends the colour interval: from here on the program talks in the other colour. Returns, per
  /// peer (rank of MPI_COMM_WORLD), what this rank has sent to it in the interval. `record`: the
  /// window keeps what is in flight.
  std::map<int, std::vector<SentCount>> cut(bool record = false);
  /// Makes what progress is possible in the window; true when it is closed.
  bool advance();
  /// Takes what has arrived in the present colour into the store (I5), up to `limit` bytes.
  void pull_current(std::size_t limit_bytes);
  /// Whether the bytes of all stored and recorded messages are here; makes progress with those.
  bool all_arrived();
  /// Over all communicators, a number whose sum over all ranks is 0 when all members have made
  /// the same number of collective calls on each (E4).
  std::uint64_t collective_fingerprint();

  // ---- Channel state, saved and restored.
  std::vector<ChannelMessage> messages();
  std::vector<ChannelCount> counts();
  const Window::Communicators& communicators() const { return by_id_; }
  /// Messages sent less messages received since MPI_Init; summed over all ranks 0 when none is in
  /// flight.
  std::int64_t balance();
  /// Replaces counters and store by those of a checkpoint. Counters of communicators that the
  /// program has not made again are dropped, on all their members alike. Returns the id of such a
  /// communicator when messages were in flight on it: nothing is restored then.
  std::optional<std::uint64_t> restore(const std::vector<ChannelCount>& counts,
                                       std::vector<ChannelMessage> messages);

 private:
  Communicator* find_slowly(MPI_Comm handle);
  void announce_in_window(Communicator& communicator, int destination);
  void manage(MPI_Comm handle, MPI_Comm twin, std::unique_ptr<Communicator> made);
  MPI_Comm make_twin_released(MPI_Comm handle, MPI_Comm parent);
  bool has_pending(const Communicator& communicator);
  std::string why_not_pending(const Request& request, const MayPend& may_pend) const;
  std::string why_not_complete();
  bool waits_for_message() const;
  void free_zombies();
  void bury(Communicator& communicator);
  void reap_freed();
  void fill_records();

  Window::Communicators by_id_;
  FlatMap<Communicator*> by_handle_;
  MpiWire wire_;
  Window window_;
  Requests requests_;
  Messages messages_;
  Request* blocking_ = nullptr;  ///< receives of blocking calls that wait
  std::uint64_t stamps_ = 0;
  int to_complete_ = 0;  ///< receives that the program has freed
  std::vector<Progress*> progress_;
  bool polling_ = false;
  bool guarded_ = false;  ///< threaded_ or stress_
  bool working_ = false;  ///< some Progress is
  bool threaded_ = false;
  bool stress_ = false;
  bool polled_collectives_ = false;
  unsigned calls_ = 0;
  int inside_ = 0;  ///< threads that are inside a wrapper
  std::mutex mutex_;
  std::atomic<std::thread::id> owner_;
  MPI_Comm bridge_ = MPI_COMM_NULL;
  [[gnu::tls_model("initial-exec")]] static constinit thread_local Call current_call_;
  std::uint64_t blocked_calls_ = 0;
  const char* uncovered_call_ = nullptr;
  struct Open {
    const char* what;
    std::uint64_t communicator;
  };
  std::map<std::uint64_t, Open> open_;
  /// Freed by the program while requests on them were pending (MPI allows it).
  struct Zombie {
    std::uint64_t id;
    int (*free)(MPI_Comm*);
  };
  std::vector<Zombie> zombies_;
  /// Freed in MPI, too; kept for the markers of the next two cuts.
  struct Freed {
    std::uint64_t id;
    int cuts = 0;
  };
  std::vector<Freed> freed_;
};

/// The layer, or nullptr outside MPI_Init … MPI_Finalize: then every wrapper is MPI's function.
[[gnu::visibility("hidden")]] extern ChannelLayer* layer;

/// While it lives, no other thread's wrapper runs.
class Alone {
 public:
  Alone() : entered_(layer->enter()) {}
  ~Alone() {
    if (entered_) layer->leave();
  }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  bool entered_;
};

/// While it lives, other threads' wrappers may run: around what blocks inside MPI.
class Released {
 public:
  Released() {
    if (layer != nullptr && layer->threaded()) [[unlikely]] {
      released_ = layer;
      released_->unlock();
    }
  }
  ~Released() {
    if (released_ != nullptr) [[unlikely]]
      released_->lock();
  }
  Released(const Released&) = delete;
  Released& operator=(const Released&) = delete;

 private:
  ChannelLayer* released_ = nullptr;
};

/// Calls MPI, and lets other threads' wrappers run meanwhile.
template <class Function, class... Arguments>
auto released(Function function, Arguments... arguments) {
  const Released others_run;
  return function(arguments...);
}

/// While it lives, MPI calls of this thread don't let the runtime work: it is at work itself.
class WithoutPolling {
 public:
  WithoutPolling() : saved_(std::exchange(layer->polling(), true)) {}
  ~WithoutPolling() { layer->polling() = saved_; }
  WithoutPolling(const WithoutPolling&) = delete;
  WithoutPolling& operator=(const WithoutPolling&) = delete;

 private:
  bool saved_;
};

/// What the runtime does when MPI starts, if anything. Set before main().
extern void (*layer_started)(ChannelLayer& layer);

}  // namespace cairn::mpi
