// memcpy for much memory that nobody reads soon.
#pragma once

#include <array>
#include <cstddef>

namespace cairn::capture {

/// Copies past the caches where the processor can: the program finds in them what it left there,
/// and memory that is only written is not read first. It takes turns at several pages, of one
/// piece or of several, so that several of the processor's prefetchers work at once. The two sides
/// of a piece do not overlap; it is quicker when `to` is aligned to 64 bytes.
///
/// Measured in 8 pieces of 32 MiB, on x86-64: 8.8 to 9.3 GB/s, memcpy 5.5; pieces of 1 MiB: 8.4 to
/// 8.8, memcpy 5.1; 256 MiB at once: 8.8, memcpy 7.6 (which does likewise for the largest sizes).
/// Every tenth page of 256 MiB: 10, memcpy 5.3; every hundredth: 13, memcpy 11.
class StreamCopy {
 public:
  StreamCopy() = default;
  StreamCopy(const StreamCopy&) = delete;
  StreamCopy& operator=(const StreamCopy&) = delete;
  /// Everything is copied then.
  ~StreamCopy() { finish(); }

  /// The memory of both sides stays as it is until finish().
  void add(std::byte* to, const std::byte* from, std::size_t bytes);
  void finish();

 private:
  static constexpr std::size_t pages = 8;

  std::array<std::byte*, pages> to_{};
  std::array<const std::byte*, pages> from_{};
  std::size_t waiting_ = 0;
};

}  // namespace cairn::capture
