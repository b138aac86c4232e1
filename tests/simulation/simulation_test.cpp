// The protocol engines under thousands of random schedules.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/simulation/sim_scenarios.hpp"

namespace cairn::simulation {
namespace {

constexpr std::uint64_t seeds = 1000;

/// Runs the seeds of a family (or, with CAIRN_SIM_FAMILY and CAIRN_SIM_SEED, one with its
/// schedule; CAIRN_SIM_START begins elsewhere). Stops at the third that fails.
Totals run(Family family) {
  const char* start = std::getenv("CAIRN_SIM_START");
  const char* one = std::getenv("CAIRN_SIM_SEED");
  const std::uint64_t first = one != nullptr     ? std::stoull(one)
                              : start != nullptr ? std::stoull(start)
                                                 : 1;
  Totals totals;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + (one != nullptr ? 1 : seeds); ++seed) {
    const auto problem = run_seed(family, seed, totals);
    if (!problem) continue;
    ADD_FAILURE() << *problem;
    if (++failures == 3) break;
  }
  return totals;
}

bool all_seeds() { return std::getenv("CAIRN_SIM_SEED") == nullptr; }

TEST(Simulation, EveryNthSafePointIsACheckpoint) {
  const Totals totals = run(Family::every);
  EXPECT_EQ(totals.refused, 0);
  if (all_seeds()) {
    EXPECT_GT(totals.late_messages, 1000U);
    EXPECT_GT(totals.restarts, 500);
  }
}

TEST(Simulation, TimerTakesCheckpoints) {
  const Totals totals = run(Family::timer);
  if (all_seeds()) {
    EXPECT_GT(totals.late_messages, 1000U);
    EXPECT_GT(totals.restarts, 500);
  }
}

TEST(Simulation, NobodyWaitsWithoutAWish) {
  const Totals totals = run(Family::quiet);
  EXPECT_EQ(totals.waits, 0);
  EXPECT_EQ(totals.committed, 0);
}

TEST(Simulation, ObstaclesPutCheckpointsOff) {
  const Totals totals = run(Family::obstacles);
  if (all_seeds()) {
    EXPECT_GT(totals.retries, 100);
    EXPECT_GT(totals.aborted, 10);
    EXPECT_GT(totals.committed, 100);
  }
}

TEST(Simulation, MisalignedProgramsAreRefusedAndEnd) {
  const Totals totals = run(Family::misaligned);
  if (all_seeds()) {
    EXPECT_GT(totals.refused, 100);
    EXPECT_GT(totals.committed, 50);
  }
}

}  // namespace
}  // namespace cairn::simulation
