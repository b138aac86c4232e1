#include "runtime/capture/stream_copy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace cairn::capture {
namespace {

/// Around the sizes at which it changes its way; from any address; nothing beside it is written.
TEST(StreamCopy, CopiesAnySizeFromAnywhere) {
  constexpr std::size_t group = 8 * 4096;
  std::vector<std::byte> source(3 * group + 100);
  for (std::size_t i = 0; i < source.size(); ++i)
    source[i] = static_cast<std::byte>(i * 7 + i / 256);
  std::vector<std::byte> memory(source.size() + 128);
  std::byte* to = memory.data() + 64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
  for (const std::size_t base :
       {std::size_t{0}, std::size_t{64}, std::size_t{4096}, group, 2 * group, 3 * group}) {
    for (const std::size_t bytes :
         {base - std::min<std::size_t>(base, 1), base, base + 1, base + 63}) {
      for (const std::size_t from : {0, 1, 8, 33}) {
        std::fill(memory.begin(), memory.end(), std::byte{0xee});
        StreamCopy{}.add(to, source.data() + from, bytes);
        ASSERT_TRUE(std::equal(to, to + bytes, source.data() + from)) << bytes << " from " << from;
        ASSERT_EQ(*(to + bytes), std::byte{0xee});
      }
    }
  }
}

TEST(StreamCopy, CopiesPiecesHereAndThere) {
  std::vector<std::byte> source(std::size_t{64} * 4096);
  for (std::size_t i = 0; i < source.size(); ++i)
    source[i] = static_cast<std::byte>(i * 7 + i / 256);
  for (const std::size_t piece : {100, 4096, 4096 + 100, 3 * 4096, 8 * 4096}) {
    for (const std::size_t count : {0, 1, 3, 7, 8, 9, 17}) {
      for (const std::size_t alignment : {64, 1}) {
        std::vector<std::byte> memory(count * (piece + 64) + 64, std::byte{0xee});
        std::vector<std::byte> expected = memory;
        const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
        std::size_t at = (64 - address % 64) % 64 + (alignment == 1 ? 1 : 0);
        StreamCopy copies;
        for (std::size_t i = 0; i < count; ++i) {
          const std::byte* from = source.data() + (i * 5 % 7) * 4096 + i;
          copies.add(memory.data() + at, from, piece);
          std::copy_n(from, piece, expected.begin() + static_cast<std::ptrdiff_t>(at));
          at += (piece + alignment - 1) / alignment * alignment;
        }
        copies.finish();
        ASSERT_EQ(memory, expected) << count << " pieces of " << piece;
      }
    }
  }
}

}  // namespace
}  // namespace cairn::capture
