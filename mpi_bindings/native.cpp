#include "mpi_bindings/native.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace cairn::mpi {

void* find_native(const char* name) {
  if (void* found = dlsym(RTLD_NEXT, name)) return found;
  std::fprintf(
      stderr,
      "cairn: the MPI library has no %s; link or preload Cairn before MPI, and with an MPI "
      "library that has MPI-3.1\n",
      name);
  std::_Exit(2);
}

[[gnu::init_priority(101)]] const Native native;

}  // namespace cairn::mpi
