// The wrappers that functions.def generates.
#include <mpi.h>

#include "base/log.hpp"
#include "mpi_bindings/function_table.hpp"
#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// Counts a collective call of the program and names it in reports while it blocks.
class Collective {
 public:
  Collective(const char* name, MPI_Comm comm) {
    Communicator* communicator = layer == nullptr ? nullptr : layer->find(comm);
    if (communicator == nullptr) return;
    ++communicator->collectives;
    layer->current_call() = {name, communicator, MPI_PROC_NULL, MPI_ANY_TAG};
    entered_ = true;
  }
  ~Collective() {
    if (entered_ && layer != nullptr) layer->current_call() = {};
  }
  Collective(const Collective&) = delete;
  Collective& operator=(const Collective&) = delete;

 private:
  bool entered_ = false;
};

void refuse(const char* name) {
  if (layer != nullptr) layer->refuse_for_good(name);
}

MPI_Comm in_current_colour(MPI_Comm comm) {
  Communicator* communicator = layer == nullptr ? nullptr : layer->find(comm);
  return communicator == nullptr ? comm : layer->coloured(*communicator);
}

/// An uncovered receive would miss stored messages and take newer ones: wrong data. Rather stop.
void require_empty_store(const char* name, MPI_Comm comm) {
  Communicator* communicator = layer == nullptr ? nullptr : layer->find(comm);
  if (communicator == nullptr || communicator->store.empty()) return;
  log::error(
      "{} is not covered yet, and {} messages that were in flight at the last checkpoint wait on "
      "communicator {}; receive them with MPI_Recv or MPI_Irecv, or start with CAIRN_RESTART=never "
      "and CAIRN_INTERVAL=off",
      name, communicator->store.size(), communicator->label);
  PMPI_Abort(MPI_COMM_WORLD, 2);
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

#define COVERED(name)

#define COLLECTIVE(name, params, args)  \
  CAIRN_WRAPPER name params {           \
    const Collective call{#name, comm}; \
    return P##name args;                \
  }

#define MAKES_COMM(name, params, args)                                              \
  CAIRN_WRAPPER name params {                                                       \
    Communicator* parent = layer == nullptr ? nullptr : layer->find(comm);          \
    int error = MPI_SUCCESS;                                                        \
    {                                                                               \
      const Collective call{#name, comm};                                           \
      error = P##name args;                                                         \
    }                                                                               \
    if (parent != nullptr && error == MPI_SUCCESS) layer->adopt(*newcomm, *parent); \
    return error;                                                                   \
  }

#define OPENS(name, what, params, args)                                       \
  CAIRN_WRAPPER name params {                                                 \
    const Collective call{#name, comm};                                       \
    const int error = P##name args;                                           \
    if (layer != nullptr && error == MPI_SUCCESS) layer->count_open(what, 1); \
    return error;                                                             \
  }

#define CLOSES(name, what, params, args)                                       \
  CAIRN_WRAPPER name params {                                                  \
    const int error = P##name args;                                            \
    if (layer != nullptr && error == MPI_SUCCESS) layer->count_open(what, -1); \
    return error;                                                              \
  }

#define UNCOVERED(name, params, args) \
  CAIRN_WRAPPER name params {         \
    refuse(#name);                    \
    return P##name args;              \
  }

#define UNCOVERED_P2P(name, params, args) \
  CAIRN_WRAPPER name params {             \
    refuse(#name);                        \
    comm = in_current_colour(comm);       \
    return P##name args;                  \
  }

#define UNCOVERED_RECEIVE(name, params, args) \
  CAIRN_WRAPPER name params {                 \
    require_empty_store(#name, comm);         \
    refuse(#name);                            \
    comm = in_current_colour(comm);           \
    return P##name args;                      \
  }

#include "mpi_bindings/functions.def"

#undef COVERED
#undef COLLECTIVE
#undef MAKES_COMM
#undef OPENS
#undef CLOSES
#undef UNCOVERED
#undef UNCOVERED_P2P
#undef UNCOVERED_RECEIVE

namespace cairn::mpi {
namespace {

#define COVERED(name) {#name, true},
#define COLLECTIVE(name, params, args) {#name, true},
#define MAKES_COMM(name, params, args) {#name, true},
#define OPENS(name, what, params, args) {#name, true},
#define CLOSES(name, what, params, args) {#name, true},
#define UNCOVERED(name, params, args) {#name, false},
#define UNCOVERED_P2P(name, params, args) {#name, false},
#define UNCOVERED_RECEIVE(name, params, args) {#name, false},

constexpr Function table[] = {
#include "mpi_bindings/functions.def"
};

}  // namespace

std::span<const Function> function_table() { return table; }

}  // namespace cairn::mpi
