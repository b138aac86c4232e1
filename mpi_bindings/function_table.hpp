// The list of interposed MPI functions, as data.
#pragma once

#include <span>

namespace cairn::mpi {

struct Function {
  const char* name;
  bool covered;  ///< false: no epoch is taken once the program has called it
};

/// Everything in functions.def, in its order.
std::span<const Function> function_table();

}  // namespace cairn::mpi
