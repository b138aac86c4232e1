#include "runtime/capture/staging.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <limits>
#include <string>
#include <thread>

namespace cairn::capture {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

Item region(const std::string& name, std::vector<double>& values) {
  Item item;
  item.entry = {name, ElementType::float64, 8, {}};
  item.view = [&values] { return std::as_writable_bytes(std::span{values}); };
  return item;
}

Item object(const std::string& name) {
  Item item;
  item.entry = {name, ElementType::serialized, 1, {}};
  item.save = [](std::vector<std::byte>& bytes) { bytes.assign(100, std::byte{7}); };
  return item;
}

bool becomes_ready(Staging& staging) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!staging.ready() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  return staging.ready();
}

std::vector<double> content(const io::Slab& slab) {
  const auto* values = reinterpret_cast<const double*>(slab.data);
  return {values, values + slab.count};
}

class StagingTest : public testing::Test {
 protected:
  StagingTest() {
    EXPECT_TRUE(registry.add(region("a", a)).ok());
    EXPECT_TRUE(registry.add(object("object")).ok());
    EXPECT_TRUE(registry.add(region("none", none)).ok());
    EXPECT_TRUE(registry.add(region("b", b)).ok());
  }

  std::vector<double> a = std::vector<double>(1001, 1.5);
  std::vector<double> none;
  std::vector<double> b = std::vector<double>(300000, 2.5);
  Registry registry;
};

TEST_F(StagingTest, CopiesRegionsAndLeavesObjectsWhereTheyAre) {
  Staging staging{no_limit, 1};
  ASSERT_TRUE(staging.reserve(registry.staged_bytes()).ok());
  for (int epoch = 1; epoch < 4; ++epoch) {
    a.assign(a.size(), epoch);
    b.assign(b.size(), 10 * epoch);
    auto capture = registry.capture();
    ASSERT_TRUE(capture.ok());
    ASSERT_TRUE(staging.copy(*capture).ok());
    EXPECT_EQ(capture->slabs[1].data, capture->objects[0].data());
    const auto expected_a = a;
    const auto expected_b = b;
    a.assign(a.size(), -1);
    b.assign(b.size(), -1);
    EXPECT_EQ(content(capture->slabs[0]), expected_a);
    EXPECT_EQ(content(capture->slabs[3]), expected_b);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(capture->slabs[3].data) % 64, 0u);
  }
}

TEST_F(StagingTest, KeepsItsMemoryAndGrowsWhenThereIsMore) {
  Staging staging{no_limit, 1};
  const auto where = [&] {
    auto capture = registry.capture();
    EXPECT_TRUE(staging.copy(*capture).ok());
    EXPECT_EQ(content(capture->slabs[3]), b);
    return capture->slabs[0].data;
  };
  ASSERT_TRUE(staging.reserve(registry.staged_bytes()).ok());
  const auto* first = where();
  const auto reserved = staging.reserved_bytes();
  b.resize(1000);
  ASSERT_TRUE(staging.reserve(registry.staged_bytes()).ok());
  EXPECT_EQ(where(), first);
  EXPECT_EQ(staging.reserved_bytes(), reserved);
  b.resize(3000000, 4.5);
  ASSERT_TRUE(staging.reserve(registry.staged_bytes()).ok());
  EXPECT_GT(staging.reserved_bytes(), reserved);
  where();
}

/// 4096-byte pages: 8192 faults, if they were left to the copy.
TEST_F(StagingTest, FaultsItsMemoryInBeforehand) {
  b.assign(std::size_t{4} << 20, 1);
  Staging staging{no_limit, 1};
  ASSERT_TRUE(staging.reserve(registry.staged_bytes()).ok());
  ASSERT_TRUE(becomes_ready(staging));
  auto capture = registry.capture();
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  ASSERT_TRUE(staging.copy(*capture).ok());
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_minflt - before.ru_minflt, 16);
}

TEST_F(StagingTest, SaysThatThereIsNoRoom) {
  Staging limited{1 << 20, 1};
  const Status status = limited.reserve(registry.staged_bytes());
  EXPECT_EQ(status.code(), Code::busy);
  EXPECT_EQ(status.message(), "no memory for a copy of 2.3 MiB: the limit is 1.0 MiB");
  auto capture = registry.capture();
  const auto* data = capture->slabs[0].data;
  EXPECT_EQ(limited.copy(*capture).code(), Code::busy);
  EXPECT_EQ(capture->slabs[0].data, data);

  Staging greedy{no_limit, 4};
  const Status too_much = greedy.reserve(std::uint64_t{1} << 50);
  EXPECT_EQ(too_much.code(), Code::busy);
  EXPECT_THAT(too_much.message(), HasSubstr("left on this node, for 4 processes"));
  EXPECT_TRUE(greedy.reserve(registry.staged_bytes()).ok());
  EXPECT_TRUE(greedy.copy(*capture).ok());
}

TEST_F(StagingTest, NeedsNothingForNothing) {
  Registry empty;
  Staging staging{0, 1};
  EXPECT_TRUE(staging.reserve(empty.staged_bytes()).ok());
  auto capture = empty.capture();
  EXPECT_TRUE(staging.copy(*capture).ok());
  EXPECT_TRUE(staging.ready());
}

}  // namespace
}  // namespace cairn::capture
