// The real matching in the window and the real engines of epochs, with capture and restarts and
// without, under thousands of random schedules.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/simulation/window_job.hpp"

namespace cairn::window_simulation {
namespace {

constexpr std::uint64_t seeds = 3000;

std::uint64_t variable(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::stoull(value) : otherwise;
}

bool all_seeds() {
  return std::getenv("CAIRN_SIM_SEED") == nullptr && std::getenv("CAIRN_SIM_COUNT") == nullptr;
}

/// Runs the seeds from CAIRN_SIM_START, CAIRN_SIM_COUNT of them, or CAIRN_SIM_SEED alone. Stops at
/// the third that fails; shows the schedules of those.
Totals run(std::uint64_t number, Defect defect) {
  const bool one = std::getenv("CAIRN_SIM_SEED") != nullptr;
  const std::uint64_t first = variable("CAIRN_SIM_SEED", variable("CAIRN_SIM_START", 1));
  if (one) number = 1;
  Totals totals;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + number && failures < 3; ++seed) {
    Outcome outcome = run_seed(seed, defect, one);
    totals.add(outcome);
    if (outcome.failure) {
      ++failures;
      outcome = run_seed(seed, defect, true);
      ADD_FAILURE() << "seed " << seed << ": " << outcome.failure.value_or("but not again") << '\n'
                    << outcome.schedule;
    } else if (one) {
      std::printf("%s", outcome.schedule.c_str());
    }
  }
  return totals;
}

TEST(WindowSimulation, ProgramsCannotTell) {
  const Totals totals = run(variable("CAIRN_SIM_COUNT", seeds), Defect::none);
  RecordProperty("totals", totals.describe());
  if (!all_seeds()) {
    std::printf("%s\n", totals.describe().c_str());
    return;
  }
  EXPECT_GT(totals.epochs, seeds);
  EXPECT_GT(totals.late_messages, seeds);
  EXPECT_GT(totals.reposted_receives, seeds);
  EXPECT_GT(totals.committed, seeds / 3);
  EXPECT_GT(totals.recorded_messages, seeds);
  EXPECT_GT(totals.restarts, seeds / 6);
}

/// They only let a receive that waits in a window go on earlier.
TEST(WindowSimulation, ZeroMarkersAreNotNeededForSafety) {
  run(variable("CAIRN_SIM_COUNT", seeds / 5), Defect::no_zero_markers);
}

}  // namespace
}  // namespace cairn::window_simulation
