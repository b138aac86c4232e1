// Unit costs of what happens per message and per byte.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/checksum.hpp"
#include "mpi_bindings/request.hpp"
#include "runtime/capture/staging.hpp"

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

// What a full capture costs, against copying the same bytes into memory that is as warm.
void memcpy_warm(benchmark::State& state) {
  const std::vector<std::byte> source(static_cast<std::size_t>(state.range(0)), std::byte{1});
  std::vector<std::byte> copy(source.size());
  for (auto _ : state) {
    std::memcpy(copy.data(), source.data(), source.size());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(memcpy_warm)->Arg(16 << 20)->Arg(256 << 20);

void capture_and_stage(benchmark::State& state) {
  constexpr std::size_t regions = 8;
  const auto bytes = static_cast<std::size_t>(state.range(0)) / regions;
  std::vector<std::vector<std::byte>> memory(regions, std::vector<std::byte>(bytes, std::byte{1}));
  cairn::capture::Registry registry;
  for (std::size_t i = 0; i < regions; ++i) {
    cairn::capture::Item item;
    item.entry = {std::to_string(i), cairn::ElementType::uint8, 1, {}};
    item.view = [&memory, i] { return std::span{memory[i]}; };
    if (!registry.add(std::move(item))) state.SkipWithError("the registry refuses");
  }
  cairn::capture::Staging staging{std::uint64_t{1} << 40, 1};
  if (!staging.reserve(registry.staged_bytes())) state.SkipWithError("no memory");
  while (!staging.ready()) std::this_thread::yield();
  for (auto _ : state) {
    auto capture = registry.capture();
    if (!capture || !staging.copy(*capture)) state.SkipWithError("no copy");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(capture_and_stage)->Arg(16 << 20)->Arg(256 << 20);

}  // namespace
