// A sparse file in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

namespace cairn::io {

/// The bytes that were written; all others are zero and take no memory.
class MemoryFile {
 public:
  static constexpr std::size_t page_bytes = 4096;
  using Page = std::array<std::byte, page_bytes>;

  void write(std::uint64_t offset, const std::byte* data, std::size_t bytes);
  void read(std::uint64_t offset, std::byte* data, std::size_t bytes) const;

  /// Pages that were written, by number.
  const std::map<std::uint64_t, Page>& pages() const { return pages_; }
  /// Size of the file: for HDF5 the end of allocated space.
  std::uint64_t size() const { return size_; }
  void set_size(std::uint64_t size) { size_ = size; }

 private:
  std::map<std::uint64_t, Page> pages_;
  std::uint64_t size_ = 0;
};

}  // namespace cairn::io
