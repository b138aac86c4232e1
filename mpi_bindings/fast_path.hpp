// What the wrappers ask for each message, in one place. As long as `plain`, a send or receive is a
// look-up, MPI's own call, and a counter (I2).
#pragma once

#include <mpi.h>

#include "mpi_bindings/communicator.hpp"

namespace cairn::mpi {

struct FastPath {
  /// There is a layer, one thread calls MPI, no window is open, and no message is stored.
  bool plain = false;
  /// Also, the runtime waits for nothing: a call may block inside MPI, and need not be polled (I5).
  bool quiet = false;
  int colour = 0;
  /// The communicator that was used last. Without one, `comm` is no handle of any.
  MPI_Comm comm{};
  Communicator* communicator = nullptr;
  /// A send of at most so many elements of this type is a small one.
  MPI_Datatype small_type{};
  int small_count = -1;

  /// Whether a message on `handle` needs nothing else, unless its peer is MPI_PROC_NULL.
  bool fits(MPI_Comm handle) const { return plain && handle == comm; }
  void forget_communicator() {
    comm = reinterpret_cast<MPI_Comm>(this);
    communicator = nullptr;
  }
  MPI_Comm coloured() const { return communicator->colours[colour]; }
};

/// Kept up to date by ChannelLayer.
extern constinit FastPath fast;

}  // namespace cairn::mpi
