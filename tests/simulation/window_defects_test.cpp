// The simulation can fail: without any one of the protocol's rules, some seed does.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/rules.hpp"
#include "tests/simulation/window_job.hpp"

namespace cairn {

Rule removed_rule = Rule::none;

}  // namespace cairn

namespace cairn::window_simulation {
namespace {

struct Hunt {
  const char* name;
  Rule rule = Rule::none;
  Defect defect = Defect::none;
};

class WindowDefects : public testing::TestWithParam<Hunt> {};

/// How many of the seeds find it.
std::uint64_t count(std::uint64_t number) {
  std::uint64_t found = 0;
  for (std::uint64_t seed = 1; seed <= number; ++seed) {
    if (run_seed(seed, WindowDefects::GetParam().defect).failure) ++found;
  }
  return found;
}

/// CAIRN_SIM_DEFECT names one of them; with CAIRN_SIM_SEED it shows a seed's schedule, and with
/// CAIRN_SIM_COUNT it counts how many of so many seeds find it.
TEST_P(WindowDefects, IsFound) {
  constexpr std::uint64_t seeds = 3000;
  const char* only = std::getenv("CAIRN_SIM_DEFECT");
  if (only != nullptr && std::string(only) != GetParam().name) GTEST_SKIP();
  removed_rule = GetParam().rule;
  if (const char* one = std::getenv("CAIRN_SIM_SEED")) {
    const Outcome outcome = run_seed(std::stoull(one), GetParam().defect, true);
    std::printf("%s%s\n", outcome.schedule.c_str(), outcome.failure.value_or("no failure").c_str());
    return;
  }
  if (const char* number = std::getenv("CAIRN_SIM_COUNT")) {
    std::printf("%llu of %s seeds\n", static_cast<unsigned long long>(count(std::stoull(number))),
                number);
    return;
  }
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    if (const auto failure = run_seed(seed, GetParam().defect).failure) {
      RecordProperty("found", "seed " + std::to_string(seed) + ": " + *failure);
      return;
    }
  }
  FAIL() << "not found by " << seeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(
    Simulation, WindowDefects,
    testing::Values(
        Hunt{"M1NewestFirst", Rule::m1_newest_first}, Hunt{"M2Complete", Rule::m2_complete},
        Hunt{"M2Overlap", Rule::m2_overlap}, Hunt{"M3Unknown", Rule::m3_unknown},
        Hunt{"M4Store", Rule::none, Defect::store_bypassed}, Hunt{"M5First", Rule::m5_first},
        Hunt{"M5Complete", Rule::m5_complete}, Hunt{"M6Claimed", Rule::m6_claimed},
        Hunt{"M6Window", Rule::none, Defect::probe_without_window}, Hunt{"M7Count", Rule::m7_count},
        Hunt{"M7Self", Rule::m7_self}, Hunt{"M8Stop", Rule::m8_stop}, Hunt{"C1Once", Rule::c1_once},
        Hunt{"C2Matched", Rule::c2_matched}, Hunt{"C2Again", Rule::c2_again},
        Hunt{"E4Collectives", Rule::e4_collectives}, Hunt{"E5All", Rule::e5_all},
        Hunt{"E5Vote", Rule::e5_vote}, Hunt{"E1Closed", Rule::e1_closed},
        Hunt{"E1Reduction", Rule::none, Defect::closing_early}, Hunt{"E2Flood", Rule::e2_flood},
        Hunt{"E3Epoch", Rule::none, Defect::epoch_ignored},
        Hunt{"Barrier", Rule::none, Defect::barrier_early},
        Hunt{"B2Made", Rule::none, Defect::maker_silent},
        Hunt{"B2Freed", Rule::none, Defect::freed_forgotten}),
    [](const auto& hunt) { return std::string(hunt.param.name); });

}  // namespace
}  // namespace cairn::window_simulation
