// Unit costs of what happens per message and per byte.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/checksum.hpp"
#include "mpi_bindings/request_table.hpp"

namespace {

void checksum(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{42});
  for (auto _ : state) benchmark::DoNotOptimize(cairn::checksum(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(4 << 10)->Arg(1 << 20)->Arg(64 << 20);

// A request that comes and goes while range(0) others are pending, with handles like heap
// addresses, as Open MPI's are.
void request_table_add_remove(benchmark::State& state) {
  constexpr std::uintptr_t first = 0x55d0c0de0000;
  constexpr std::uintptr_t stride = 0x180;
  const auto handle = [](std::uintptr_t i) {
    const std::uintptr_t address = first + i * stride;
    MPI_Request request = MPI_REQUEST_NULL;
    std::memcpy(&request, &address, sizeof request);
    return request;
  };
  cairn::mpi::RequestTable table;
  const cairn::mpi::RequestRecord record;
  const auto pending = static_cast<std::uintptr_t>(state.range(0));
  for (std::uintptr_t i = 0; i < pending; ++i) table.add(handle(i), record);
  std::uintptr_t next = 0;
  for (auto _ : state) {
    const auto request = handle(pending + next);
    next = (next + 1) % 64;
    table.add(request, record);
    benchmark::DoNotOptimize(table.find(request));
    cairn::mpi::RequestRecord taken;
    table.take(request, taken);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(request_table_add_remove)->Arg(0)->Arg(64)->Arg(4096);

}  // namespace
