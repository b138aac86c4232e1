// The members of the simulated communicators.
#pragma once

#include <vector>

#include "mpi_bindings/communicator.hpp"

namespace cairn::window_simulation {

/// Ranks of the job, by id of the communicator, for the run that follows.
void set_members(const std::vector<std::vector<int>>& members);

}  // namespace cairn::window_simulation
