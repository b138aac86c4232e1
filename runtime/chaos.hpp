// CAIRN_CHAOS=every:<N>: a stress mode for any MPI program, linked or preloaded. About every N MPI
// calls some rank starts an epoch without capture; the program must not be able to tell.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <memory>
#include <random>

#include "mpi_bindings/channel_layer.hpp"
#include "runtime/protocol/epochs.hpp"
#include "runtime/protocol/mpi_transport.hpp"

namespace cairn {

/// Whether this job runs in stress mode. It then takes no checkpoints.
bool chaos_is_on();

class Chaos : public mpi::Progress, private protocol::EpochOwner {
 public:
  /// Collective. `calls`: the N above. The same seed gives the same choices, as far as the calls
  /// come in the same order.
  Chaos(mpi::ChannelLayer& layer, std::uint64_t calls, std::uint64_t seed);
  Chaos(const Chaos&) = delete;
  Chaos& operator=(const Chaos&) = delete;

  void poll() override { epochs_.poll(); }
  void called() override;
  void first_send(int world_rank) override { epochs_.announce_to(world_rank); }
  /// Brings the last epoch to its end; rank 0 prints what happened.
  void finalize() override;

 private:
  void heard() override { epochs_.cut(false); }
  protocol::Round vote() override { return {}; }
  void closed(const protocol::Round& /*votes*/) override {}
  std::uint64_t next_gap();
  bool may_start() const;

  mpi::ChannelLayer& layer_;
  MPI_Comm control_;
  MPI_Comm leaving_control_;
  int size_ = 1;
  std::unique_ptr<protocol::MpiTransport> transport_;
  std::unique_ptr<protocol::MpiTransport> leaving_;
  protocol::MpiChannels channels_;
  protocol::Epochs epochs_;
  std::mt19937_64 random_;
  std::uint64_t calls_;
  std::uint64_t calls_left_ = 0;  ///< until this rank starts an epoch
};

}  // namespace cairn
