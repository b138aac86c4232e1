// A communicator's second colour in MPI.
#pragma once

#include <mpi.h>

namespace cairn::mpi {

/// A communicator with the same ranks, and none of the attributes, topology and hints of
/// `original`. Collective over it.
MPI_Comm make_twin(MPI_Comm original);

/// From now on errors on `twin` go to the error handler of `original`, as if they had happened
/// there.
void forward_errors(MPI_Comm twin, MPI_Comm original);

}  // namespace cairn::mpi
