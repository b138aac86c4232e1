#include "io/slab_bytes.hpp"

#include <gtest/gtest.h>

#include <random>

#include "io/geometry.hpp"
#include "temporary_store.hpp"

namespace cairn::io {
namespace {

/// Random slabs of random arrays, whole and in random parts, against element-by-element indexing.
TEST(SlabBytes, ReadsAndWritesBoxes) {
  const TemporaryDirectory directory;
  const unsigned seed = 4711;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random{seed};
  const auto below = [&random](std::uint64_t n) { return n == 0 ? 0 : random() % n; };
  for (int round = 0; round < 300; ++round) {
    const std::size_t dims = 1 + below(4);
    std::vector<std::uint64_t> global, offset, shape;
    for (std::size_t d = 0; d < dims; ++d) {
      global.push_back(1 + below(d + 1 == dims && round % 3 == 0 ? 3000 : 9));
      offset.push_back(below(global[d]));
      shape.push_back(below(4) == 0 ? global[d] - offset[d] : 1 + below(global[d] - offset[d]));
    }
    const std::uint64_t element_bytes = 1 + below(8), start = below(100);
    const std::uint64_t bytes = *volume(shape) * element_bytes;
    std::vector<std::byte> source(bytes);
    for (std::byte& byte : source) byte = static_cast<std::byte>(random());

    const auto file = File::open(directory.path() / "file", O_RDWR | O_CREAT | O_TRUNC);
    ASSERT_TRUE(file.ok());
    const SlabBytes slab{start, element_bytes, global, offset, shape};
    const auto write = [&](std::uint64_t position, std::span<const std::byte> run) {
      return file->write_at(position, run);
    };
    const std::uint64_t half = below(bytes);
    ASSERT_TRUE(slab.write(half, std::span{source}.subspan(half), write).ok());
    ASSERT_TRUE(slab.write(0, std::span{source}.first(half), write).ok());

    std::vector<std::uint64_t> at(dims);
    for (std::uint64_t i = 0; i < *volume(shape); ++i) {
      for (std::uint64_t d = dims, rest = i; d-- > 0; rest /= shape[d]) {
        at[d] = offset[d] + rest % shape[d];
      }
      std::vector<std::byte> element(element_bytes);
      const std::uint64_t place = start + linear_index(global, at) * element_bytes;
      ASSERT_TRUE(file->read_at(place, element).ok());
      ASSERT_TRUE(std::equal(element.begin(), element.end(), &source[i * element_bytes]));
    }
    const std::uint64_t first = below(bytes), count = 1 + below(bytes - first);
    std::vector<std::byte> part(count);
    ASSERT_TRUE(slab.read(*file, first, part).ok());
    ASSERT_TRUE(std::equal(part.begin(), part.end(), &source[first]));
  }
}

}  // namespace
}  // namespace cairn::io
