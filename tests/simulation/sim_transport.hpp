// The protocols' network, simulated: rounds, markers and a barrier of Cairn's own.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <vector>

#include "runtime/protocol/transport.hpp"
#include "tests/simulation/sim_kernel.hpp"
#include "tests/simulation/sim_network.hpp"

namespace cairn::simulation {

/// Deliberately broken variants, each of which some seed must expose.
enum class Defect {
  none,
  drain_not_awaited,      ///< drained() is always true
  count_lost,             ///< a marker announces one message too few
  store_searched_last,    ///< new messages are delivered ahead of stored ones
  store_reversed,         ///< stored messages of a channel are delivered in reverse order
  barrier_early,          ///< the drain's barrier completes when this rank has joined it
  round_early,            ///< a round completes before all ranks have joined
  cut_not_awaited,        ///< a rank goes on where the agreement tells it to wait
  pending_ignored,        ///< ready() although requests are pending
  collectives_ignored,    ///< the collective fingerprint is always 0
  waiting_without_pull,   ///< a rank that waits at a safe point does not drain (I5)
  index_forgotten,        ///< arrive() always tells the same index
  messages_not_restored,  ///< a restart drops the channel state
  counted_twice,          ///< deliveries from the store are counted on the wire again (C1)
  colour_kept,            ///< the rank goes on in its old colour after the cut
};

/// Collective operations that complete on each rank some time after all have joined, in order.
class Rounds {
 public:
  /// `weak`: a round gets ahead only when ranks call MPI, as non-blocking collectives do.
  Rounds(Kernel& kernel, Pace pace, int ranks, bool weak, bool early);

  void join(int rank, const protocol::Round& contribution);
  std::optional<protocol::Round> finish(int rank);
  /// The rank makes an MPI call; `inside`: it is in a blocking one from here on.
  void touch(int rank, bool inside = false);

 private:
  struct Operation {
    protocol::Round sum;
    int joined = 0;
    std::uint32_t touched = 0;
    bool complete = false;
    std::vector<double> done_at;
  };
  void progress(std::size_t number);

  Kernel& kernel_;
  Pace pace_;
  int ranks_;
  bool weak_;
  bool early_;
  std::uint32_t inside_ = 0;
  std::deque<Operation> operations_;
  std::size_t first_open_ = 0;
  std::vector<std::size_t> joined_;
  std::vector<std::size_t> finished_;
};

/// Markers on their way, and those that wait to be received.
struct MarkerPost {
  struct Sent {
    int source = 0;
    int destination = 0;
    double arrives_at = 0;
    double acknowledged_at = -1;
    bool received = false;
    protocol::Marker marker;
  };
  std::list<Sent> sent;
};

/// What the ranks of a job share.
struct ControlNetwork {
  ControlNetwork(Kernel& kernel_, Pace pace_, int ranks, bool weak, Defect defect)
      : kernel(kernel_),
        pace(pace_),
        rounds(kernel_, pace_, ranks, weak, defect == Defect::round_early),
        barriers(kernel_, pace_, ranks, weak, defect == Defect::barrier_early) {}
  Kernel& kernel;
  Pace pace;
  Rounds rounds;
  Rounds barriers;
  MarkerPost markers;
};

class SimTransport : public protocol::Transport {
 public:
  SimTransport(ControlNetwork& network, int rank, int size)
      : network_(network), rank_(rank), size_(size) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  double now() override { return network_.kernel.read_clock(); }
  void start_round(const protocol::Round& contribution) override;
  std::optional<protocol::Round> finish_round() override;
  void send_marker(const protocol::Marker& marker) override;
  bool markers_received() override;
  std::optional<protocol::Marker> receive_marker() override;
  void start_barrier() override;
  bool barrier_done() override;

  bool wish_seen = false;  ///< a finished round has told of a wish

 private:
  ControlNetwork& network_;
  int rank_;
  int size_;
  bool barrier_done_ = true;
};

/// One rank's end of its channels: mirrors mpi_bindings/channel_state.cpp.
class SimChannels : public protocol::Channels {
 public:
  struct Channel {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    std::uint64_t wire_sent = 0;
    std::uint64_t wire_received = 0;
    std::uint64_t old_wire_received = 0;
    std::uint64_t old_wire_expected = 0;
  };
  struct Counts {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    bool operator==(const Counts&) const = default;
  };

  SimChannels(Network& network, int rank, int size, int communicators, Defect broken)
      : defect(broken),
        network_(network),
        rank_(rank),
        size_(size),
        channels_(static_cast<std::size_t>(size * communicators)),
        stores_(static_cast<std::size_t>(communicators)) {}

  // ---- protocol::Channels
  std::vector<protocol::Marker> flip(bool record) override;
  bool expect(const protocol::Marker& marker) override;
  void pull_late() override {
    pull(defect == Defect::colour_kept ? colour_ : colour_ ^ 1, any_number);
  }
  bool drained() override;

  // ---- What the wrappers do.
  static constexpr std::size_t any_number = SIZE_MAX;
  int colour() const { return colour_; }
  Channel& channel(int communicator, int peer) {
    return channels_.at(static_cast<std::size_t>(communicator * size_ + peer));
  }
  void pull(int colour, std::size_t limit);
  /// The first stored message that matches, taken out of the store; null when there is none.
  Message* take_stored(int communicator, int source, int tag);
  void count_sent(const Message& message);
  void count_received(const Message& message);
  void count_delivered(const Message& message);
  std::size_t stored() const;

  // ---- Channel state.
  std::vector<Counts> counts() const;
  /// By communicator, in order of arrival.
  std::vector<Message*> messages() const;
  void restore(const std::vector<Counts>& counts, const std::vector<Message*>& messages);

  Defect defect;

 private:
  Network& network_;
  int rank_;
  int size_;
  int colour_ = 0;
  std::vector<Channel> channels_;  ///< by communicator and peer
  std::vector<std::list<Message*>> stores_;
};

}  // namespace cairn::simulation
