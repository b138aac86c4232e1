// An HDF5 file driver whose file is in memory: HDF5 lays a file out and never touches the disk.
//
// Why: when HDF5 can't write its metadata (no space, an I/O error), closing the file fails, and
// HDF5 then crashes or hangs when the process ends. Metadata that is made here and written by us
// can fail like any other write.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

#include "io/hdf5.hpp"

namespace cairn::io {

/// The bytes that HDF5 has written; all others are zero and take no memory.
class MemoryFile {
 public:
  static constexpr std::size_t page_bytes = 4096;
  using Page = std::array<std::byte, page_bytes>;

  void write(std::uint64_t offset, const std::byte* data, std::size_t bytes);
  void read(std::uint64_t offset, std::byte* data, std::size_t bytes) const;

  /// Pages that were written, by number.
  const std::map<std::uint64_t, Page>& pages() const { return pages_; }
  /// Size of the file: HDF5's end of allocated space.
  std::uint64_t size() const { return size_; }
  void set_size(std::uint64_t size) { size_ = size; }

 private:
  std::map<std::uint64_t, Page> pages_;
  std::uint64_t size_ = 0;
};

/// Makes H5Fcreate with `access` write to `file`, which must outlive the HDF5 file. False when
/// HDF5 refuses.
bool use_memory_file(hid_t access, MemoryFile& file);

}  // namespace cairn::io
