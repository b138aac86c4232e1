// What stands behind the request and message handles that the program holds.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <memory>

#include "mpi_bindings/handles.hpp"
#include "mpi_bindings/window.hpp"

namespace cairn::mpi {

/// A request of the program. Receives use all of their base; others only state, peer, tag and
/// communicator.
struct Request : Receive {
  enum class Kind : std::uint8_t { send, receive, collective, duplication };
  Kind kind = Kind::send;
  bool persistent = false;
  bool cancelled = false;   ///< the program has called MPI_Cancel
  bool freed = false;       ///< the program has called MPI_Request_free; Cairn completes it (C5)
  bool own_type = false;    ///< `type` is Cairn's copy: the program has freed its own
  MPI_Request real = MPI_REQUEST_NULL;  ///< in_mpi: the request in MPI
  MPI_Request twins[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};  ///< persistent: one per colour
  const char* call = "";                ///< name of the MPI call that made it
  // Receives:
  void* buffer = nullptr;
  int count = 0;
  MPI_Datatype type = MPI_DATATYPE_NULL;
  bool delivered = false;  ///< from the store: the envelope is here, not in MPI's status
  Envelope envelope;
  std::unique_ptr<StoredMessage> message;  ///< assigned: not all here yet
  // Duplications: the communicator that is being made, and its twin's request.
  MPI_Comm duplicate = MPI_COMM_NULL;
  std::unique_ptr<Communicator> made;
  MPI_Request real_twin = MPI_REQUEST_NULL;

  // Pool
  bool in_use = false;
  std::uint32_t index = 0;
  Request* next_free = nullptr;
  Request* next_blocking = nullptr;  ///< receives of blocking calls that wait, not in the pool

  /// Whether the program has a request under way that MPI or Cairn has yet to complete.
  bool active() const { return state != State::inactive; }
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
