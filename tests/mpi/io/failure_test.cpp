// Full disks and failing writes: the same clear line on every rank, and the next epoch works.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "io/names.hpp"
#include "io/state_reader.hpp"
#include "io/verify.hpp"
#include "sample.hpp"

namespace {

/// Calls of pwrite, pwritev and fsync that still succeed; negative: all do.
std::atomic<int> writes_left{-1};
std::atomic<int> syncs_left{-1};

bool fails(std::atomic<int>& left) {
  if (left < 0) return false;
  if (left > 0) {
    --left;
    return false;
  }
  errno = EIO;
  return true;
}

}  // namespace

// These replace libc's for every library of the process, MPI-IO included.
extern "C" {
__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void* data, size_t bytes,
                                                      off_t offset) {
  if (fails(writes_left)) return -1;
  return ::syscall(SYS_pwrite64, fd, data, bytes, offset);
}
__attribute__((visibility("default"))) ssize_t pwritev(int fd, const struct iovec* parts, int count,
                                                       off_t offset) {
  if (fails(writes_left)) return -1;
  return ::syscall(SYS_pwritev, fd, parts, count, offset, 0);
}
__attribute__((visibility("default"))) int fsync(int fd) {
  if (fails(syncs_left)) return -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
}

namespace cairn::io {
namespace {

using testing::HasSubstr;

void expect_next_epoch_works(const Store& store, std::uint64_t epoch) {
  Sample sample{world_rank(), world_size()};
  sample.flat("x", ElementType::float64, 8, 1000).ring(2);
  const Status status = write_epoch(store, sample_info(epoch, world_size()), sample.state());
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(verify_epoch(store, epoch).good);
}

TEST(FullDisk, IsOneClearLineAndTheNextEpochWorks) {
  const SharedDirectory directory;
  int mounted = 0;
  if (world_rank() == 0) {
    mounted = ::mount("cairn-test", directory.path().c_str(), "tmpfs", 0, "size=8m") == 0;
  }
  PMPI_Bcast(&mounted, 1, MPI_INT, 0, MPI_COMM_WORLD);
  if (mounted == 0) GTEST_SKIP() << "can't mount a tmpfs here";
  const Store store{directory.path() / "cairn"};
  for (std::uint64_t epoch = 1; epoch < 4; ++epoch) {
    Sample sample{world_rank(), world_size()};
    sample.flat("x", ElementType::uint8, 1, (16u << 20) / static_cast<unsigned>(world_size()));
    const Status status = write_epoch(store, sample_info(epoch, world_size()), sample.state());
    EXPECT_EQ(status.code(), Code::io_error);
    EXPECT_THAT(status.message(),
                HasSubstr("no space left in " + store.directory().native() + ":"));
    EXPECT_THAT(status.message(), HasSubstr("the checkpoint needs 17.0 MiB, "));
  }
  expect_next_epoch_works(store, 4);
  PMPI_Barrier(MPI_COMM_WORLD);
  EXPECT_EQ(world_rank() == 0 ? ::umount(directory.path().c_str()) : 0, 0);
}

/// There is room for the data, but then too much is in the channels.
TEST(FullDisk, IsNoticedWhenTheChannelsAreKnown) {
  const SharedDirectory directory;
  int mounted = 0;
  if (world_rank() == 0) {
    mounted = ::mount("cairn-test", directory.path().c_str(), "tmpfs", 0, "size=8m") == 0;
  }
  PMPI_Bcast(&mounted, 1, MPI_INT, 0, MPI_COMM_WORLD);
  if (mounted == 0) GTEST_SKIP() << "can't mount a tmpfs here";
  Sample sample{world_rank(), world_size()};
  sample.flat("x", ElementType::uint8, 1, 1 << 18);
  auto& messages = sample.state().messages;
  messages.push_back({7, 0, world_rank(), 1, std::vector<std::byte>(std::size_t{8} << 20)});
  const auto path = directory.path() / state_file;
  const Status status =
      write_state(MPI_COMM_WORLD, path, sample_info(1, world_size()), sample.state());
  EXPECT_EQ(status.code(), Code::io_error);
  EXPECT_THAT(status.message(), HasSubstr("no space left in " + directory.path().native() + ":"));
  PMPI_Barrier(MPI_COMM_WORLD);
  EXPECT_FALSE(std::filesystem::exists(path));
  messages.clear();
  EXPECT_TRUE(write_state(MPI_COMM_WORLD, path, sample_info(1, world_size()), sample.state()).ok());
  PMPI_Barrier(MPI_COMM_WORLD);
  EXPECT_EQ(world_rank() == 0 ? ::umount(directory.path().c_str()) : 0, 0);
}

/// Every write after the n-th fails on one rank, for every n until the epoch succeeds. The process
/// lives on, also at MPI_Finalize, where HDF5 cleans up.
struct Way {
  WriteDriver driver;
  int ranks;  ///< of TestNodes
};

class FailingWrite : public testing::TestWithParam<Way> {};

TEST_P(FailingWrite, IsReportedByEveryRankAndTheNextEpochWorks) {
  const SharedDirectory directory;
  const Store store{directory.path()};
  const TestNodes nodes{GetParam().ranks};
  const int victim = world_size() - 1;
  std::uint64_t epoch = 1;
  bool failed = true;
  for (int n = 0; failed && n < 200; ++n) {
    if (world_rank() == victim) writes_left = n;
    Sample sample{world_rank(), world_size()};
    sample.flat("x", ElementType::float64, 8, 1000).ring(2);
    sample.flat("large", ElementType::uint8, 1, (5 << 19) + 7);
    sample.shaped("c", ElementType::float64, 8, {8, static_cast<std::uint64_t>(world_size())},
                  {0, static_cast<std::uint64_t>(world_rank())}, {8, 1});
    const Status status = write_epoch(store, sample_info(epoch, world_size()), sample.state(),
                                      {.driver = GetParam().driver, .group = nodes.group()});
    writes_left = -1;
    // Rank 0 also writes COMMIT.json; its failure is only known there.
    int ok = status.ok();
    PMPI_Bcast(&ok, 1, MPI_INT, 0, MPI_COMM_WORLD);
    failed = ok == 0;
    EXPECT_EQ(status.ok(), ok != 0) << n;
    EXPECT_EQ(store.epochs().size(), failed ? 0u : 1u) << n;
  }
  EXPECT_FALSE(failed);
  expect_next_epoch_works(store, 2);
}

INSTANTIATE_TEST_SUITE_P(Ways, FailingWrite,
                         testing::Values(Way{WriteDriver::direct, 0}, Way{WriteDriver::mpiio, 0},
                                         Way{WriteDriver::direct, 1}, Way{WriteDriver::direct, 2}));

/// Each rank syncs its node's file and state.h5.
TEST(FailingSync, OfEitherFileFailsTheEpoch) {
  if (world_size() == 1) GTEST_SKIP() << "rank 0 has other files to sync before";
  const SharedDirectory directory;
  const Store store{directory.path()};
  const TestNodes nodes{2};
  Sample sample{world_rank(), world_size()};
  sample.flat("x", ElementType::float64, 8, 1000);
  const int victim = world_size() - 1;
  for (int n = 0; n < 2; ++n) {
    if (world_rank() == victim) syncs_left = n;
    const Status status =
        write_epoch(store, sample_info(1, world_size()), sample.state(), {.group = nodes.group()});
    syncs_left = -1;
    EXPECT_EQ(status.code(), Code::io_error) << n;
    EXPECT_THAT(status.message(), HasSubstr(n == 0 ? "state-node-" : "state.h5")) << n;
    EXPECT_THAT(status.message(), HasSubstr("can't sync to disk")) << n;
    EXPECT_TRUE(store.epochs().empty()) << n;
    PMPI_Barrier(MPI_COMM_WORLD);
  }
  expect_next_epoch_works(store, 1);
}

TEST(FailingSync, Propagates) {
  const SharedDirectory directory;
  const Store store{directory.path()};
  Sample sample{world_rank(), world_size()};
  sample.flat("x", ElementType::float64, 8, 1000);
  ASSERT_TRUE(write_epoch(store, sample_info(1, world_size()), sample.state()).ok());
  // state.h5, COMMIT.json, its directory, the checkpoint directory.
  for (int n = 0; n < 4; ++n) {
    syncs_left = n;
    Status status = write_epoch(store, sample_info(2, world_size()), sample.state());
    syncs_left = -1;
    if (world_rank() == 0 || n == 0) {
      EXPECT_EQ(status.code(), Code::io_error) << n;
      EXPECT_THAT(status.message(), HasSubstr("can't sync to disk")) << n;
    }
    EXPECT_EQ(store.epochs(), std::vector<std::uint64_t>{1}) << n;
    PMPI_Barrier(MPI_COMM_WORLD);
  }
  expect_next_epoch_works(store, 2);
}

}  // namespace
}  // namespace cairn::io
