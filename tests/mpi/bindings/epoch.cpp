#include "epoch.hpp"

#include "mpi_bindings/native.hpp"
#include "runtime/protocol/drain.hpp"
#include "runtime/protocol/mpi_transport.hpp"

namespace cairn::mpi {

void drain_everything() {
  static std::uint64_t epoch = 0;
  MPI_Comm control = MPI_COMM_NULL;
  native.Comm_dup(MPI_COMM_WORLD, &control);
  {
    protocol::MpiTransport transport{control};
    protocol::MpiChannels channels{*layer};
    protocol::Drain drain{transport, channels};
    drain.start(++epoch);
    while (!drain.poll()) {
    }
  }
  native.Comm_free(&control);
}

long global_sum(long value) {
  PMPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
  return value;
}

long global_balance() { return global_sum(static_cast<long>(layer->balance())); }

long global_stored() { return global_sum(static_cast<long>(layer->messages().size())); }

}  // namespace cairn::mpi
