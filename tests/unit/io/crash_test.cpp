// Kills a process at every crash point of the store, and looks at what is left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "io/verify.hpp"
#include "temporary_store.hpp"

namespace cairn::io {
namespace {

using testing::ElementsAre;

/// Runs the test `child` of this program in a new process with the store, to be killed at `point`.
/// Returns the signal that ended it; 0 when none did.
int run_child(const char* child, const std::string& point, const Store& store) {
  const pid_t process = ::fork();
  if (process == 0) {
    ::setenv("CAIRN_CRASH_AT", point.c_str(), 1);
    ::setenv("CAIRN_TEST_STORE", store.directory().c_str(), 1);
    const std::string filter = std::string{"--gtest_filter=CrashChild."} + child;
    ::execl("/proc/self/exe", "child", filter.c_str(), "--gtest_brief=1", nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(process, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

const char* child_store() { return std::getenv("CAIRN_TEST_STORE"); }

TEST(CrashChild, Commits) {
  if (child_store() == nullptr) GTEST_SKIP() << "runs as a child of the tests below";
  const Store store{child_store()};
  EXPECT_TRUE(commit_empty(store, sample_info(2)).ok());
}

TEST(CrashChild, Retains) {
  if (child_store() == nullptr) GTEST_SKIP() << "runs as a child of the tests below";
  const Store store{child_store()};
  EXPECT_TRUE(store.retain(1).ok());
}

class Crash : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(store.prepare(sample_job()).ok());
    ASSERT_TRUE(commit_empty(store, sample_info(1)).ok());
  }
  /// Every epoch that exists is valid, a new job can go on, and nothing half-done stays.
  void expect_sound() {
    ASSERT_TRUE(store.prepare(sample_job()).ok());
    for (const std::uint64_t epoch : store.epochs()) EXPECT_TRUE(verify_epoch(store, epoch).good);
    for (const auto& item : std::filesystem::directory_iterator(store.directory())) {
      EXPECT_NE(item.path().filename().native()[0], '.') << item.path();
    }
    EXPECT_TRUE(commit_empty(store, sample_info(store.epochs().back() + 1)).ok());
  }

  TemporaryDirectory directory;
  Store store{directory.path() / "cairn"};
};

class CrashInCommit : public Crash, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Points, CrashInCommit,
                         testing::Values("directory_created", "commit_half_written",
                                         "commit_written", "commit_synced", "renamed",
                                         "parent_synced"));

TEST_P(CrashInCommit, LeavesTheEpochWholeOrAbsent) {
  const std::string point = GetParam();
  ASSERT_EQ(run_child("Commits", point, store), SIGKILL);
  const bool published = point == "renamed" || point == "parent_synced";
  EXPECT_EQ(store.epochs().size(), published ? 2u : 1u);
  expect_sound();
}

class CrashInRetention : public Crash, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Points, CrashInRetention,
                         testing::Values("retention_begun", "retention_renamed", "retention_done"));

TEST_P(CrashInRetention, LeavesOnlyWholeEpochs) {
  const std::string point = GetParam();
  ASSERT_TRUE(commit_empty(store, sample_info(2)).ok());
  ASSERT_EQ(run_child("Retains", point, store), SIGKILL);
  EXPECT_EQ(store.epochs().size(), point == "retention_begun" ? 2u : 1u);
  expect_sound();
}

/// Also when a chain of epochs goes: one that is left without what it builds on is of no use.
TEST_F(Crash, RetentionRemovesAChainFromItsEnd) {
  for (const std::uint64_t epoch : {2, 3}) {
    EpochInfo info = sample_info(epoch);
    info.parent = epoch - 1;
    info.parent_id = store.read_commit(epoch - 1)->id;
    ASSERT_TRUE(commit_empty(store, info).ok());
  }
  ASSERT_TRUE(commit_empty(store, sample_info(4)).ok());
  ASSERT_EQ(run_child("Retains", "retention_renamed:1", store), SIGKILL);
  EXPECT_THAT(store.epochs(), ElementsAre(1, 2, 4));
  ASSERT_EQ(run_child("Retains", "retention_renamed:1", store), SIGKILL);
  EXPECT_THAT(store.epochs(), ElementsAre(1, 4));
}

}  // namespace
}  // namespace cairn::io
