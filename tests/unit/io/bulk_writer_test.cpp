#include "io/bulk_writer.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "temporary_store.hpp"

namespace cairn::io {
namespace {

std::vector<std::byte> random_bytes(std::size_t count, std::mt19937& random) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

std::filesystem::path make_file(const TemporaryDirectory& directory, std::uint64_t bytes) {
  const auto path = directory.path() / "file";
  EXPECT_TRUE(create_state_file(path, bytes).ok());
  return path;
}

void expect_content(const std::filesystem::path& path, const std::vector<std::byte>& expected) {
  const auto file = File::open(path, O_RDONLY);
  ASSERT_TRUE(file.ok());
  std::vector<std::byte> content(expected.size());
  ASSERT_TRUE(file->read_at(0, content).ok());
  EXPECT_TRUE(content == expected);
}

/// Two writers take turns at stretches that border on each other within pages, in portions of every
/// size.
TEST(BulkWriter, WritesStretchesNextToAnothersInAnyPortions) {
  const TemporaryDirectory directory;
  const unsigned seed = 4711;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random{seed};
  for (int round = 0; round < 4; ++round) {
    const auto expected = random_bytes((std::size_t{6} << 20) + random() % 100000, random);
    const auto path = make_file(directory, expected.size());
    auto first = BulkWriter::open(path);
    auto second = BulkWriter::open(path);
    ASSERT_TRUE(first.ok() && second.ok());
    BulkWriter* writers[] = {&*first, &*second};
    for (std::size_t at = 0, i = 0; at < expected.size(); ++i) {
      const std::size_t stretch = std::min<std::size_t>(expected.size() - at, random() % 3000000);
      for (std::size_t end = at + stretch; at < end;) {
        const std::size_t limit = random() % 4 == 0 ? 5000000 : 70000;
        const std::size_t portion = std::min<std::size_t>(end - at, random() % limit);
        const auto part = std::span{expected}.subspan(at, portion);
        ASSERT_TRUE(writers[i % 2]->write(at, part).ok());
        at += portion;
      }
    }
    EXPECT_EQ(first->written_bytes() + second->written_bytes(), expected.size());
    EXPECT_TRUE(first->sync().ok());
    EXPECT_TRUE(first->close().ok());
    EXPECT_TRUE(second->close().ok());
    expect_content(path, expected);
    std::filesystem::remove(path);
  }
}

/// A limit on the size of files makes a write fail in the middle.
TEST(BulkWriter, ReportsWritesThatFail) {
  const TemporaryDirectory directory;
  const std::vector<std::byte> bytes(20 << 20);
  const auto path = make_file(directory, bytes.size());
  auto writer = BulkWriter::open(path);
  ASSERT_TRUE(writer.ok());
  rlimit saved{};
  getrlimit(RLIMIT_FSIZE, &saved);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{(13 << 20) + 5, saved.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const Status status = writer->write(0, bytes);
  setrlimit(RLIMIT_FSIZE, &saved);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), Code::io_error);
  EXPECT_NE(status.message().find(std::strerror(EFBIG)), std::string::npos) << status.message();
}

TEST(BulkWriter, SaysWhenThereIsNoFile) {
  EXPECT_EQ(BulkWriter::open("/tmp/cairn-does-not-exist").status().code(), Code::not_found);
}

}  // namespace
}  // namespace cairn::io
