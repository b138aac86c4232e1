// What one rank writes into one dataset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cairn::io {

/// A slab: contiguous in memory, a box in the dataset.
struct Part {
  std::string path;  ///< of the dataset in the HDF5 file
  std::uint64_t file_offset;
  std::uint64_t element_bytes;
  std::vector<std::uint64_t> global, offset, shape;  ///< in elements; the slab is inside
  const std::byte* data;
};

}  // namespace cairn::io
