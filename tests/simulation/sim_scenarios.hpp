// Families of random scenarios, and how a seed of one is run and reported.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/simulation/sim_job.hpp"

namespace cairn::simulation {

enum class Family {
  every,       ///< well-behaved programs, a checkpoint at every N-th safe point or explicitly
  timer,       ///< well-behaved programs with many safe points; rank 0's clock wants checkpoints
  quiet,       ///< like timer, but nobody ever wants a checkpoint
  obstacles,   ///< aligned programs with pending requests, holds, failed writes, full stores
  misaligned,  ///< safe points that are no consistent cuts, slow ranks, ranks that leave early
};

struct Case {
  Program program;
  Scenario scenario;
};

/// The same for the same seed.
Case make_case(Family family, std::uint64_t seed);

struct Totals {
  int runs = 0;
  int restarts = 0;
  int committed = 0;
  int refused = 0;
  int retries = 0;
  int aborted = 0;
  int waits = 0;
  std::size_t late_messages = 0;
  std::size_t messages = 0;
  std::uint64_t events = 0;
  double longest_wait = 0;
};

/// Runs one seed: undisturbed, with checkpoints, and again from one of them. What does not hold.
std::optional<std::string> run_seed(Family family, std::uint64_t seed, Totals& totals,
                                    Defect defect = Defect::none);

}  // namespace cairn::simulation
