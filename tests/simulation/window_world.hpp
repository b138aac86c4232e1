// The world of one simulated run: the ranks, what is between them, and what happens next.
#pragma once

#include <fmt/format.h>

#include <coroutine>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mpi_bindings/communicator.hpp"
#include "tests/simulation/sim_kernel.hpp"
#include "tests/simulation/window_checkpoint.hpp"
#include "tests/simulation/window_network.hpp"
#include "tests/simulation/window_program.hpp"

namespace cairn::window_simulation {

/// Deliberate mistakes around the engines; those inside them are in base/rules.hpp.
enum class Defect {
  none,
  store_bypassed,        ///< M4: outside the window, receives go to MPI and probes ask MPI
  epoch_ignored,         ///< E3: a marker is taken for one of the epoch that is under way
  no_zero_markers,       ///< E3: ranks that were sent nothing in the old colour get no marker
  closing_early,         ///< E1: a rank does not wait for the others in the closing reduction
  barrier_early,         ///< NBX: a rank does not wait for the others in the barrier
  maker_silent,          ///< B2: the window does not hear of a communicator that has been made
  freed_forgotten,       ///< B2: the record of a freed communicator goes with it
  probe_without_window,  ///< M4, M6: probes ask MPI alone
};

/// Epochs with capture.
struct Checkpoints {
  /// None; or at a safe point agreed on, at every N-th safe point, with the marker cut.
  enum class Kind { none, wish, every, marker };
  Kind kind = Kind::none;
  std::uint64_t every = 1;
  double regions = 0;    ///< marker cut: chance that a blocking receive is in a safe region
  double patience = 0;   ///< in steps and polls
  double bad_write = 0;  ///< chance that a rank can't write
  double no_memory = 0;  ///< chance that a rank can't be captured
};

struct Settings {
  double interleaving = 0;   ///< chance that something else happens before a call of MPI's
  double network = 0.4;      ///< chance that the network moves on instead of a rank
  double start = 0.1;        ///< chance that a rank starts an epoch in a call, when it may
  std::uint64_t epochs = 4;  ///< at most so many are started
  Network::Pace pace;
  double pull_current = 0;  ///< chance that a poll outside a window drains MPI (I5)
  Checkpoints checkpoints;
  std::uint64_t crash_at = 0;  ///< step at which all ranks die; 0: none
  Defect defect = Defect::none;
};

/// What the world sees of a rank.
class Actor {
 public:
  virtual ~Actor() = default;
  /// Runs to its next pause.
  virtual void resume() = 0;

  double speed = 1;
  bool running = false;
  bool finished = false;
  std::uint64_t quiet_steps = 0;  ///< since anything last happened anywhere
};

/// All members of a group come together: a barrier.
struct Meeting {
  int missing = 0;
  std::vector<bool> over;  ///< by rank of the job
};

class World {
 public:
  World(std::uint64_t seed, const Program& simulated_program, const Settings& its_settings,
        bool with_log)
      : random(seed),
        network(random, simulated_program.ranks, its_settings.pace),
        program(simulated_program),
        settings(its_settings),
        traced(with_log) {}

  /// Before each call of MPI's: messages may arrive, and other ranks may move on.
  void interleave();
  /// One thing happens; false when nothing can happen any more.
  bool step();
  void fail(const std::string& what);
  Checkpoint& checkpoint(std::uint64_t epoch) { return checkpoints[epoch]; }

  /// Joins the meeting `key` of `members`.
  void join(std::pair<int, int> key, const std::vector<int>& members);
  bool over(std::pair<int, int> key, int rank) {
    return meetings_[key].over[static_cast<std::size_t>(rank)];
  }

  template <class... Arguments>
  void log(int rank, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (!traced) return;
    schedule += fmt::format("{:6} rank {}: ", network.now(), rank) +
                fmt::format(format, std::forward<Arguments>(arguments)...) + "\n";
  }

  /// What has been captured, written and committed of each epoch.
  std::map<std::uint64_t, Checkpoint> checkpoints;
  Random random;
  Network network;
  const Program& program;
  const Settings settings;
  const bool traced;
  std::string schedule;
  std::vector<Actor*> actors;
  std::optional<std::string> failure;

 private:
  bool run_some_rank();

  std::map<std::pair<int, int>, Meeting> meetings_;
  std::uint64_t last_change_ = 0;
  std::uint64_t calls_ = 0;  ///< of MPI's, in this step
};

/// co_await Pause{…}: others run.
struct Pause {
  std::coroutine_handle<>& resume_here;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) const { resume_here = handle; }
  void await_resume() const {}
};

}  // namespace cairn::window_simulation
