// The interposed MPI functions, as data.
#pragma once

#include <span>

namespace cairn::mpi {

/// The names of all in functions.def, in its order.
std::span<const char* const> function_names();

}  // namespace cairn::mpi
