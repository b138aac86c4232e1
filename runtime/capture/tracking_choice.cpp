#include "runtime/capture/tracking_choice.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "base/checksum.hpp"
#include "runtime/capture/page_tracker.hpp"

namespace cairn::capture {
namespace {

constexpr double page_bytes = 4096;
// What the other way has to cost, in parts of what this one does.
constexpr double worthwhile = 0.8;
constexpr int most_patience = 64;

double cost_of_pages(const Observation& seen, const TrackingCosts& costs) {
  const auto changed = static_cast<double>(seen.changed);
  return changed / page_bytes * costs.first_write + changed * costs.copy_byte;
}

double cost_of_hashes(const Observation& seen, const TrackingCosts& costs) {
  return static_cast<double>(seen.bytes) * (costs.copy_byte + costs.hash_byte);
}

template <class Work>
double seconds_of(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// 0 when it can't be found out.
double first_write_seconds(PageTracker& pages) {
  constexpr std::size_t count = 64;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t bytes = count * page;
  void* const mapping =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return 0;
  ::madvise(mapping, bytes, MADV_NOHUGEPAGE);
  const std::span memory{static_cast<std::byte*>(mapping), bytes};
  const auto write = [&] {
    for (std::size_t at = 0; at < bytes; at += page) {
      static_cast<volatile std::byte*>(mapping)[at] = std::byte{1};
    }
  };
  write();
  double shortest = 0;
  if (pages.watch(memory)) {
    for (int i = 0; i < 3 && pages.changed(memory).ok(); ++i) {
      const double seconds = seconds_of(write);
      shortest = i == 0 ? seconds : std::min(shortest, seconds);
    }
    pages.forget(memory);
  }
  ::munmap(mapping, bytes);
  return shortest / count;
}

}  // namespace

Tracking TrackingChoice::observe(const Observation& seen, const TrackingCosts& costs) {
  const bool pages = now_ == Tracking::pages;
  const double mine = pages ? cost_of_pages(seen, costs) : cost_of_hashes(seen, costs);
  const double other = pages ? cost_of_hashes(seen, costs) : cost_of_pages(seen, costs);
  ++epochs_;
  in_favour_ = other < worthwhile * mine ? in_favour_ + 1 : 0;
  if (in_favour_ < patience_) return now_;
  // Never in favour of this one: the last change was wrong.
  patience_ = epochs_ == in_favour_ ? std::min(2 * patience_, most_patience) : 2;
  now_ = pages ? Tracking::hashes : Tracking::pages;
  epochs_ = in_favour_ = 0;
  return now_;
}

TrackingCosts TrackingCosts::measure(PageTracker& pages) {
  constexpr std::size_t bytes = std::size_t{1} << 20;
  std::vector<std::byte> from(bytes, std::byte{1}), to(bytes);
  TrackingCosts costs;
  double copy = 1, hash = 1;
  std::uint64_t sum = 0;
  for (int i = 0; i < 3; ++i) {
    copy = std::min(copy, seconds_of([&] { std::memcpy(to.data(), from.data(), bytes); }));
    hash = std::min(hash, seconds_of([&] { sum ^= checksum(to); }));
  }
  costs.copy_byte = copy / static_cast<double>(bytes);
  costs.hash_byte = hash / static_cast<double>(bytes) * (sum == 0 ? 2 : 1);
  if (const double write = first_write_seconds(pages); write > 0) costs.first_write = write;
  return costs;
}

}  // namespace cairn::capture
