// What begins epochs in a simulated run: nobody but chance (the stress mode), or a session that
// takes checkpoints.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/protocol/epochs.hpp"
#include "runtime/protocol/global_snapshot.hpp"
#include "tests/simulation/window_transport.hpp"
#include "tests/simulation/window_world.hpp"

namespace cairn::window_simulation {

class SimLayer;

/// The communicators of the protocol's own.
struct Controls {
  Controls(World& world, int ranks)
      : epochs(world, ranks, 0), leaving(world, ranks, 1), wishes(world, ranks, 2) {}
  ControlNetwork epochs, leaving, wishes;
};

class SimProtocol {
 public:
  virtual ~SimProtocol() = default;
  /// The program makes an MPI call.
  virtual void called() = 0;
  /// Once in each turn of a call that waits.
  virtual void poll() = 0;
  virtual void announce_to(int peer) = 0;
  /// Cuts that the rank has made.
  virtual std::uint64_t cuts() const = 0;
  virtual void leave() = 0;
  virtual bool left() const = 0;

  // ---- Sessions.
  /// Whether the program has to wait before it can pass this safe point.
  virtual bool must_wait() { return false; }
  virtual void pass_safe_point() {}
  virtual void begin_region() {}
  virtual void end_region() {}
};

/// As Chaos.
class StressMode : public SimProtocol, private protocol::EpochOwner {
 public:
  StressMode(World& world, Controls& controls, SimLayer& layer, int rank);

  void called() override;
  void poll() override { epochs_.poll(); }
  void announce_to(int peer) override { epochs_.announce_to(peer); }
  std::uint64_t cuts() const override { return epochs_.epochs(); }
  void leave() override { epochs_.leave(); }
  bool left() const override { return epochs_.left(); }

 private:
  void heard() override { epochs_.cut(false); }
  protocol::Round vote() override { return {}; }
  void closed(const protocol::Round& /*votes*/) override {}

  World& world_;
  int rank_;
  SimTransport transport_, leaving_;
  protocol::Epochs epochs_;
};

/// What a session needs of the program's rank.
class SimProgram {
 public:
  virtual ~SimProgram() = default;
  /// Why the program can't be captured where it is; empty when it can.
  virtual std::string obstacle() const = 0;
  virtual RankState capture() const = 0;
  /// In a blocking receive or probe that a restart may make again.
  virtual bool in_repeatable_call() const = 0;
  virtual std::vector<protocol::AwaitedChannel> awaited_channels() = 0;
};

/// As SessionImpl and Snapshot: the real protocol; copying and writing as short as can be.
class SimSession : public SimProtocol, private protocol::SnapshotOwner {
 public:
  SimSession(World& world, Controls& controls, SimLayer& layer, SimProgram& program, int rank,
             std::uint64_t safe_points);

  void called() override { snapshot_.poll(); }
  void poll() override { snapshot_.poll(); }
  void announce_to(int peer) override { snapshot_.announce_to(peer); }
  std::uint64_t cuts() const override { return snapshot_.cuts(); }
  void leave() override { snapshot_.leave(); }
  bool left() const override { return snapshot_.left(); }
  bool must_wait() override;
  void pass_safe_point() override;
  void begin_region() override { snapshot_.begin_region(); }
  void end_region() override { snapshot_.end_region(); }

 private:
  bool wishes() override;
  bool ready() override;
  const std::string& reason() const override { return reason_; }
  std::uint64_t collective_fingerprint() override;
  std::uint64_t program_fingerprint() override { return 0; }
  bool in_repeatable_call() override { return program_.in_repeatable_call(); }
  std::vector<protocol::AwaitedChannel> awaited_channels() override {
    return program_.awaited_channels();
  }
  std::string present_call() const override { return "a call"; }
  void capture(Status& why_not, bool& no_memory) override;
  void begin(const Status& why_not) override;
  void report(protocol::Round& /*vote*/) override {}
  void finish(const protocol::Round& votes, const Status& judgement) override;
  bool written(Status& status) override;
  bool over(const protocol::EpochOutcome& outcome) override;

  bool due_here() const;
  Checkpoint& epoch() { return world_.checkpoint(snapshot_.cuts()); }

  World& world_;
  SimLayer& layer_;
  SimProgram& program_;
  int rank_;
  SimTransport wishes_, transport_, leaving_;
  protocol::GlobalSnapshot snapshot_;
  std::string reason_;
  std::uint64_t safe_points_;
  std::uint64_t wished_ = 0;
  int put_offs_ = 0;
  std::optional<RankState> state_;
};

/// Throws a Failure unless the epoch, which all ranks have written, is consistent
/// (window_checks.cpp).
void check_consistency(const World& world, std::uint64_t epoch, const Checkpoint& checkpoint);

}  // namespace cairn::window_simulation
