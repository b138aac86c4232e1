// How the protocol's cost grows with the number of ranks. CAIRN_SCALE_RANKS, up to 1000000, prints
// the table of docs/scaling.md.
#include "tests/simulation/scale.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace cairn::scale_simulation {
namespace {

/// Neighbours and the logarithm of the number of ranks: nothing else.
TEST(Scale, MessagesAndTimeGrowWithNeighboursAndTheLogarithm) {
  const char* variable = std::getenv("CAIRN_SCALE_RANKS");
  const int most = variable != nullptr ? std::atoi(variable) : 10'000;
  const Machine machine;
  if (variable != nullptr) {
    std::printf(
        "| ranks | grid | cut | markers | announcements | in collectives | most | "
        "window, mean µs | longest | closed |\n|---|---|---|---|---|---|---|---|---|---|\n");
  }
  for (int ranks = 100; ranks <= most; ranks *= 10) {
    for (const int dimensions : {2, 3}) {
      for (const bool marker_cut : {false, true}) {
        const Result result = run({ranks, dimensions, marker_cut}, machine, 1);
        const double log = std::ceil(std::log2(ranks));
        EXPECT_LE(result.most_messages, 2 * dimensions + 3 + 2 * log);
        // Each level of the flood waits for the next MPI call.
        const double hop = 1.5 * machine.latency + machine.call_period;
        const double spread = marker_cut ? log * hop : machine.skew;
        const double fixed = machine.late_message + 6 * hop;
        EXPECT_LE(result.closed, spread + fixed + 3 * log * machine.latency);
        if (variable == nullptr) continue;
        std::printf("| %d | %d-D | %s | %.2f | %.2f | %.0f | %d | %.0f | %.0f | %.0f |\n", ranks,
                    dimensions, marker_cut ? "marker" : "aligned", result.markers,
                    result.announcements, result.collectives, result.most_messages, result.window,
                    result.longest_window, result.closed);
      }
    }
  }
}

}  // namespace
}  // namespace cairn::scale_simulation
