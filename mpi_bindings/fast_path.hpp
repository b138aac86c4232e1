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
  /// As long as `plain`, the same handle, else none; and what it is in the present colour.
  MPI_Comm plain_comm{};
  MPI_Comm coloured{};
  /// A send of at most so many elements of this type is a small one.
  MPI_Datatype small_type{};
  int small_count = -1;

  /// Whether a message on `handle` needs nothing else, unless its peer is MPI_PROC_NULL.
  bool fits(MPI_Comm handle) const { return handle == plain_comm; }
  void remember(MPI_Comm handle, Communicator& of) {
    comm = handle;
    communicator = &of;
    update();
  }
  void forget_communicator() {
    comm = no_comm();
    communicator = nullptr;
    update();
  }
  /// After `plain` or `colour` has changed.
  void update() {
    // Threads read it without a lock: then it is never plain, and this does not change.
    MPI_Comm now = plain ? comm : no_comm();
    if (plain_comm != now) plain_comm = now;
    coloured = communicator == nullptr ? no_comm() : communicator->colours[colour];
  }

 private:
  MPI_Comm no_comm() { return reinterpret_cast<MPI_Comm>(this); }
};

/// Kept up to date by ChannelLayer. (What is hidden is found without a table of addresses; the
/// compiler's option for that does not cover declarations.)
[[gnu::visibility("hidden")]] extern constinit FastPath fast;

}  // namespace cairn::mpi
