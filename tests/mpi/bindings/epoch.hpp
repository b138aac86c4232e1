// An epoch without capture, for tests: all ranks flip their colour and drain.
#pragma once

#include "mpi_bindings/channel_layer.hpp"
#include "tests/support/world.hpp"

namespace cairn::mpi {

/// Collective over MPI_COMM_WORLD.
void drain_everything();

/// Sum over all ranks.
long global_sum(long value);

/// For every channel of every rank: sent − received, summed; and all stored messages, summed.
long global_balance();
long global_stored();

}  // namespace cairn::mpi
