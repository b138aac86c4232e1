// Ways in which the content of watched memory changes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "runtime/capture/page_tracker.hpp"
#include "tests/unit/runtime/tracked_memory.hpp"

namespace cairn::capture {
namespace {

/// Touched and watched memory of 16 pages.
class PageTrackingOfWrites : public PageTracking {
 protected:
  void SetUp() override {
    PageTracking::SetUp();
    if (IsSkipped()) return;
    memory.touch_all();
    ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
  }

  const Mapping memory{16 * page};
};

// ---- System calls
// --------------------------------------------------------------------------------

TEST_F(PageTrackingOfWrites, ByReadAndRecv) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ASSERT_EQ(::write(ends[0], "abcd", 4), 4);
  ASSERT_EQ(::read(ends[1], memory.page_at(2), 2), 2);
  ASSERT_EQ(::recv(ends[1], memory.page_at(6) - 1, 2, 0), 2);
  EXPECT_EQ(changed(memory.bytes()), pages({2, 5, 6}));
  ::close(ends[0]);
  ::close(ends[1]);
}

/// A file of 4 pages, unlinked.
int make_file(int flags) {
  char name[] = "/tmp/cairn-page-tracker-test-XXXXXX";
  const int file = ::mkostemp(name, 0);
  EXPECT_GE(file, 0);
  const std::string content(4 * page, 'x');
  EXPECT_EQ(::write(file, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  ::close(file);
  const int opened = ::open(name, O_RDONLY | flags);
  ::unlink(name);
  return opened;
}

TEST_F(PageTrackingOfWrites, ByPreadv) {
  const int file = make_file(0);
  ASSERT_GE(file, 0);
  const iovec parts[] = {{memory.page_at(1), 10}, {memory.page_at(9), 2 * page}};
  ASSERT_EQ(::preadv(file, parts, 2, 5), static_cast<ssize_t>(10 + 2 * page));
  EXPECT_EQ(changed(memory.bytes()), pages({1, 9, 10}));
  ::close(file);
}

/// The device writes into the pages by itself.
TEST_F(PageTrackingOfWrites, ByDirectInput) {
  const int file = make_file(O_DIRECT);
  if (file < 0) GTEST_SKIP() << "O_DIRECT, in /tmp";
  ASSERT_EQ(::pread(file, memory.page_at(4), 2 * page, 0), static_cast<ssize_t>(2 * page));
  EXPECT_EQ(*memory.page_at(5), std::byte{'x'});
  EXPECT_EQ(changed(memory.bytes()), pages({4, 5}));
  ::close(file);
}

/// What MPI's transports through shared memory do.
TEST_F(PageTrackingOfWrites, ByAnotherProcess) {
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);  // where Yama is in force
  const pid_t self = ::getpid();
  const int status = in_child([&] {
    char value[] = "abc";
    const iovec from{value, 3}, to{memory.page_at(8) - 1, 3};
    return ::process_vm_writev(self, &from, 1, &to, 1, 0) == 3 ? 0 : 1;
  });
  ASSERT_EQ(status, 0);
  EXPECT_EQ(*memory.page_at(8), std::byte{'b'});
  EXPECT_EQ(changed(memory.bytes()), pages({7, 8}));
}

TEST_F(PageTrackingOfWrites, ByADebugger) {
  const int own = ::open("/proc/self/mem", O_RDWR);
  ASSERT_GE(own, 0);
  ASSERT_EQ(::pwrite(own, "a", 1,
                     static_cast<off_t>(reinterpret_cast<std::uintptr_t>(memory.page_at(3)))),
            1);
  EXPECT_EQ(changed(memory.bytes()), pages({3}));
  ::close(own);
}

// ---- Threads
// -------------------------------------------------------------------------------------

/// Copies what has changed, again and again, while another thread writes: the copy is right in the
/// end only when no write falls between two answers.
TEST_F(PageTracking, LosesNoWriteDuringTheCall) {
  constexpr std::size_t count = 600;
  const Mapping memory{count * page};
  const auto word = [&](std::size_t number) {
    return std::atomic_ref<std::uint64_t>{
        *reinterpret_cast<std::uint64_t*>(memory.page_at(number))};
  };
  ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
  std::vector<std::uint64_t> copy(count);
  const auto update = [&] {
    const ByteRanges found = changed(memory.bytes());
    for (const ByteRange& range : found) {
      for (std::size_t number = range.first / page; number < range.last / page; ++number) {
        copy[number] = word(number).load(std::memory_order_relaxed);
      }
    }
    return found.size();
  };
  std::atomic<bool> done = false;
  std::thread writer{[&] {
    std::uint64_t random = 1;
    for (std::uint64_t value = 1; value <= 2000000; ++value) {
      random = random * 6364136223846793005U + 1442695040888963407U;
      word((random >> 33) % count).store(value, std::memory_order_relaxed);
    }
    done = true;
  }};
  std::size_t calls_with_changes = 0;
  while (!done) calls_with_changes += update() > 0 ? 1 : 0;
  writer.join();
  update();
  for (std::size_t number = 0; number < count; ++number) {
    ASSERT_EQ(copy[number], word(number).load()) << "page " << number;
  }
  EXPECT_GT(calls_with_changes, 2u);
}

// ---- fork
// ----------------------------------------------------------------------------------------

TEST_F(PageTrackingOfWrites, GoesOnAfterAFork) {
  memory.write(1);
  const int status = in_child([&] {
    memory.write(2);
    if (tracker->changed(memory.bytes()).status().code() != Code::not_found) return 1;
    const Mapping own{4 * page};
    if (tracker->watch(own.bytes()).code() != Code::unsupported) return 2;
    tracker->forget(memory.bytes());
    tracker.reset();
    memory.write(3);
    return 0;
  });
  ASSERT_EQ(status, 0);
  memory.write(4);
  EXPECT_EQ(changed(memory.bytes()), pages({1, 4}));
  memory.write(4);
  memory.write(5);
  EXPECT_EQ(changed(memory.bytes()), pages({4, 5}));
}

TEST_F(PageTracking, AChildCanHaveATrackerOfItsOwn) {
  const Mapping memory{4 * page};
  memory.touch_all();
  ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
  const int status = in_child([&] {
    auto own = PageTracker::open();
    if (!own || !own->watch(memory.bytes())) return 1;
    memory.write(2);
    const auto found = own->changed(memory.bytes());
    return found && *found == pages({2}) ? 0 : 2;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
}

// ---- Changes of the mapping
// ----------------------------------------------------------------------

TEST_F(PageTrackingOfWrites, NoticesThatItIsUnmapped) {
  ASSERT_EQ(::munmap(memory.data(), 16 * page), 0);
  expect_not_found(memory.bytes());
  tracker->forget(memory.bytes());
}

TEST_F(PageTrackingOfWrites, NoticesThatAPartIsUnmapped) {
  for (const std::size_t number : {std::size_t{15}, std::size_t{0}, std::size_t{7}}) {
    ASSERT_EQ(::munmap(memory.page_at(number), page), 0);
    expect_not_found(memory.bytes());
    ASSERT_NE(::mmap(memory.page_at(number), page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
              MAP_FAILED);
    expect_not_found(memory.bytes());
    tracker->forget(memory.bytes());
    ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
    memory.write(number);
    EXPECT_EQ(changed(memory.bytes()), pages({number}));
  }
}

TEST_F(PageTrackingOfWrites, NoticesThatItIsMovedAway) {
  const Mapping other{16 * page};
  const auto there = other.bytes();
  ASSERT_EQ(
      ::mremap(memory.data(), 16 * page, 16 * page, MREMAP_MAYMOVE | MREMAP_FIXED, there.data()),
      there.data());
  expect_not_found(memory.bytes());
  expect_not_found(there);
  EXPECT_TRUE(tracker->watch(there).ok());
  other.write(3);
  EXPECT_EQ(changed(there), pages({3}));
}

TEST_F(PageTrackingOfWrites, NoticesOtherMemoryInItsPlace) {
  const Mapping other{16 * page};
  other.write(1, std::byte{9});
  ASSERT_NE(::mremap(other.page_at(0), 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED,
                     memory.page_at(4)),
            MAP_FAILED);
  ASSERT_EQ(*memory.page_at(5), std::byte{9});
  expect_not_found(memory.bytes());
}

TEST_F(PageTrackingOfWrites, SurvivesChangesOfProtection) {
  memory.write(1);
  ASSERT_EQ(::mprotect(memory.page_at(0), 8 * page, PROT_READ), 0);
  EXPECT_EQ(changed(memory.bytes()), pages({1}));
  ASSERT_EQ(::mprotect(memory.page_at(4), 8 * page, PROT_NONE), 0);
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
  ASSERT_EQ(::mprotect(memory.data(), 16 * page, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
  memory.write(3);
  memory.write(6);
  EXPECT_EQ(changed(memory.bytes()), pages({3, 6}));
}

/// The content becomes zero.
TEST_F(PageTrackingOfWrites, ReportsDroppedPages) {
  ASSERT_EQ(::madvise(memory.page_at(2), 2 * page, MADV_DONTNEED), 0);
  EXPECT_EQ(*memory.page_at(2), std::byte{0});
  EXPECT_EQ(changed(memory.bytes()), pages({2, 3}));
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
  memory.write(3);
  EXPECT_EQ(changed(memory.bytes()), pages({3}));
  ASSERT_EQ(::madvise(memory.data(), 16 * page, MADV_DONTNEED), 0);
  EXPECT_EQ(changed(memory.bytes()), (ByteRanges{{0, 16 * page}}));
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
}

/// The kernel frees page tables that are empty, of huge pages and of small ones.
TEST_F(PageTracking, ReportsDroppedPageTables) {
  for (const int advice : {MADV_HUGEPAGE, MADV_NOHUGEPAGE}) {
    const Mapping memory{4 * huge_page};
    ASSERT_EQ(::madvise(memory.data(), 4 * huge_page, advice), 0);
    memory.touch_all();
    ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
    ASSERT_EQ(::madvise(memory.data() + huge_page, 2 * huge_page, MADV_DONTNEED), 0);
    EXPECT_EQ(changed(memory.bytes()), (ByteRanges{{huge_page, 3 * huge_page}}));
    EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
    memory.write(huge_page / page + 5);
    EXPECT_EQ(changed(memory.bytes()), pages({huge_page / page + 5}));
    tracker->forget(memory.bytes());
  }
}

// ---- Huge pages
// ----------------------------------------------------------------------------------

TEST_F(PageTracking, AWriteToAHugePageMarksASmallOne) {
  const Mapping memory{4 * huge_page};
  ASSERT_EQ(::madvise(memory.data(), 4 * huge_page, MADV_HUGEPAGE), 0);
  memory.touch_all();
  if (std::stol(mapping_field(memory.data(), "AnonHugePages")) < 8192) {
    GTEST_SKIP() << "transparent huge pages";
  }
  ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
  EXPECT_GE(std::stol(mapping_field(memory.data(), "AnonHugePages")), 8192) << "watched as a whole";
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
  memory.write(700);
  EXPECT_EQ(changed(memory.bytes()), pages({700}));
  EXPECT_EQ(std::stol(mapping_field(memory.data(), "AnonHugePages")), 6144) << "one is split";
  memory.write(700);
  memory.write(701);
  EXPECT_EQ(changed(memory.bytes()), pages({700, 701}));
}

TEST_F(PageTracking, HugePagesMayBeAskedForLater) {
  const Mapping memory{4 * huge_page};
  memory.touch_all();
  ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
  ASSERT_EQ(::madvise(memory.data(), 4 * huge_page, MADV_HUGEPAGE), 0);
  constexpr int collapse = 25;  // MADV_COLLAPSE, Linux 6.1: at once what khugepaged does
  static_cast<void>(::madvise(memory.data(), huge_page, collapse));
  memory.write(3);
  ASSERT_EQ(::madvise(memory.data() + huge_page, huge_page, MADV_DONTNEED), 0);
  memory.write(513);
  const ByteRanges found = changed(memory.bytes());
  EXPECT_EQ(subtract({{3 * page, 4 * page}, {huge_page, 2 * huge_page}}, found), ByteRanges{});
  EXPECT_LE(total_bytes(found), 2 * huge_page);
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
}

}  // namespace
}  // namespace cairn::capture
