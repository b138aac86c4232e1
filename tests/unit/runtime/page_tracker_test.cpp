// What can be watched, and what is reported of it.
#include "runtime/capture/page_tracker.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstring>
#include <memory>
#include <vector>

#include "runtime/capture/page_tracking_abi.hpp"
#include "tests/unit/runtime/tracked_memory.hpp"

namespace cairn::capture {
namespace {

using testing::HasSubstr;

alignas(4096) std::byte in_bss[64 * 4096];
alignas(4096) std::byte in_data[64 * 4096] = {std::byte{1}};

/// Else the tests below would be skipped where only the tracker is wrong.
TEST(PageTracker, OpensWhereTheKernelHasWhatItNeeds) {
  const int descriptor =
      static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
  if (descriptor < 0) GTEST_SKIP() << "userfaultfd: " << std::strerror(errno);
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED;
  const bool has_features = ::ioctl(descriptor, UFFDIO_API, &api) == 0;
  ::close(descriptor);
  if (!has_features) GTEST_SKIP() << "userfaultfd: no UFFD_FEATURE_WP_ASYNC";
  procmap_query query{};
  query.size = sizeof query;
  query.query_addr = reinterpret_cast<std::uint64_t>(in_bss);
  const int maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  const bool has_query = ::ioctl(maps, PROCMAP_QUERY, &query) == 0;
  ::close(maps);
  if (!has_query) GTEST_SKIP() << "PROCMAP_QUERY: Linux 6.11";
  const auto opened = PageTracker::open();
  EXPECT_TRUE(opened.ok()) << opened.status().message();
}

TEST_F(PageTracking, ReportsWhatHasBeenWrittenSinceTheLastCall) {
  const Mapping memory{8 * page};
  memory.touch_all();
  ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
  memory.write(1);
  memory.write(2);
  memory.page_at(7)[page - 1] = std::byte{5};
  EXPECT_EQ(changed(memory.bytes()), pages({1, 2, 7}));
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
  memory.write(2);
  EXPECT_EQ(changed(memory.bytes()), pages({2}));
}

TEST_F(PageTracking, ReportsFirstWritesToMemoryNeverTouched) {
  const Mapping memory{3 * huge_page};
  ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
  memory.write(3);
  memory.write(1200);
  EXPECT_EQ(*memory.page_at(77), std::byte{0}) << "a read is none";
  EXPECT_EQ(changed(memory.bytes()), pages({3, 1200}));
  memory.write(77);
  EXPECT_EQ(changed(memory.bytes()), pages({77}));
}

TEST_F(PageTracking, PartialPagesAtTheEndsAlwaysCount) {
  const Mapping memory{8 * page};
  const auto part = memory.bytes().subspan(100, 5 * page);
  const ByteRanges ends{{0, page - 100}, {5 * page - 100, 5 * page}};
  ASSERT_TRUE(tracker->watch(part).ok());
  EXPECT_EQ(changed(part), ends);
  memory.write(3);
  EXPECT_EQ(changed(part), unite(ends, {{3 * page - 100, 4 * page - 100}}));

  const auto small = memory.bytes().subspan(6 * page + 1, page);
  ASSERT_TRUE(tracker->watch(small).ok());
  EXPECT_EQ(changed(small), (ByteRanges{{0, page}}));
  EXPECT_EQ(changed(small), (ByteRanges{{0, page}})) << "no whole page";
  ASSERT_TRUE(tracker->watch({}).ok());
  EXPECT_EQ(changed({}), ByteRanges{});
}

TEST_F(PageTracking, NeighboursInAPageDontTakeChangesFromEachOther) {
  const Mapping memory{8 * page};
  const auto left = memory.bytes().first(4 * page + 100);
  const auto right = memory.bytes().subspan(4 * page + 100);
  ASSERT_TRUE(tracker->watch(left).ok());
  ASSERT_TRUE(tracker->watch(right).ok());
  memory.page_at(4)[50] = std::byte{1};
  memory.page_at(4)[150] = std::byte{1};
  memory.write(3);
  memory.write(5);
  EXPECT_EQ(changed(left), (ByteRanges{{3 * page, 4 * page + 100}}));
  EXPECT_EQ(changed(right), (ByteRanges{{0, 2 * page - 100}}));
}

TEST_F(PageTracking, RefusesMemoryThatIsWatchedAlready) {
  const Mapping memory{8 * page};
  const auto middle = memory.bytes().subspan(2 * page, 3 * page);
  ASSERT_TRUE(tracker->watch(middle).ok());
  for (const auto& other : {memory.bytes(), middle, memory.bytes().first(3 * page),
                            memory.bytes().subspan(4 * page), middle.subspan(page, page)}) {
    const Status status = tracker->watch(other);
    EXPECT_EQ(status.code(), Code::unsupported);
    EXPECT_THAT(status.message(), HasSubstr("watched already"));
  }
  EXPECT_TRUE(tracker->watch(memory.bytes().first(2 * page)).ok());
  EXPECT_TRUE(tracker->watch(memory.bytes().subspan(5 * page)).ok());
  memory.write(3);
  EXPECT_EQ(changed(middle), pages({1}));
  expect_not_found(memory.bytes());

  tracker->forget(middle);
  expect_not_found(middle);
  EXPECT_TRUE(tracker->watch(middle.first(page)).ok());
}

TEST_F(PageTracking, LeavesNothingBehind) {
  const Mapping memory{8 * page};
  const auto first = memory.bytes().first(4 * page);
  const auto second = memory.bytes().subspan(4 * page);
  ASSERT_TRUE(tracker->watch(first).ok());
  ASSERT_TRUE(tracker->watch(second).ok());
  EXPECT_TRUE(watched_by_kernel(first.data()));
  tracker->forget(first);
  tracker->forget(first);
  EXPECT_FALSE(watched_by_kernel(first.data()));
  EXPECT_TRUE(watched_by_kernel(second.data()));

  PageTracker moved = std::move(*tracker);
  memory.write(6);
  EXPECT_EQ(*moved.changed(second), pages({2}));
  // A child that lives on holds the userfaultfd open.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char end = 0;
    ::close(ends[1]);
    ::_exit(static_cast<int>(::read(ends[0], &end, 1)));
  }
  tracker.reset();
  { const PageTracker gone = std::move(moved); }
  EXPECT_FALSE(watched_by_kernel(second.data()));
  ::close(ends[1]);
  ::close(ends[0]);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

// ---- Kinds of memory
// -----------------------------------------------------------------------------

TEST_F(PageTracking, WatchesTheStack) {
  alignas(4096) std::byte memory[40 * 4096];
  std::memset(memory, 1, sizeof memory);
  ASSERT_TRUE(tracker->watch(memory).ok());
  *const_cast<volatile std::byte*>(memory + 5 * page) = std::byte{2};
  EXPECT_EQ(changed(memory), pages({5}));
  tracker->forget(memory);
}

TEST_F(PageTracking, WatchesBss) {
  ASSERT_TRUE(tracker->watch(in_bss).ok());
  *const_cast<volatile std::byte*>(in_bss + 5 * page) = std::byte{2};
  EXPECT_EQ(changed(in_bss), pages({5}));
}

TEST_F(PageTracking, WatchesTheHeap) {
  std::vector<std::byte> small(20 * page), large(5000 * page);
  for (auto* memory : {&small, &large}) {
    ASSERT_TRUE(tracker->watch(*memory).ok());
    ASSERT_LE(total_bytes(changed(*memory)), 2 * page);
    (*memory)[10 * page] = std::byte{1};
    const ByteRanges found = changed(*memory);
    EXPECT_LE(total_bytes(found), 3 * page);
    EXPECT_EQ(subtract({{10 * page, 10 * page + 1}}, found), ByteRanges{});
    tracker->forget(*memory);
  }
}

TEST_F(PageTracking, RefusesMappingsOfFiles) {
  expect_unsupported(in_data, "a mapping of a file");
  char name[] = "/tmp/cairn-page-tracker-test-XXXXXX";
  const int file = ::mkstemp(name);
  ASSERT_GE(file, 0);
  ::unlink(name);
  ASSERT_EQ(::ftruncate(file, static_cast<off_t>(4 * page)), 0);
  // Nothing is done to the memory before it either.
  const Mapping memory{8 * page};
  ASSERT_NE(
      ::mmap(memory.page_at(4), 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, 0),
      MAP_FAILED);
  expect_unsupported(memory.bytes(), "a mapping of a file");
  expect_unsupported(memory.bytes().subspan(4 * page), "a mapping of a file");
  EXPECT_TRUE(tracker->watch(memory.bytes().first(4 * page)).ok());
  ::close(file);
}

/// The reason: a write through another mapping, which may be another process's, is not reported.
TEST_F(PageTracking, RefusesSharedMemory) {
  const int file = ::memfd_create("cairn-test", 0);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::ftruncate(file, static_cast<off_t>(4 * page)), 0);
  for (const int descriptor : {file, -1}) {
    const int anonymous = descriptor < 0 ? MAP_ANONYMOUS : 0;
    void* const shared =
        ::mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED | anonymous, descriptor, 0);
    ASSERT_NE(shared, MAP_FAILED);
    expect_unsupported({static_cast<std::byte*>(shared), 4 * page}, "shared memory");
    ::munmap(shared, 4 * page);
  }
  ::close(file);
}

