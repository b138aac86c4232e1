// Unit costs of what happens per message and per byte.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/checksum.hpp"
#include "mpi_bindings/request.hpp"

namespace {

void checksum(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{42});
  for (auto _ : state) benchmark::DoNotOptimize(cairn::checksum(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(4 << 10)->Arg(1 << 20)->Arg(64 << 20);

// A request that comes and goes while range(0) others are pending.
void request_come_and_go(benchmark::State& state) {
  cairn::mpi::Requests requests;
  for (std::int64_t i = 0; i < state.range(0); ++i) requests.take();
  for (auto _ : state) {
    const MPI_Request handle = cairn::mpi::Requests::handle(requests.take());
    benchmark::DoNotOptimize(handle);
    requests.put(*cairn::mpi::Requests::find(handle));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(request_come_and_go)->Arg(0)->Arg(64)->Arg(4096);

}  // namespace
