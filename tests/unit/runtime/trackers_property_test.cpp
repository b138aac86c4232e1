// Random writes by random means: every byte that differs is in what both trackers report.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "runtime/capture/block_hashes.hpp"
#include "runtime/capture/page_tracker.hpp"
#include "tests/unit/runtime/tracked_memory.hpp"

namespace cairn::capture {
namespace {

/// One mapping with several regions, neighbours in a page among them, and a copy of each.
class RandomProgram {
 public:
  RandomProgram(PageTracker& tracker, std::uint64_t seed) : tracker_(tracker), random_(seed) {
    if (number(2) == 0) ::madvise(memory_.data(), bytes, MADV_HUGEPAGE);
    if (number(2) == 0) std::memset(memory_.data(), 5, bytes);
    for (std::size_t first = 0; first < bytes;) {
      const std::size_t size = std::min(bytes - first, 1 + number(number(2) == 0 ? page : bytes));
      if (number(4) != 0) add(memory_.bytes().subspan(first, size));
      first += size;
    }
  }
  ~RandomProgram() {
    for (const Region& region : regions_) tracker_.forget(region.memory);
  }
  RandomProgram(const RandomProgram&) = delete;
  RandomProgram& operator=(const RandomProgram&) = delete;

  void epoch() {
    for (auto changes = number(12); changes > 0; --changes) change();
    for (Region& region : regions_) check(region);
  }

 private:
  static constexpr std::size_t bytes = 3 * huge_page;

  struct Region {
    std::span<std::byte> memory;
    std::vector<std::byte> copy;
    BlockHashes hashes;
  };

  std::size_t number(std::size_t below) {
    return std::uniform_int_distribution<std::size_t>{0, below - 1}(random_);
  }

  void add(std::span<std::byte> memory) {
    ASSERT_TRUE(tracker_.watch(memory).ok());
    Region region{memory, {memory.begin(), memory.end()}, {}};
    ASSERT_TRUE(region.hashes.compute(memory, phase(memory)));
    regions_.push_back(std::move(region));
  }

  static std::uint64_t phase(std::span<const std::byte> memory) {
    return reinterpret_cast<std::uintptr_t>(memory.data()) % BlockHashes::block_bytes;
  }

  void change() {
    const std::size_t first = number(bytes);
    const std::size_t size = std::min(bytes - first, 1 + number(number(3) == 0 ? 20 * page : 100));
    const auto place = memory_.bytes().subspan(first, size);
    const std::size_t first_page = first / page;
    const std::size_t page_count = std::min(bytes / page - first_page, 1 + number(600));
    const std::vector<std::byte> value(size, static_cast<std::byte>(number(256)));
    switch (number(9)) {
      case 0: std::memcpy(place.data(), value.data(), size); break;
      case 1: std::thread{[&] { std::memcpy(place.data(), value.data(), size); }}.join(); break;
      case 2: by_pipe(place, value); break;
      case 3: {
        const iovec from{const_cast<std::byte*>(value.data()), size}, to{place.data(), size};
        ASSERT_EQ(::process_vm_writev(::getpid(), &from, 1, &to, 1, 0), static_cast<ssize_t>(size));
        break;
      }
      case 4:
        ASSERT_EQ(::madvise(memory_.page_at(first_page), page_count * page, MADV_DONTNEED), 0);
        break;
      case 5: {
        const std::size_t huge = first / huge_page * huge_page;
        ASSERT_EQ(::madvise(memory_.data() + huge, huge_page, MADV_DONTNEED), 0);
        break;
      }
      case 6: {
        void* const there = memory_.page_at(first_page);
        ASSERT_EQ(::mprotect(there, page_count * page, PROT_READ), 0);
        ASSERT_EQ(::mprotect(there, page_count * page, PROT_READ | PROT_WRITE), 0);
        break;
      }
      case 7:
        static_cast<void>(
            ::madvise(memory_.data(), bytes, number(2) == 0 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
        break;
      case 8:
        ASSERT_EQ(in_child([&] {
                    std::memcpy(place.data(), value.data(), size);
                    return 0;
                  }),
                  0);
        break;
    }
  }

  static void by_pipe(std::span<std::byte> to, std::span<const std::byte> from) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    for (std::size_t done = 0; done < to.size();) {
      const std::size_t size = std::min<std::size_t>(to.size() - done, 4096);
      ASSERT_EQ(::write(ends[1], &from[done], size), static_cast<ssize_t>(size));
      ASSERT_EQ(::read(ends[0], &to[done], size), static_cast<ssize_t>(size));
      done += size;
    }
    ::close(ends[0]);
    ::close(ends[1]);
  }

  void check(Region& region) {
    const auto by_pages = tracker_.changed(region.memory);
    ASSERT_TRUE(by_pages.ok()) << by_pages.status().message();
    BlockHashes newer;
    ASSERT_TRUE(newer.compute(region.memory, phase(region.memory)));
    for (const ByteRanges& reported : {*by_pages, region.hashes.changed(newer)}) {
      auto updated = region.copy;
      std::uint64_t end = 0;
      for (const ByteRange& range : reported) {
        ASSERT_TRUE(range.first < range.last && (end == 0 || range.first > end));
        end = range.last;
        ASSERT_LE(end, region.memory.size());
        std::memcpy(&updated[range.first], &region.memory[range.first], range.last - range.first);
      }
      ASSERT_EQ(std::memcmp(updated.data(), region.memory.data(), updated.size()), 0);
    }
    region.hashes = std::move(newer);
    region.copy.assign(region.memory.begin(), region.memory.end());
  }

  PageTracker& tracker_;
  std::mt19937_64 random_;
  const Mapping memory_{bytes};
  std::vector<Region> regions_;
};

TEST_F(PageTracking, ReportsEveryByteThatDiffers) {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RandomProgram program{*tracker, seed};
    for (int epoch = 0; epoch < 8; ++epoch) {
      program.epoch();
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace cairn::capture
