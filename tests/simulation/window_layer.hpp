// One rank's channel layer around the real Window: what channel_layer.cpp, wrap_*.cpp and
// MpiChannels are on MPI, as short as it can be.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "mpi_bindings/window.hpp"
#include "runtime/protocol/transport.hpp"
#include "tests/simulation/window_checkpoint.hpp"
#include "tests/simulation/window_protocol.hpp"
#include "tests/simulation/window_wire.hpp"
#include "tests/simulation/window_world.hpp"

namespace cairn::window_simulation {

/// A send request of the program.
struct SimSend {
  mpi::Communicator* communicator = nullptr;
  const Message* message = nullptr;
  bool active = false;
};

/// A message that the program has matched and not received.
struct Matched {
  mpi::Communicator* communicator = nullptr;
  mpi::Envelope envelope;
  Message* real = nullptr;
  std::unique_ptr<mpi::StoredMessage> stored;
};

/// What a receive or a matched probe of the program has got, for the checks.
struct Taken {
  std::uint64_t communicator = 0;
  std::uint64_t stamp = 0;  ///< order of posting
  int source = 0;           ///< as asked for
  int tag = 0;
  std::uint64_t number = 0;  ///< of the message; 0: cancelled by the program
  std::uint64_t at = 0;      ///< when it was matched, or cancelled
};

class SimLayer : public protocol::Channels {
 public:
  SimLayer(World& world, int rank);
  /// Before anything else.
  void connect(SimProtocol& protocol) { protocol_ = &protocol; }

  /// The program makes an MPI call.
  void called() { protocol_->called(); }
  /// Once in each turn of a call that waits.
  void poll();

  void manage(int communicator);
  void release(mpi::Communicator& communicator);
  mpi::Communicator& communicator(int id) { return *by_id_.at(static_cast<std::uint64_t>(id)); }

  SimSend& send(mpi::Communicator& communicator, int peer, int tag, bool large);
  SimReceive& new_receive(mpi::Communicator& communicator, int peer, int tag);
  void post(SimReceive& receive);
  void cancel(SimReceive& receive);
  void free_request(SimReceive& receive);
  /// Whether MPI has a request to be asked for it.
  bool in_mpi(SimReceive& receive);
  /// The program sees it complete; false when it has been cancelled.
  bool finish(SimReceive& receive);
  void finish(SimSend& send);
  /// MPI_Iprobe, and the number of the message.
  std::optional<mpi::Envelope> iprobe(mpi::Communicator& communicator, int source, int tag,
                                      std::uint64_t& number);
  std::unique_ptr<Matched> improbe(mpi::Communicator& communicator, int source, int tag);
  SimReceive& receive_matched(std::unique_ptr<Matched> matched);
  std::uint64_t generation() const { return window_.generation(); }

  /// After the run: receives that the program has freed.
  void reap_freed();
  /// After the run: throws when something of it is left.
  void check_empty();
  mpi::Window::Communicators& communicators() { return by_id_; }
  mpi::Window& window() { return window_; }
  const mpi::Window& window() const { return window_; }
  std::uint64_t epochs() const { return protocol_->cuts(); }
  /// What the marker of this moment would be of if it did not say so.
  std::uint64_t epoch_expected() const;

  /// What the program has open that no restart can bring back; nullptr: nothing.
  const char* obstacle() const;
  /// The channels' part of a captured state.
  void capture(RankState& state) const;
  /// Continues from there; `messages`: in flight, as the network knows them now.
  void restore(const RankState& state, const std::vector<const Message*>& messages);
  /// Sends and receives that a restart has found to be pending.
  SimSend& completed_send(mpi::Communicator& communicator);
  const std::vector<Taken>& taken() const { return taken_; }
  const std::vector<Counters>& snapshots() const { return snapshots_; }

 private:
  std::vector<protocol::Marker> flip(bool record) override;
  bool expect(const protocol::Marker& marker) override;
  void no_more_markers() override { window_.no_more_markers(); }
  void pull_late() override;
  bool drained() override;

  bool only_mpi(const mpi::Communicator& communicator) const;
  void observe(const mpi::Communicator& communicator, std::uint64_t number, int source);
  void record(const SimReceive& receive, std::uint64_t number, std::uint64_t at);
  bool has_pending(const mpi::Communicator& communicator) const;
  void erase(std::uint64_t id);
  void free_zombies();
  static void count(mpi::Communicator& communicator, Counters& counters);
  Counters counters() const;
  void take_snapshot();
  void check_closed();

  World& world_;
  int rank_;
  SimWire wire_;
  mpi::Window::Communicators by_id_;
  mpi::Window window_;
  SimProtocol* protocol_ = nullptr;
  std::deque<SimReceive> receives_;  ///< used again, as those of a pool and persistent ones are
  std::deque<SimSend> sends_;
  std::map<const mpi::Communicator*, int> matched_;  ///< number of matched messages held
  std::uint64_t stamps_ = 0;
  std::vector<std::uint64_t> zombies_;
  struct Freed {
    std::uint64_t id;
    int cuts = 0;
  };
  std::vector<Freed> freed_;
  std::vector<Taken> taken_;
  std::vector<Counters> snapshots_;  ///< at each cut
  Counters erased_;                  ///< of communicators whose records are gone
};

}  // namespace cairn::window_simulation
