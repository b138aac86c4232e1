// Which bytes of a region: sets of ranges.
#pragma once

#include <cstdint>
#include <vector>

namespace cairn::capture {

/// Bytes [first, last) of a region.
struct ByteRange {
  std::uint64_t first = 0, last = 0;
  bool operator==(const ByteRange&) const = default;
};

/// Ascending; no range is empty, and no two overlap or touch.
using ByteRanges = std::vector<ByteRange>;

/// Adds bytes that begin at or after the beginning of the last range; none when first == last.
void append(ByteRanges& ranges, ByteRange next);

/// What is in one or both. Linear.
ByteRanges unite(const ByteRanges& a, const ByteRanges& b);

/// What is in `a` but not in `b`. Linear.
ByteRanges subtract(const ByteRanges& a, const ByteRanges& b);

std::uint64_t total_bytes(const ByteRanges& ranges);

/// What lies in [0, bytes).
ByteRanges clip(const ByteRanges& ranges, std::uint64_t bytes);

}  // namespace cairn::capture
