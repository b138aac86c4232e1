// The protocol's Transport on the simulated MPI: what mpi_transport.hpp is on MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <vector>

#include "runtime/protocol/transport.hpp"
#include "tests/simulation/window_world.hpp"

namespace cairn::window_simulation {

/// The reductions and barriers of one communicator of the protocol's.
class ControlNetwork {
 public:
  /// `colour` of communicator 0: where its markers are.
  ControlNetwork(World& world, int ranks, int colour)
      : context{0, colour}, world_(world), ranks_(ranks) {}

  /// A rank joins the n-th reduction, or barrier.
  void join_round(std::size_t n, const protocol::Round& contribution);
  void join_barrier(std::size_t n);
  bool round_over(std::size_t n, int rank) const { return over(rounds_[n], rank); }
  bool barrier_over(std::size_t n, int rank) const { return over(barriers_[n], rank); }
  const protocol::Round& result(std::size_t n) const { return rounds_[n].result; }

  const Context context;

 private:
  struct Collective {
    protocol::Round result;
    int joined = 0;
    std::vector<bool> over;  ///< by rank
  };

  static bool over(const Collective& collective, int rank) {
    return !collective.over.empty() && collective.over[static_cast<std::size_t>(rank)];
  }
  void join(Collective& collective);

  World& world_;
  int ranks_;
  std::deque<Collective> rounds_;
  std::deque<Collective> barriers_;
};

class SimTransport : public protocol::Transport {
 public:
  SimTransport(World& world, ControlNetwork& control, int rank)
      : world_(world), control_(control), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return world_.program.ranks; }
  /// Looking at the clock takes time.
  double now() override { return static_cast<double>(world_.network.now() + ++looks_); }
  void start_round(const protocol::Round& contribution) override;
  std::optional<protocol::Round> finish_round() override;
  void send_marker(const protocol::Marker& marker) override;
  bool markers_received() override;
  std::optional<protocol::Marker> receive_marker() override;
  void start_barrier() override;
  bool barrier_done() override;

  /// For Defect::epoch_ignored.
  std::function<std::uint64_t()> epoch_expected;

 private:
  World& world_;
  ControlNetwork& control_;
  int rank_;
  std::uint64_t looks_ = 0;
  std::size_t rounds_started_ = 0;
  std::size_t rounds_finished_ = 0;
  std::size_t barriers_ = 0;
  std::list<const Message*> markers_;
};

}  // namespace cairn::window_simulation