TEST_F(PageTracking, RefusesMemoryThatIsNotMapped) {
  const Mapping memory{8 * page};
  ASSERT_EQ(::munmap(memory.page_at(5), page), 0);
  expect_unsupported(memory.bytes(), "not mapped");
  expect_unsupported(memory.bytes().subspan(5 * page, page), "not mapped");
  EXPECT_TRUE(tracker->watch(memory.bytes().first(5 * page)).ok());
}

TEST_F(PageTracking, LeavesTheProgramItsOwnUserfaultfd) {
  const int own =
      static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
  ASSERT_GE(own, 0);
  uffdio_api api{};
  api.api = UFFD_API;
  ASSERT_EQ(::ioctl(own, UFFDIO_API, &api), 0);
  const Mapping memory{8 * page};
  memory.touch_all();
  uffdio_register registration{};
  registration.range = {reinterpret_cast<std::uint64_t>(memory.page_at(4)), 2 * page};
  registration.mode = UFFDIO_REGISTER_MODE_MISSING;
  ASSERT_EQ(::ioctl(own, UFFDIO_REGISTER, &registration), 0);
  expect_unsupported(memory.bytes(), "the program has registered it");
  EXPECT_THAT(mapping_field(memory.page_at(4), "VmFlags"), HasSubstr(" um"));
  ::close(own);
}

