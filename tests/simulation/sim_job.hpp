// A simulated job: one program under one random schedule, and what must hold of every run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/sim_rank.hpp"

namespace cairn::simulation {

struct Scenario {
  Shape shape;
  Settings settings;
  Pace pace;
  bool weak_progress = false;
  bool well_behaved = false;  ///< aligned, no requests at safe points, nobody slow
  bool lively = false;        ///< ranks keep together and rounds are fast: the timer must succeed
  Defect defect = Defect::none;
};

/// A committed epoch, on all ranks.
struct Checkpoint {
  std::uint64_t epoch = 0;
  std::uint64_t safe_point = 0;
  std::vector<RankState> ranks;
};

/// What happened in one run, for the tests' own claims.
struct Outcome {
  std::optional<std::string> failure;
  std::vector<Digest> digests;
  std::vector<Checkpoint> committed;
  std::vector<std::uint64_t> cut_at;  ///< safe-point indices of committed epochs
  int refused = 0;
  int retries = 0;
  int aborted = 0;
  int waits = 0;
  std::size_t late_messages = 0;
  std::size_t messages = 0;
  double longest_wait = 0;
  double seconds = 0;  ///< virtual
  std::uint64_t events = 0;
};

/// Runs the program to its end and checks everything that must hold.
Outcome run_job(const Scenario& scenario, const Program& program, std::uint64_t seed,
                const Checkpoint* from = nullptr, bool trace = false);

/// The properties (sim_checks.cpp): the first that does not hold.
std::optional<std::string> check(const Scenario& scenario, const World& world,
                                 const std::vector<std::unique_ptr<SimRank>>& ranks);

}  // namespace cairn::simulation
