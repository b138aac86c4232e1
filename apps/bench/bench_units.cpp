// Unit costs of what happens per message and per byte.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <chrono>
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
#include "runtime/capture/block_hashes.hpp"
#include "runtime/capture/page_tracker.hpp"
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

// ---- What has changed
// ----------------------------------------------------------------------------

void block_hashes(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{42});
  cairn::capture::BlockHashes hashes;
  for (auto _ : state) benchmark::DoNotOptimize(hashes.compute(bytes, 0));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(block_hashes)->Arg(256 << 20);

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

/// Private memory, all of it touched, in huge pages or in small ones.
class Pages {
 public:
  Pages(std::size_t bytes, bool huge)
      : mapped_bytes_(bytes + huge_page_bytes),
        mapping_(::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0)) {
    const auto address = reinterpret_cast<std::uintptr_t>(mapping_);
    memory_ = {static_cast<std::byte*>(mapping_) + huge_page_bytes - address % huge_page_bytes,
               bytes};
    ::madvise(memory_.data(), bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    std::memset(memory_.data(), 1, bytes);
  }
  ~Pages() { ::munmap(mapping_, mapped_bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  std::span<std::byte> memory() const { return memory_; }
  /// One byte in each `stride` bytes; seconds.
  double write(std::size_t stride) const {
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t at = 0; at < memory_.size(); at += stride) memory_[at] ^= std::byte{1};
    benchmark::ClobberMemory();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

 private:
  std::size_t mapped_bytes_;
  void* mapping_;
  std::span<std::byte> memory_;
};

// One call of changed() for 1 GiB when range(1) % of the pages have been written to.
void changed_pages(benchmark::State& state) {
  auto tracker = cairn::capture::PageTracker::open();
  const Pages pages{static_cast<std::size_t>(state.range(0)), false};
  if (!tracker || !tracker->watch(pages.memory())) {
    state.SkipWithError("pages can't be tracked here");
    return;
  }
  for (auto _ : state) {
    if (state.range(1) > 0)
      pages.write(page_bytes * 100 / static_cast<std::size_t>(state.range(1)));
    const auto begin = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(tracker->changed(pages.memory()));
    state.SetIterationTime(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
}
BENCHMARK(changed_pages)
    ->Args({1 << 30, 0})
    ->Args({1 << 30, 1})
    ->Args({1 << 30, 100})
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime();

// Seconds of a first write, watched or not, in each page of 4 KiB (range(1) = 0), in one of each
// huge page (1), or in every 4 KiB of huge pages (2).
void first_write(benchmark::State& state) {
  auto tracker = cairn::capture::PageTracker::open();
  if (!tracker) {
    state.SkipWithError("pages can't be tracked here");
    return;
  }
  constexpr std::size_t bytes = std::size_t{64} << 20;
  const std::size_t stride = state.range(1) == 1 ? huge_page_bytes : page_bytes;
  for (auto _ : state) {
    const Pages pages{bytes, state.range(1) > 0};
    if (state.range(0) > 0 && !tracker->watch(pages.memory())) state.SkipWithError("not watched");
    state.SetIterationTime(pages.write(stride) * static_cast<double>(stride) / bytes);
    tracker->forget(pages.memory());
  }
}
BENCHMARK(first_write)
    ->ArgNames({"watched", "huge"})
    ->Args({0, 0})
    ->Args({1, 0})
    ->Args({0, 1})
    ->Args({1, 1})
    ->Args({0, 2})
    ->Args({1, 2})
    ->UseManualTime()
    ->Iterations(20);

}  // namespace
