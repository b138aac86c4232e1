// What stands behind the request and message handles that the program holds.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <memory>

#include "mpi_bindings/handles.hpp"
#include "mpi_bindings/window.hpp"

namespace cairn::mpi {

/// A request of the program. Receives use all of their base; others only state, peer, tag and
/// communicator. In the order of use: a send touches one cache line of it, a receive two.
struct alignas(64) Request : Receive {
  enum class Kind : std::uint8_t { send, receive, collective, duplication, buffered_send };

  Request() { state = State::in_mpi; }

  /// A send or receive that is under way in MPI, and that nobody has touched since it was begun:
  /// when MPI completes it there is nothing to do but to count.
  bool simple = false;  // set to false with complicate()
  Kind kind = Kind::send;
  bool persistent = false;
  bool cancelled = false;  ///< the program has called MPI_Cancel
  bool freed = false;      ///< the program has called MPI_Request_free; Cairn completes it (C5)
  bool own_type = false;   ///< `type` is Cairn's copy: the program has freed its own
  bool delivered = false;  ///< from the store: the envelope is here, not in MPI's status
  bool in_use = false;     // Pool
  MPI_Request real = MPI_REQUEST_NULL;  ///< in_mpi: the request in MPI
  /// What is to be increased when it completes, and that is all; or else `complicated`, when it is
  /// not simple, or persistent, or a receive from any source.
  std::uint64_t* tally = &complicated;
  Request* next_free = nullptr;  // Pool
  const char* call = "";         ///< name of the MPI call that made it
  // Receives, and persistent buffered sends:
  void* buffer = nullptr;
  MPI_Datatype type = MPI_DATATYPE_NULL;
  int count = 0;

  // What few requests need.
  std::uint32_t index = 0;                                      // Pool
  MPI_Request twins[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};  ///< persistent: one per colour
  Envelope envelope;                                            ///< delivered: the message's
  std::unique_ptr<StoredMessage> message;                       ///< assigned: not all here yet
  MPI_Comm duplicate = MPI_COMM_NULL;                           ///< duplication: what is being made
  std::unique_ptr<Communicator> made;         ///< duplication: its record to be, with its twin
  MPI_Request real_twin = MPI_REQUEST_NULL;   ///< duplication: the twin's request
  std::shared_ptr<RecordedMessage> recorded;  ///< by an epoch: its bytes are those received
  bool observed = false;  ///< MPI_Request_get_status has shown it complete: it is counted (C5)
  Request* next_blocking = nullptr;  ///< receives of blocking calls that wait, not in the pool

  /// 0, but while a call counts the requests that are not for its short cut.
  static inline std::uint64_t complicated = 0;

  /// Whether the program has a request under way that MPI or Cairn has yet to complete.
  bool active() const { return state != State::inactive; }

  /// Makes a fresh request, or one that has been reset, a send or receive of the simplest kind.
  /// Its communicator and tally are set already.
  void begin(Kind request_kind, int request_colour, const char* name, int request_peer,
             int request_tag) {
    // These eight are one word.
    simple = true;
    kind = request_kind;
    persistent = cancelled = freed = own_type = delivered = false;
    in_use = true;
    colour = static_cast<std::uint8_t>(request_colour);
    peer = request_peer;
    tag = request_tag;
    call = name;
  }
  /// From now on there is more to do when it completes.
  void complicate() {
    simple = false;
    tally = &complicated;
  }
  /// As it was made, but for what begin() sets. Simple requests need none.
  void reset() {
    state = State::in_mpi;
    counted = false;
    observed = false;
    recorded.reset();
  }
};

/// A message that the program has matched (MPI_Mprobe) and not received.
struct MatchedMessage {
  Communicator* communicator = nullptr;
  Envelope envelope;
  MPI_Message real = MPI_MESSAGE_NULL;
  std::unique_ptr<StoredMessage> stored;  ///< else from the store
  // Pool
  bool in_use = false;
  std::uint32_t index = 0;
  MatchedMessage* next_free = nullptr;
};

using Requests = Pool<Request, MPI_Request>;
using Messages = Pool<MatchedMessage, MPI_Message>;

}  // namespace cairn::mpi
