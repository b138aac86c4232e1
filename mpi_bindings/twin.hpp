// A communicator's second colour in MPI.
#pragma once

#include <mpi.h>

namespace cairn::mpi {

/// A communicator with the ranks of `original`, and none of its attributes, topology and hints.
/// Collective over `parent`, an intracommunicator that has them all, or `original` itself.
/// MPI_COMM_NULL when `original` is.
MPI_Comm make_twin(MPI_Comm original, MPI_Comm parent);

/// From now on errors on `twin` go to the error handler of `original`, as if they had happened
/// there.
void forward_errors(MPI_Comm twin, MPI_Comm original);

}  // namespace cairn::mpi
