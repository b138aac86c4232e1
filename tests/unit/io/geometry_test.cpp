#include "io/geometry.hpp"

#include <gtest/gtest.h>

#include <set>

namespace cairn::io {
namespace {

TEST(Volume, NoticesOverflow) {
  EXPECT_EQ(volume(std::vector<std::uint64_t>{}), 1u);
  EXPECT_EQ(volume(std::vector<std::uint64_t>{3, 4, 5}), 60u);
  EXPECT_EQ(volume(std::vector<std::uint64_t>{1ull << 40, 1ull << 40}), std::nullopt);
  EXPECT_EQ(volume(std::vector<std::uint64_t>{1ull << 40, 1ull << 40, 0}), 0u);
}

/// Every element is in exactly one piece, in memory order, and no piece is too large.
TEST(Pieces, CoverTheSlabOnce) {
  const std::vector<std::uint64_t> offset = {2, 3, 1}, shape = {4, 5, 6}, global = {10, 10, 10};
  for (std::uint64_t limit = 1; limit < 150; ++limit) {
    const Pieces pieces{offset, shape, 2, limit};
    std::uint64_t next = 0;
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < pieces.size(); ++i) {
      const Piece piece = pieces[i];
      EXPECT_EQ(piece.first, next);
      EXPECT_EQ(piece.count, volume(piece.shape));
      EXPECT_LE(piece.count, std::max<std::uint64_t>(1, limit / 2));
      EXPECT_TRUE(inside(global, piece.offset, piece.shape));
      for (std::uint64_t x = 0; x < piece.shape[0]; ++x) {
        for (std::uint64_t y = 0; y < piece.shape[1]; ++y) {
          for (std::uint64_t z = 0; z < piece.shape[2]; ++z) {
            seen.insert(linear_index(global, std::vector{piece.offset[0] + x, piece.offset[1] + y,
                                                         piece.offset[2] + z}));
          }
        }
      }
      next += piece.count;
    }
    EXPECT_EQ(next, 120u);
    EXPECT_EQ(seen.size(), 120u);
  }
}

TEST(Pieces, AnEmptySlabHasNone) {
  EXPECT_EQ((Pieces{{0, 0}, {3, 0}, 8, 100}).size(), 0u);
  EXPECT_EQ((Pieces{{0}, {0}, 8, 100}).size(), 0u);
}

TEST(Inside, NoticesOverflow) {
  const std::vector<std::uint64_t> global = {10, 10};
  EXPECT_TRUE(inside(global, std::vector<std::uint64_t>{4, 0}, std::vector<std::uint64_t>{6, 10}));
  EXPECT_FALSE(inside(global, std::vector<std::uint64_t>{5, 0}, std::vector<std::uint64_t>{6, 10}));
  EXPECT_FALSE(
      inside(global, std::vector<std::uint64_t>{5, 0}, std::vector<std::uint64_t>{~0ull, 10}));
  EXPECT_FALSE(inside(global, std::vector<std::uint64_t>{5}, std::vector<std::uint64_t>{1}));
}

TEST(Geometry, FindsBoxesThatOverlap) {
  const std::vector<Box> grid = {
      {{0, 0}, {2, 2}}, {{0, 2}, {2, 2}}, {{2, 0}, {2, 2}}, {{2, 2}, {2, 2}}, {{1, 1}, {0, 2}}};
  EXPECT_FALSE(find_overlap(grid).has_value());
  std::vector<Box> bad = grid;
  bad.push_back({{3, 3}, {1, 1}});
  EXPECT_EQ(find_overlap(bad), std::make_pair(std::size_t{3}, std::size_t{5}));
}

}  // namespace
}  // namespace cairn::io
