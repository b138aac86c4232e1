// What the channels contribute to an epoch.
#pragma once

#include <vector>

#include "io/records.hpp"
#include "mpi_bindings/channel_layer.hpp"

namespace cairn {

/// Program counters of every channel of this rank.
std::vector<io::ChannelCounter> channel_counters(mpi::ChannelLayer& layer);

/// The communicators in which `rank` of MPI_COMM_WORLD, this one, is rank 0.
std::vector<io::Communicator> led_communicators(mpi::ChannelLayer& layer, int rank);

/// The messages that were in flight to `rank`, this one, at the cut whose window has just closed.
/// They are recorded no longer.
std::vector<io::Message> recorded_messages(mpi::ChannelLayer& layer, int rank);

}  // namespace cairn
