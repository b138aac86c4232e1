// Reads and writes a slab's bytes in the file: the slab is contiguous in memory, a box in the
// dataset.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <cairn/status.hpp>

#include "io/files.hpp"

namespace cairn::io {

class SlabBytes {
 public:
  /// A slab at `offset` of shape `shape` in a row-major dataset of shape `global` that begins at
  /// byte `dataset_offset`. The slab must be inside() the dataset.
  SlabBytes(std::uint64_t dataset_offset, std::uint64_t element_bytes,
            std::span<const std::uint64_t> global, std::span<const std::uint64_t> offset,
            std::span<const std::uint64_t> shape);

  /// Reads the slab's bytes [first, first + destination.size()), counted in its own row-major
  /// order.
  Status read(const File& file, std::uint64_t first, std::span<std::byte> destination) const;

  /// Calls write(position in the file, bytes), which returns a Status, for each contiguous run of
  /// `source`, the slab's bytes from `first` on; stops at the first failure.
  template <class Write>
  Status write(std::uint64_t first, std::span<const std::byte> source, Write write) const;

 private:
  std::uint64_t position(std::uint64_t run) const;
  Status read_runs(const File& file, std::uint64_t first, std::span<std::byte> destination) const;

  std::uint64_t run_bytes_ = 0;                   // bytes that are contiguous in the file
  std::uint64_t origin_ = 0;                      // byte in the file of the slab's first element
  std::vector<std::uint64_t> extents_, strides_;  // of the runs, slowest first; strides in bytes
};

template <class Write>
Status SlabBytes::write(std::uint64_t first, std::span<const std::byte> source, Write write) const {
  while (!source.empty()) {
    const std::uint64_t within = first % run_bytes_;
    const std::uint64_t part = std::min<std::uint64_t>(run_bytes_ - within, source.size());
    if (auto status = write(position(first / run_bytes_) + within, source.first(part)); !status) {
      return status;
    }
    first += part;
    source = source.subspan(part);
  }
  return {};
}

}  // namespace cairn::io
