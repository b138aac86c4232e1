#include "runtime/capture/ahead_copies.hpp"

#include <algorithm>
#include <iterator>

namespace cairn::capture {

std::vector<CopyPiece> AheadCopies::pieces(std::span<const std::byte> memory,
                                           const ByteRanges& ranges,
                                           const ByteRanges& fresh) const {
  std::vector<CopyPiece> pieces;
  const auto next_fresh = [&](std::uint64_t at) {
    return std::partition_point(fresh.begin(), fresh.end(),
                                [at](const ByteRange& range) { return range.last <= at; });
  };
  for (const ByteRange& range : ranges) {
    for (std::uint64_t at = range.first; at < range.last;) {
      const std::byte* from = memory.data() + at;
      std::uint64_t end = range.last;
      CopyPiece piece{from, 0, nullptr, false};
      auto copy = copies_.upper_bound(from);
      if (copy != copies_.end()) {
        end = std::min<std::uint64_t>(end, static_cast<std::uint64_t>(copy->first - memory.data()));
      }
      if (copy != copies_.begin()) {
        const CopyPiece& before = std::prev(copy)->second;
        const auto within = static_cast<std::uint64_t>(from - before.from);
        if (within < before.bytes) {
          end = std::min(end, at + before.bytes - within);
          piece.to = before.to + within;
          piece.copied = before.copied;
        }
      }
      if (piece.copied) {
        const auto written = next_fresh(at);
        if (written != fresh.end() && written->first <= at) {
          piece.copied = false;
          end = std::min(end, written->last);
        } else if (written != fresh.end()) {
          end = std::min(end, written->first);
        }
      }
      piece.bytes = end - at;
      pieces.push_back(piece);
      at = end;
    }
  }
  return pieces;
}

std::byte* AheadCopies::whole(std::span<const std::byte> memory) const {
  const auto found = wholes_.find(memory.data());
  const bool fits = found != wholes_.end() && found->second.bytes == memory.size();
  return fits ? found->second.to : nullptr;
}

}  // namespace cairn::capture
