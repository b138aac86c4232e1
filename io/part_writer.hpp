// The two ways in which ranks write their parts of the datasets into a file that is laid out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <cairn/status.hpp>

#include "io/collective.hpp"

namespace cairn::io {

/// One dataset and what this rank writes into it: a slab, contiguous in memory.
struct Part {
  std::string path;  ///< in the HDF5 file
  std::uint64_t file_offset;
  std::uint64_t element_bytes;
  std::vector<std::uint64_t> global, offset, shape;  ///< in elements
  const std::byte* data;
};

/// Every rank calls open, write for each part in the same order, then close, whatever failed
/// before on any rank; each returns this rank's own result.
class PartWriter {
 public:
  virtual ~PartWriter() = default;
  /// Collective. `parts` outlive the writer.
  virtual Status open(const std::vector<Part>& parts) = 0;
  virtual Status write(const Part& part) = 0;
  virtual Status close() = 0;
};

/// pwrite(2) at the datasets' offsets: local, no MPI, at the file system's own speed. Slabs that
/// are scattered in the file take a system call for each contiguous run.
std::unique_ptr<PartWriter> make_direct_writer(const std::filesystem::path& path);

/// MPI-IO: parts that are scattered in the file are written collectively, so that ranks aggregate
/// them into large requests. As parallel HDF5 does it, but without HDF5: see io/memory_file.hpp.
std::unique_ptr<PartWriter> make_mpiio_writer(const std::filesystem::path& path, Collective& all);

}  // namespace cairn::io
