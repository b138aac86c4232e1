#include "runtime/capture/block_hashes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

namespace cairn::capture {
namespace {

using Bytes = std::vector<std::byte>;
constexpr std::uint64_t block = BlockHashes::block_bytes;

BlockHashes hashes(std::span<const std::byte> content, std::uint64_t phase = 0) {
  BlockHashes computed;
  EXPECT_TRUE(computed.compute(content, phase));
  EXPECT_EQ(computed.content_bytes(), content.size());
  EXPECT_EQ(computed.phase(), phase % block);
  EXPECT_EQ(computed.empty(), content.empty());
  return computed;
}

TEST(BlockHashes, TellWhichBlocksDiffer) {
  Bytes content(10 * block);
  const BlockHashes before = hashes(content);
  EXPECT_EQ(before.changed(hashes(content)), ByteRanges{});
  content[2 * block] = std::byte{1};
  content[4 * block - 1] = std::byte{1};
  content[9 * block + 17] = std::byte{1};
  EXPECT_EQ(before.changed(hashes(content)),
            (ByteRanges{{2 * block, 4 * block}, {9 * block, 10 * block}}));
}

TEST(BlockHashes, EndWherePagesDo) {
  const std::uint64_t phase = 4000;
  Bytes content(96 + 2 * block + 5);
  const BlockHashes before = hashes(content, phase);
  content[95] = std::byte{1};
  EXPECT_EQ(before.changed(hashes(content, phase)), (ByteRanges{{0, 96}}));
  content[95] = std::byte{0};
  content[96] = std::byte{1};
  EXPECT_EQ(before.changed(hashes(content, phase + block)), (ByteRanges{{96, 96 + block}}));
  content[96] = std::byte{0};
  content.back() = std::byte{1};
  EXPECT_EQ(before.changed(hashes(content, phase)), (ByteRanges{{96 + 2 * block, content.size()}}));
}

TEST(BlockHashes, OfLessThanABlock) {
  Bytes content(10);
  const BlockHashes before = hashes(content, block - 20);
  EXPECT_EQ(before.changed(hashes(content, block - 20)), ByteRanges{});
  content[3] = std::byte{1};
  EXPECT_EQ(before.changed(hashes(content, block - 20)), (ByteRanges{{0, 10}}));
}

TEST(BlockHashes, CountWhatHasBeenAddedAsChanged) {
  const Bytes content(5 * block + 100);
  const auto whole = hashes(content);
  const auto first = [&](std::uint64_t bytes) { return hashes(std::span{content}.first(bytes)); };
  EXPECT_EQ(first(3 * block).changed(whole), (ByteRanges{{3 * block, content.size()}}));
  EXPECT_EQ(first(3 * block + 1).changed(whole), (ByteRanges{{3 * block, content.size()}}));
  EXPECT_EQ(whole.changed(first(3 * block)), ByteRanges{}) << "the rest is gone";
  EXPECT_EQ(whole.changed(first(3 * block + 1)), (ByteRanges{{3 * block, 3 * block + 1}}));
  EXPECT_EQ(whole.changed(first(0)), ByteRanges{});
}

TEST(BlockHashes, WithNothingToCompareWithAllIsChanged) {
  const Bytes content(3 * block);
  const ByteRanges all{{0, 3 * block}};
  EXPECT_EQ(BlockHashes{}.changed(hashes(content)), all);
  EXPECT_EQ(hashes({}).changed(hashes(content)), all);
  EXPECT_EQ(hashes(content, 8).changed(hashes(content, 16)), all) << "other phases";
  EXPECT_EQ(BlockHashes{}.changed(BlockHashes{}), ByteRanges{});
}

TEST(BlockHashes, CanBeCancelled) {
  const Bytes content(3 * block);
  std::stop_source cancelled;
  BlockHashes computed = hashes(content);
  EXPECT_TRUE(computed.compute(content, 0, cancelled.get_token()));
  cancelled.request_stop();
  EXPECT_FALSE(computed.compute(content, 0, cancelled.get_token()));
  EXPECT_TRUE(computed.empty());
  EXPECT_EQ(computed.content_bytes(), 0u);
}

TEST(BlockHashes, SeeEveryChangeAndNothingElse) {
  std::mt19937_64 random{1};
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t phase = random() % 3 == 0 ? 0 : random() % block;
    Bytes content(random() % (20 * block));
    for (auto& byte : content) byte = static_cast<std::byte>(random());
    const Bytes old = content;
    const BlockHashes before = hashes(old, phase);
    for (auto writes = random() % 6; writes > 0 && !content.empty(); --writes) {
      content[random() % content.size()] = static_cast<std::byte>(random());
    }
    ByteRanges expected;
    for (std::uint64_t first = 0; first < content.size();) {
      const std::uint64_t last =
          std::min<std::uint64_t>(content.size(), first + block - (phase + first) % block);
      if (std::memcmp(&content[first], &old[first], last - first) != 0) {
        append(expected, {first, last});
      }
      first = last;
    }
    ASSERT_EQ(before.changed(hashes(content, phase)), expected) << "round " << round;
  }
}

}  // namespace
}  // namespace cairn::capture
