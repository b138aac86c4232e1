// Lists of overlapping receives that get all of a list of messages, whatever the timing.
#pragma once

#include <cstddef>
#include <vector>

#include "tests/simulation/sim_kernel.hpp"

namespace cairn::window_simulation {

constexpr int any_source = -1;  // MPI's, too
constexpr int any_tag = -1;

/// Of a receive or probe: ranks in the communicator, or any.
struct Pattern {
  int source = 0;
  int tag = 0;
};

struct Envelope {
  int source = 0;
  int tag = 0;
};

struct PatternFor {
  Pattern pattern;
  std::size_t enough = 0;  ///< it has a message when so many of them have been sent
};

/// As many receives as messages, in the order of posting; all messages are from one source, and
/// they are sent, and the receives posted, in these orders.
std::vector<PatternFor> patterns_for_one_source(simulation::Random& random,
                                                const std::vector<Envelope>& messages);

/// Likewise, for messages of several sources.
std::vector<PatternFor> patterns_for_all(simulation::Random& random,
                                         const std::vector<Envelope>& messages);

}  // namespace cairn::window_simulation
