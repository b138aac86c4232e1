// The simulation can fail: each deliberate defect is exposed by some seed.
#include <gtest/gtest.h>

#include "tests/simulation/sim_scenarios.hpp"

namespace cairn::simulation {
namespace {

struct Hunt {
  const char* name;
  Defect defect;
  Family family;
};

class Defects : public testing::TestWithParam<Hunt> {};

TEST_P(Defects, IsFound) {
  constexpr std::uint64_t seeds = 400;
  Totals totals;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    if (const auto problem = run_seed(GetParam().family, seed, totals, GetParam().defect)) {
      RecordProperty("found", *problem);
      return;
    }
  }
  FAIL() << "not found by " << seeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(
    Simulation, Defects,
    testing::Values(Hunt{"DrainNotAwaited", Defect::drain_not_awaited, Family::every},
                    Hunt{"CountLost", Defect::count_lost, Family::every},
                    Hunt{"StoreSearchedLast", Defect::store_searched_last, Family::every},
                    Hunt{"StoreReversed", Defect::store_reversed, Family::every},
                    Hunt{"BarrierEarly", Defect::barrier_early, Family::every},
                    Hunt{"RoundEarly", Defect::round_early, Family::every},
                    Hunt{"CutNotAwaited", Defect::cut_not_awaited, Family::timer},
                    Hunt{"PendingIgnored", Defect::pending_ignored, Family::obstacles},
                    Hunt{"CollectivesIgnored", Defect::collectives_ignored, Family::misaligned},
                    Hunt{"WaitingWithoutPull", Defect::waiting_without_pull, Family::every},
                    Hunt{"IndexForgotten", Defect::index_forgotten, Family::timer},
                    Hunt{"MessagesNotRestored", Defect::messages_not_restored, Family::every},
                    Hunt{"CountedTwice", Defect::counted_twice, Family::every},
                    Hunt{"ColourKept", Defect::colour_kept, Family::every}),
    [](const auto& hunt) { return std::string(hunt.param.name); });

}  // namespace
}  // namespace cairn::simulation
