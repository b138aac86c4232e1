#include "runtime/capture/block_hashes.hpp"

#include <algorithm>

namespace cairn::capture {

namespace {
constexpr std::size_t blocks_between_checks = 256;  // 1 MiB
}

bool BlockHashes::compute(std::span<const std::byte> content, std::uint64_t phase,
                          const std::stop_token& cancelled) {
  *this = {};
  phase_ = phase % block_bytes;
  content_bytes_ = content.size();
  const std::size_t blocks =
      content.empty() ? 0 : (phase_ + content.size() + block_bytes - 1) / block_bytes;
  hashes_.reserve(blocks);
  for (std::size_t index = 0; index < blocks; ++index) {
    if (index % blocks_between_checks == 0 && cancelled.stop_requested()) {
      *this = {};
      return false;
    }
    const ByteRange range = block(index);
    hashes_.push_back(hash128(content.subspan(range.first, range.last - range.first)));
  }
  return true;
}

ByteRanges BlockHashes::changed(const BlockHashes& newer) const {
  ByteRanges ranges;
  if (phase_ != newer.phase_ || empty()) {
    append(ranges, {0, newer.content_bytes_});
    return ranges;
  }
  for (std::size_t index = 0; index < newer.hashes_.size(); ++index) {
    const ByteRange range = newer.block(index);
    if (index < hashes_.size() && block(index) == range && hashes_[index] == newer.hashes_[index]) {
      continue;
    }
    append(ranges, range);
  }
  return ranges;
}

ByteRange BlockHashes::block(std::size_t index) const {
  const std::uint64_t end = (index + 1) * block_bytes - phase_;
  return {index == 0 ? 0 : end - block_bytes, std::min(end, content_bytes_)};
}

}  // namespace cairn::capture
