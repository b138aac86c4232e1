#include "runtime/capture/byte_ranges.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace cairn::capture {

void PrintTo(const ByteRange& range, std::ostream* out) {
  *out << '[' << range.first << ", " << range.last << ')';
}

namespace {

TEST(ByteRanges, AppendMergesWhatTouches) {
  ByteRanges ranges;
  append(ranges, {3, 3});
  EXPECT_EQ(ranges, ByteRanges{});
  append(ranges, {1, 4});
  append(ranges, {4, 6});
  append(ranges, {5, 5});
  append(ranges, {7, 9});
  EXPECT_EQ(ranges, (ByteRanges{{1, 6}, {7, 9}}));
  append(ranges, {8, 9});
  append(ranges, {8, 12});
  EXPECT_EQ(ranges, (ByteRanges{{1, 6}, {7, 12}}));
}

TEST(ByteRanges, UniteMergesWhatOverlapsOrTouches) {
  EXPECT_EQ(unite({}, {}), ByteRanges{});
  EXPECT_EQ(unite({{1, 2}}, {}), (ByteRanges{{1, 2}}));
  EXPECT_EQ(unite({}, {{1, 2}}), (ByteRanges{{1, 2}}));
  EXPECT_EQ(unite({{0, 4}, {8, 12}}, {{4, 8}}), (ByteRanges{{0, 12}}));
  EXPECT_EQ(unite({{0, 4}, {6, 7}}, {{1, 2}, {3, 5}, {9, 10}}),
            (ByteRanges{{0, 5}, {6, 7}, {9, 10}}));
}

TEST(ByteRanges, SubtractCutsHoles) {
  EXPECT_EQ(subtract({{0, 10}}, {}), (ByteRanges{{0, 10}}));
  EXPECT_EQ(subtract({{0, 10}}, {{2, 3}, {5, 10}}), (ByteRanges{{0, 2}, {3, 5}}));
  EXPECT_EQ(subtract({{2, 4}, {6, 9}}, {{0, 7}}), (ByteRanges{{7, 9}})) << "over two";
  EXPECT_EQ(subtract({{2, 4}}, {{0, 1}, {2, 4}, {8, 9}}), ByteRanges{});
}

TEST(ByteRanges, ClipAndTotal) {
  const ByteRanges ranges{{2, 4}, {6, 9}};
  EXPECT_EQ(clip(ranges, 9), ranges);
  EXPECT_EQ(clip(ranges, 7), (ByteRanges{{2, 4}, {6, 7}}));
  EXPECT_EQ(clip(ranges, 6), (ByteRanges{{2, 4}}));
  EXPECT_EQ(clip(ranges, 0), ByteRanges{});
  EXPECT_EQ(total_bytes(ranges), 5u);
  EXPECT_EQ(total_bytes({}), 0u);
}

/// The same sets as one flag per byte.
using Flags = std::vector<bool>;

ByteRanges ranges_of(const Flags& flags) {
  ByteRanges ranges;
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (!flags[i]) continue;
    if (i > 0 && flags[i - 1]) {
      ++ranges.back().last;
    } else {
      ranges.push_back({i, i + 1});
    }
  }
  return ranges;
}

TEST(ByteRanges, AreSets) {
  std::mt19937 random{1};
  for (int round = 0; round < 20000; ++round) {
    const std::size_t size = random() % 40;
    Flags a(size), b(size), either(size), only_a(size), clipped(size);
    const std::size_t limit = random() % 45;
    const unsigned density = 1 + random() % 9;
    for (std::size_t i = 0; i < size; ++i) {
      a[i] = random() % 10 < density;
      b[i] = random() % 10 < density;
      either[i] = a[i] || b[i];
      only_a[i] = a[i] && !b[i];
      clipped[i] = a[i] && i < limit;
    }
    ASSERT_EQ(unite(ranges_of(a), ranges_of(b)), ranges_of(either)) << "round " << round;
    ASSERT_EQ(subtract(ranges_of(a), ranges_of(b)), ranges_of(only_a)) << "round " << round;
    ASSERT_EQ(clip(ranges_of(a), limit), ranges_of(clipped)) << "round " << round;
  }
}

}  // namespace
}  // namespace cairn::capture