// ---- Many
// ----------------------------------------------------------------------------------------

TEST_F(PageTracking, ReportsMoreRangesThanFitIntoOneAnswerOfTheKernel) {
  const Mapping memory{20000 * page};
  memory.touch_all();
  ASSERT_TRUE(tracker->watch(memory.bytes()).ok());
  ByteRanges expected;
  for (std::size_t number = 0; number < 20000; number += 2) {
    memory.write(number);
    append(expected, {number * page, (number + 1) * page});
  }
  EXPECT_EQ(changed(memory.bytes()), expected);
  EXPECT_EQ(changed(memory.bytes()), ByteRanges{});
}

TEST_F(PageTracking, WatchesThousandsOfRegions) {
  constexpr std::size_t count = 5000;
  const Mapping memory{3 * count * page};
  const auto region = [&](std::size_t i) { return memory.bytes().subspan(3 * i * page, 2 * page); };
  for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(tracker->watch(region(i)).ok()) << i;
  for (std::size_t i = 0; i < count; i += 7) memory.write(3 * i + 1);
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(changed(region(i)), i % 7 == 0 ? pages({1}) : ByteRanges{}) << i;
  }
}

TEST_F(PageTracking, LeavesHalfOfTheMappingsToTheProgram) {
  std::size_t most = 0;
  std::ifstream{"/proc/sys/vm/max_map_count"} >> most;
  if (most > 300000) GTEST_SKIP() << "vm.max_map_count is " << most << ": that takes too long";
  most /= 4;
  const Mapping memory{2 * (most + 1) * page};
  for (std::size_t i = 0; i < most; ++i) {
    ASSERT_TRUE(tracker->watch(memory.bytes().subspan(2 * i * page, page)).ok()) << i;
  }
  expect_unsupported(memory.bytes().subspan(2 * most * page, page), "vm.max_map_count");
}

// ---- Permissions
// ---------------------------------------------------------------------------------

/// 0 when a tracker can be opened and sees a write.
int track_a_write() {
  auto tracker = PageTracker::open();
  if (!tracker) return 2;
  const Mapping memory{4 * page};
  if (!tracker->watch(memory.bytes())) return 3;
  int ends[2];
  if (::pipe(ends) != 0 || ::write(ends[1], "x", 1) != 1) return 4;
  memory.write(1);
  if (::read(ends[0], memory.page_at(3), 1) != 1) return 5;  // the kernel writes
  const auto found = tracker->changed(memory.bytes());
  return found && *found == pages({1, 3}) ? 0 : 6;
}

TEST_F(PageTracking, NeedsNoPrivilege) {
  const auto status = in_child([] {
    if (::getuid() == 0) {
      if (::setuid(65534) != 0) return 20;
      ::prctl(PR_SET_DUMPABLE, 1);  // as after exec: /proc/self is the user's
    }
    return track_a_write();
  });
  EXPECT_EQ(status, 0);
}

TEST_F(PageTracking, SaysThatUserfaultfdIsRefused) {
  const auto status = in_child([] {
    sock_filter refuse[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(refuse), refuse};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 20;
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 21;
    const auto opened = PageTracker::open();
    if (opened.ok() || opened.status().code() != Code::unsupported) return 1;
    return opened.status().message().find("userfaultfd is refused") != std::string::npos ? 0 : 2;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace cairn::capture
