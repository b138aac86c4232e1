#include "base/checksum.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace cairn {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span{text});
}

// The sums are part of the file format: these are the published values of XXH3, seed 0.
TEST(Checksum, IsXxh3) {
  EXPECT_EQ(checksum({}), 0x2d06800538d394c2U);
  EXPECT_EQ(checksum(bytes_of("abc")), 0x78af5f94892f3950U);
}

TEST(Checksum, Has128BitsToo) {
  EXPECT_EQ(hash128({}), (Hash128{0x6001c324468d497fU, 0x99aa06d3014798d8U}));
  EXPECT_EQ(hash128(bytes_of("abc")), (Hash128{0x78af5f94892f3950U, 0x06b05ab6733a6185U}));
}

TEST(Checksum, DoesNotDependOnAlignment) {
  std::vector<std::byte> bytes(1000 + 8);
  for (std::size_t i = 0; i < 1000; ++i) bytes[i] = static_cast<std::byte>(i * 7);
  const auto expected = checksum(std::span{bytes}.first(1000));
  for (std::size_t shift = 1; shift < 8; ++shift) {
    std::vector<std::byte> moved(1000 + 8);
    for (std::size_t i = 0; i < 1000; ++i) moved[i + shift] = bytes[i];
    EXPECT_EQ(checksum(std::span{moved}.subspan(shift, 1000)), expected) << "shift " << shift;
  }
}

TEST(Checksum, SeesEveryBit) {
  std::vector<std::byte> bytes(300);
  const auto expected = checksum(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_NE(checksum(bytes), expected) << "bit " << bit;
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST(Checksum, SeesLength) {
  const std::vector<std::byte> zeros(64);
  EXPECT_NE(checksum(std::span{zeros}.first(63)), checksum(zeros));
}

TEST(Mix, DependsOnBothAndOnTheirOrder) {
  EXPECT_EQ(mix(1, 2), mix(1, 2));
  EXPECT_NE(mix(1, 2), mix(2, 1));
  EXPECT_NE(mix(1, 2), mix(1, 3));
  EXPECT_NE(mix(1, 2), mix(0, 2));
}

}  // namespace
}  // namespace cairn
