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
        stream_copy(to, source.data() + from, bytes);
        ASSERT_TRUE(std::equal(to, to + bytes, source.data() + from)) << bytes << " from " << from;
        ASSERT_EQ(*(to + bytes), std::byte{0xee});
      }
    }
  }
}

}  // namespace
}  // namespace cairn::capture
