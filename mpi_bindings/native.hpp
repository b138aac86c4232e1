// MPI's own functions. The wrappers are exported under both of MPI's names, MPI_X and PMPI_X, so
// that the program's Fortran interfaces and tools, which call PMPI_X, are covered; what Cairn
// itself sends and receives goes through these pointers and is never seen by a wrapper.
#pragma once

#include <mpi.h>

namespace cairn::mpi {

/// Stops the program when the MPI library has no such function.
void* find_native(const char* name);

/// A pointer to the MPI library's version of every function in functions.def.
struct Native {
// NOLINTBEGIN(bugprone-macro-parentheses): a name can't be in parentheses
#define EACH_FUNCTION(name)      \
  decltype(&::MPI_##name) name = \
      reinterpret_cast<decltype(&::MPI_##name)>(find_native("PMPI_" #name));
// NOLINTEND(bugprone-macro-parentheses)
#include "mpi_bindings/functions.def"
};

/// Set up before main(), and before the constructors of whatever is linked with Cairn.
[[gnu::visibility("hidden")]] extern const Native native;

}  // namespace cairn::mpi
