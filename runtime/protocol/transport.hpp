// What the protocol engines need from the world: a network, a clock, channels. On MPI in
// mpi_transport.hpp; simulated in the tests.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/protocol/round.hpp"

namespace cairn::protocol {

/// Number of messages sent to a peer on one communicator before a cut.
struct MarkerCount {
  std::uint64_t communicator = 0;
  std::uint64_t messages = 0;
};

/// What a rank tells a peer at its cut: how many messages of the old colour are on their way.
struct Marker {
  int peer = 0;  ///< destination when sent, source when received
  std::uint64_t epoch = 0;
  std::vector<MarkerCount> counts;
  /// The last two say nothing of channels, but that the epoch has begun (E2), or is aborted (I9).
  enum class Kind : std::uint8_t { counts, announcement, abort };
  Kind kind = Kind::counts;
};

/// The network between the ranks of a job. Nothing blocks.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Seconds since some fixed time.
  virtual double now() = 0;

  /// Joins the next round with this contribution. Collective: every rank starts the same rounds in
  /// the same order; several may be under way.
  virtual void start_round(const Round& contribution) = 0;
  /// The combined contributions of the oldest round under way, once all ranks have joined it.
  virtual std::optional<Round> finish_round() = 0;

  /// Sends a marker; markers_received() is true when all that were sent have been received.
  virtual void send_marker(const Marker& marker) = 0;
  virtual bool markers_received() = 0;
  virtual std::optional<Marker> receive_marker() = 0;
  /// A non-blocking barrier.
  virtual void start_barrier() = 0;
  virtual bool barrier_done() = 0;
};

/// The program's channels, as a protocol sees them.
class Channels {
 public:
  virtual ~Channels() = default;
  /// Ends the colour interval; returns a marker for each peer that was sent anything. `record`:
  /// keeps the messages in flight.
  virtual std::vector<Marker> flip(bool record) = 0;
  /// Takes in a peer's marker; false when it names a communicator that this rank can't have.
  virtual bool expect(const Marker& marker) = 0;
  /// All markers of this epoch are in.
  virtual void no_more_markers() {}
  /// Takes late messages (of the colour before the flip) off the network.
  virtual void pull_late() = 0;
  /// Whether all late messages that markers have announced are in.
  virtual bool drained() = 0;
};

}  // namespace cairn::protocol
