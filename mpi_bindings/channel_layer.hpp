// The two-colour channel layer: which communicators exist, what is in flight on them, and the
// operations that a checkpoint protocol needs. DESIGN.md section 3 and PROTOCOL.md give the rules.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mpi_bindings/communicator.hpp"
#include "mpi_bindings/request_table.hpp"

namespace cairn::mpi {

/// What the runtime does inside MPI calls of the program.
class Progress {
 public:
  virtual ~Progress() = default;
  /// Called again and again while the program is blocked in a polled MPI call.
  virtual void poll() = 0;
  /// Called at the start of MPI_Finalize, on every rank.
  virtual void finalize() = 0;
};

/// A blocking call of the program, for reports.
struct Call {
  const char* name = nullptr;
  const Communicator* communicator = nullptr;
  int peer = MPI_PROC_NULL;
  int tag = MPI_ANY_TAG;
};

/// "MPI_Recv (source 3, tag 7, communicator world.1)"
std::string describe(const Call& call);

/// Number of messages sent to a peer in the colour interval that a cut has ended.
struct SentCount {
  std::uint64_t communicator = 0;
  std::uint64_t messages = 0;
};

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
  ChannelLayer();
  /// Frees everything. Collective, right before PMPI_Finalize.
  ~ChannelLayer();
  ChannelLayer(const ChannelLayer&) = delete;
  ChannelLayer& operator=(const ChannelLayer&) = delete;

  // ---- Per message.
  /// The record of a handle; nullptr when it is not managed (I6): such calls go straight to PMPI.
  Communicator* find(MPI_Comm handle) {
    if (handle == last_handle_) [[likely]]
      return last_;
    return find_slowly(handle);
  }
  int colour() const { return colour_; }
  MPI_Comm coloured(const Communicator& communicator) const {
    return communicator.colours[colour_];
  }
  void count_sent(Communicator& communicator, int destination) {
    Channel& channel = communicator.channel(destination);
    ++channel.sent;
    ++channel.wire_sent;
  }
  void count_received(Communicator& communicator, int source, int colour) {
    Channel& channel = communicator.channel(source);
    ++channel.received;
    ++(colour == colour_ ? channel.wire_received : channel.old_wire_received);
  }
  /// A receive that was served from the store: it has been counted on the wire already (C1).
  void count_delivered(Communicator& communicator, int source) {
    ++communicator.channel(source).received;
  }
  RequestTable& requests() { return requests_; }
  void poll() {
    if (progress_ != nullptr) progress_->poll();
  }

  /// Starts the delivery of a stored message into the program's buffer (B4): `request` completes
  /// as a receive would, truncation included. The message leaves the store.
  int deliver(Communicator& communicator, std::list<StoredMessage>::iterator message, void* buffer,
              int count, MPI_Datatype type, MPI_Request* request);

  // ---- Communicators.
  /// Manages a communicator that the program has just made from `parent`. Collective over it.
  void adopt(MPI_Comm handle, Communicator& parent);
  /// Forgets a communicator; frees its twin. Collective over it; before PMPI_Comm_free.
  void release(Communicator& communicator);

  // ---- What keeps an epoch from being taken.
  /// The program has made a call that Cairn does not cover: no epoch from here on (I7).
  void refuse_for_good(const char* call);
  /// Files and windows of the program that are open; an epoch is put off while there are any.
  void count_open(const char* what, int change);
  /// Why no epoch can be taken here and now; nothing when it can. Local.
  std::optional<std::string> refusal();

  // ---- For the protocol.
  void set_progress(Progress* progress) { progress_ = progress; }
  Progress* progress() const { return progress_; }
  /// The call that the program is blocked in.
  Call& current_call() { return current_call_; }
  /// Counts the calls in which the program has had to wait, to tell one from the next.
  std::uint64_t& blocked_calls() { return blocked_calls_; }
  /// Takes every message of `colour` that has arrived off MPI into the store, so that peers in
  /// rendezvous sends can finish (I5). Stops when the store holds `limit_bytes`.
  void pull(int colour, std::size_t limit_bytes);
  /// Ends the colour interval: from here on the program talks in the other colour. Returns, per
  /// peer (rank of MPI_COMM_WORLD), what this rank has sent to it in the interval.
  std::map<int, std::vector<SentCount>> flip();
  /// A peer's marker: it sent us that many messages in the old colour. False: no such
  /// communicator here.
  bool expect(int source_world_rank, const SentCount& count);
  /// Whether every message that markers have announced is in (M7).
  bool drained();
  /// Over all communicators, a number whose sum over all ranks is 0 when all members have made
  /// the same number of collective calls on each (E4).
  std::uint64_t collective_fingerprint();
  std::size_t stored_bytes() const { return stored_bytes_; }
  /// Messages that pull() has taken off MPI so far.
  std::size_t pulled_messages() const { return pulled_messages_; }

  // ---- Channel state, saved and restored.
  std::vector<ChannelMessage> messages();
  std::vector<ChannelCount> counts();
  const std::map<std::uint64_t, std::unique_ptr<Communicator>>& communicators() const {
    return by_id_;
  }
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
  void manage(MPI_Comm handle, std::uint64_t id, std::string label);
  void reap_self_sends();

  int colour_ = 0;
  MPI_Comm last_handle_ = MPI_COMM_NULL;
  Communicator* last_ = nullptr;
  FlatMap<Communicator*> by_handle_;
  std::map<std::uint64_t, std::unique_ptr<Communicator>> by_id_;
  /// Freed by the program while requests on them were pending (MPI allows it).
  std::vector<std::unique_ptr<Communicator>> freed_;
  RequestTable requests_;
  Progress* progress_ = nullptr;
  Call current_call_;
  std::uint64_t blocked_calls_ = 0;
  std::size_t stored_bytes_ = 0;
  std::size_t pulled_messages_ = 0;
  const char* uncovered_call_ = nullptr;
  std::map<std::string, int> open_;

  MPI_Comm self_ = MPI_COMM_NULL;  ///< carries deliveries
  struct SelfSend {
    std::vector<std::byte> bytes;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  std::list<SelfSend> self_sends_;
};

/// The layer, or nullptr outside MPI_Init … MPI_Finalize, inside Cairn's own use of HDF5, and in
/// programs that it does not manage: then every wrapper is PMPI.
extern ChannelLayer* layer;

/// Why there is no layer although MPI is up; "" when there is one or MPI is not up.
extern const char* layer_missing_because;

/// While it lives, MPI calls of this process go straight to PMPI (I6).
class Unmanaged {
 public:
  Unmanaged() : saved_(layer) { layer = nullptr; }
  ~Unmanaged() { layer = saved_; }
  Unmanaged(const Unmanaged&) = delete;
  Unmanaged& operator=(const Unmanaged&) = delete;

 private:
  ChannelLayer* saved_;
};

}  // namespace cairn::mpi
