#include "io/store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "io/commit_record.hpp"
#include "io/sealed_json.hpp"
#include "io/verify.hpp"
#include "temporary_store.hpp"

namespace cairn::io {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class StoreTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(store.prepare(sample_job()).ok()); }

  void commit(std::uint64_t epoch, std::optional<std::uint64_t> parent = {}) {
    EpochInfo info = sample_info(epoch);
    info.parent = parent;
    if (parent) info.parent_id = store.read_commit(*parent)->id;
    const Status status = commit_empty(store, info);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  void damage(std::uint64_t epoch) {
    std::ofstream{store.epoch_path(epoch) / commit_file, std::ios::app} << "x";
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& item : fs::directory_iterator(store.directory())) {
      names.push_back(item.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  TemporaryDirectory directory;
  Store store{directory.path() / "a" / "cairn"};
};

TEST_F(StoreTest, PrepareMakesAPrivateDirectory) {
  struct stat info {};
  ASSERT_EQ(::stat(store.directory().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_THAT(files(), ElementsAre("JOB.json"));
}

TEST_F(StoreTest, PrepareRemovesLeftoversAndKeepsTheRest) {
  commit(1);
  begin_empty(store, sample_info(2));
  fs::create_directory(store.directory() / ".old-epoch-00000000");
  std::ofstream{store.directory() / ".tmp-space"} << "x";
  Job other = sample_job();
  other.uuid = "another";
  ASSERT_TRUE(store.prepare(other).ok());
  EXPECT_THAT(files(), ElementsAre("JOB.json", "epoch-00000001"));
  EXPECT_EQ(store.read_job()->uuid, "some-uuid");
}

TEST_F(StoreTest, PrepareFailsWhereNoDirectoryCanBe) {
  std::ofstream{directory.path() / "file"} << "x";
  const Status status = Store{directory.path() / "file" / "cairn"}.prepare(sample_job());
  EXPECT_EQ(status.code(), Code::io_error);
  EXPECT_THAT(status.message(), HasSubstr("file/cairn"));
}

TEST_F(StoreTest, JobRoundTripsAndRejectsDamage) {
  const auto job = store.read_job();
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(job->application, "app");
  EXPECT_THAT(job->command, ElementsAre("./app", "--steps", "10"));
  EXPECT_EQ(job->ranks, 1);
  std::ofstream{store.directory() / job_file, std::ios::app} << " ";
  EXPECT_EQ(store.read_job().status().code(), Code::corruption);
  EXPECT_EQ((Store{directory.path() / "none"}.read_job().status().code()), Code::not_found);
}

TEST_F(StoreTest, CommitPublishes) {
  begin_empty(store, sample_info(5));
  EXPECT_TRUE(store.epochs().empty());
  EXPECT_EQ(store.read_commit(5).status().code(), Code::not_found);
  const auto info = store.commit(sample_info(5));
  ASSERT_TRUE(info.ok()) << info.status().message();
  EXPECT_EQ(info->bytes, fs::file_size(store.epoch_path(5) / state_file));
  EXPECT_EQ(info->committed_at.size(), 20u);
  EXPECT_THAT(store.epochs(), ElementsAre(5));
  const auto read = store.read_commit(5);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->bytes, info->bytes);
  EXPECT_EQ(read->committed_at, info->committed_at);
  EXPECT_EQ(read->parent, std::nullopt);
  EXPECT_THAT(files(), ElementsAre("JOB.json", "epoch-00000005"));
}

TEST_F(StoreTest, CommitNeedsACompleteStateFile) {
  ASSERT_TRUE(store.begin(1).ok());
  EXPECT_FALSE(store.commit(sample_info(1)).ok());
  begin_empty(store, sample_info(1));
  fs::resize_file(store.directory() / ".tmp-epoch-00000001" / state_file, 1000);
  EXPECT_EQ(store.commit(sample_info(1)).status().code(), Code::corruption);
  EXPECT_TRUE(store.epochs().empty());
}

TEST_F(StoreTest, AnEpochIsNeverReplaced) {
  commit(1);
  EXPECT_EQ(store.begin(1).status().code(), Code::invalid_argument);
  begin_empty(store, sample_info(2));
  fs::create_directory(store.epoch_path(2));  // even when it is empty
  EXPECT_EQ(store.commit(sample_info(2)).status().code(), Code::io_error);
  EXPECT_TRUE(fs::is_empty(store.epoch_path(2)));
}

TEST_F(StoreTest, DiscardRemovesWhatBeginMade) {
  begin_empty(store, sample_info(1));
  store.discard(1);
  store.discard(1);
  EXPECT_THAT(files(), ElementsAre("JOB.json"));
}

TEST_F(StoreTest, ARenamedEpochIsNoticed) {
  commit(1);
  fs::rename(store.epoch_path(1), store.epoch_path(2));
  EXPECT_EQ(store.read_commit(2).status().code(), Code::corruption);
}

TEST_F(StoreTest, NewerFormatIsUnsupportedAndNeverRemoved) {
  commit(1);
  auto document =
      nlohmann::ordered_json::parse(*read_text(store.epoch_path(1) / commit_file, 1 << 20));
  document["format_version"] = format_version + 1;
  document.erase("checksum");
  ASSERT_TRUE(write_atomically(store.epoch_path(1) / commit_file, seal(document)).ok());
  EXPECT_EQ(store.read_commit(1).status().code(), Code::unsupported);
  commit(2);
  commit(3);
  ASSERT_TRUE(store.retain(1).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(1, 3));
}

TEST_F(StoreTest, EpochsIgnoresOtherNames) {
  commit(10);
  commit(2);
  std::ofstream{store.directory() / "epoch-00000003"} << "a file";
  fs::create_directory(store.directory() / "epoch-4");
  EXPECT_THAT(store.epochs(), ElementsAre(2, 10));
  EXPECT_TRUE((Store{directory.path() / "none"}.epochs().empty()));
}

TEST_F(StoreTest, RetainKeepsTheNewest) {
  for (std::uint64_t epoch = 1; epoch <= 5; ++epoch) commit(epoch);
  ASSERT_TRUE(store.retain(3).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(3, 4, 5));
  ASSERT_TRUE(store.retain(7).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(3, 4, 5));
  EXPECT_EQ(store.retain(0).code(), Code::invalid_argument);
  EXPECT_THAT(files(),
              ElementsAre("JOB.json", "epoch-00000003", "epoch-00000004", "epoch-00000005"));
}

TEST_F(StoreTest, RetainDoesNotCountDamagedOnes) {
  for (std::uint64_t epoch = 1; epoch <= 6; ++epoch) commit(epoch);
  for (const std::uint64_t epoch : {1, 4, 6}) damage(epoch);
  ASSERT_TRUE(store.retain(2).ok());
  // 1 is damaged and older than all kept ones, 2 is surplus.
  EXPECT_THAT(store.epochs(), ElementsAre(3, 4, 5, 6));
}

TEST_F(StoreTest, RetainDoesNotCountDeltasThatBuildOnNothing) {
  commit(1);
  commit(2);
  commit(3, 2);
  commit(4, 3);
  damage(2);
  ASSERT_TRUE(store.retain(2).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(1, 2, 3, 4));
  commit(5);
  commit(6, 5);
  damage(5);
  commit(7);
  ASSERT_TRUE(store.retain(1).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(7));
}

TEST_F(StoreTest, RetainSparesWhatADamagedDeltaBuildsOn) {
  commit(1);
  commit(2, 1);
  commit(3, 2);
  damage(2);
  ASSERT_TRUE(store.retain(1).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(1, 2, 3)) << "1 is the only one that can be used";
}

/// An error may pass.
TEST_F(StoreTest, RetainSparesWhatMayBeBuiltOn) {
  commit(1);
  commit(2, 1);
  commit(3, 2);
  commit(4);
  const fs::path file = store.epoch_path(2) / commit_file;
  fs::rename(file, file.string() + ".away");
  fs::create_directory(file);
  ASSERT_EQ(store.read_commit(2).status().code(), Code::io_error);
  ASSERT_TRUE(store.retain(1).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(1, 2, 3, 4));
  fs::remove(file);
  fs::rename(file.string() + ".away", file);
  ASSERT_TRUE(store.retain(1).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(4));
}

TEST_F(StoreTest, WhatADeltaBuildsOnMustBeThere) {
  commit(1);
  commit(2, 1);
  EpochInfo info = sample_info(3);
  info.parent = 2;
  info.parent_id = store.read_commit(2)->id;
  fs::remove_all(store.epoch_path(1));
  const Status status = commit_empty(store, info);
  EXPECT_EQ(status.code(), Code::corruption);
  EXPECT_THAT(status.message(), HasSubstr("epoch 1, which epoch 2 builds on, is gone"));
  EXPECT_THAT(store.epochs(), ElementsAre(2));
}

TEST_F(StoreTest, RetainRemovesNothingWhenNoneIsValid) {
  commit(1);
  commit(2);
  damage(1);
  damage(2);
  ASSERT_TRUE(store.retain(1).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(1, 2));
}

TEST_F(StoreTest, RetainSparesWhatADeltaBuildsOn) {
  commit(1);
  commit(2);
  commit(3, 1);
  commit(4, 3);
  ASSERT_TRUE(store.retain(1).ok());
  EXPECT_THAT(store.epochs(), ElementsAre(1, 3, 4));
}

TEST_F(StoreTest, HistoryGrowsByLines) {
  store.append_history(R"({"event": "start"})");
  store.append_history(R"({"event": "commit"})");
  const auto text = read_text(store.directory() / history_file, 1000);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "{\"event\": \"start\"}\n{\"event\": \"commit\"}\n");
  Store{directory.path() / "none"}.append_history("{}");  // no harm
}

TEST_F(StoreTest, VerifyReportsAMissingEpoch) {
  EXPECT_FALSE(verify_epoch(store, 9).good);
  commit(1);
  const VerifyReport report = verify_epoch(store, 1);
  EXPECT_TRUE(report.good) << testing::PrintToString(report.problems);
}

}  // namespace
}  // namespace cairn::io
