// The window's Wire on the simulated MPI, and the requests that it works on: what mpi_wire.hpp and
// request.hpp are on MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "mpi_bindings/window.hpp"
#include "tests/simulation/window_world.hpp"

namespace cairn::window_simulation {

/// A receive of the program.
struct SimReceive : mpi::Receive {
  std::uint64_t buffer = 0;  ///< gets the message's number
  Reception* real = nullptr;
  bool cancelled = false;  ///< the program has called MPI_Cancel
  bool freed = false;      ///< the program has called MPI_Request_free
  bool delivered = false;  ///< from the store: the envelope is here, not in MPI's status
  mpi::Envelope envelope;
  std::unique_ptr<mpi::StoredMessage> message;     ///< assigned: not all here yet
  std::shared_ptr<mpi::RecordedMessage> recorded;  ///< by an epoch: its bytes are those received
  // For the checks:
  bool is_matched_message = false;  ///< MPI_Mrecv: the probe has been recorded
  std::uint64_t given_at = 0;       ///< delivered: when
};

class SimWire : public mpi::Wire {
 public:
  SimWire(World& world, int rank) : world_(world), rank_(rank) {}

  Outcome cancel(mpi::Receive& receive, int& source) override;
  bool resolved(mpi::Receive& receive, int& source) override;
  void post(mpi::Receive& receive, int colour) override;
  bool pull(mpi::Communicator& communicator, int colour, mpi::StoredMessage& message) override;
  bool probe(mpi::Communicator& communicator, int colour, int source, int tag,
             mpi::Envelope& envelope) override;
  void take(mpi::Receive& receive, int colour, const mpi::Envelope& envelope) override;
  void deliver(mpi::Receive& receive, mpi::StoredMessage&& message) override;
  void keep(mpi::Receive& receive, std::shared_ptr<mpi::RecordedMessage> recorded) override {
    static_cast<SimReceive&>(receive).recorded = std::move(recorded);
  }

  /// Fills in what an epoch records of a receive, if it is complete.
  void keep_now(SimReceive& receive);
  bool arrived(mpi::Payload& payload) const;
  void advance(SimReceive& receive);
  void complete_cancelled(SimReceive& receive);

 private:
  void start_delivery(SimReceive& receive, mpi::StoredMessage&& message);

  World& world_;
  int rank_;
};

Context context_of(const mpi::Communicator& communicator, int colour);
std::byte* bytes_of(std::uint64_t& buffer);
/// Which message it is, even before its bytes are here.
std::uint64_t number_of(const mpi::Payload& payload);

}  // namespace cairn::window_simulation
