#include "runtime/capture/byte_ranges.hpp"

#include <algorithm>

namespace cairn::capture {

void append(ByteRanges& ranges, ByteRange next) {
  if (next.first >= next.last) return;
  if (ranges.empty() || ranges.back().last < next.first) {
    ranges.push_back(next);
  } else {
    ranges.back().last = std::max(ranges.back().last, next.last);
  }
}

ByteRanges unite(const ByteRanges& a, const ByteRanges& b) {
  ByteRanges both;
  both.reserve(a.size() + b.size());
  auto next_a = a.begin();
  auto next_b = b.begin();
  while (next_a != a.end() || next_b != b.end()) {
    const bool from_a = next_b == b.end() || (next_a != a.end() && next_a->first < next_b->first);
    append(both, from_a ? *next_a++ : *next_b++);
  }
  return both;
}

ByteRanges subtract(const ByteRanges& a, const ByteRanges& b) {
  ByteRanges left;
  auto hole = b.begin();
  for (const ByteRange& range : a) {
    std::uint64_t first = range.first;
    while (hole != b.end() && hole->last <= first) ++hole;
    for (; hole != b.end() && hole->first < range.last; ++hole) {
      append(left, {first, hole->first});
      first = hole->last;
      if (first >= range.last) break;  // the hole may reach into the next range
    }
    append(left, {first, range.last});
  }
  return left;
}

std::uint64_t total_bytes(const ByteRanges& ranges) {
  std::uint64_t total = 0;
  for (const ByteRange& range : ranges) total += range.last - range.first;
  return total;
}

ByteRanges clip(const ByteRanges& ranges, std::uint64_t bytes) {
  ByteRanges inside;
  for (const ByteRange& range : ranges) {
    if (range.first >= bytes) break;
    inside.push_back({range.first, std::min(range.last, bytes)});
  }
  return inside;
}

}  // namespace cairn::capture
