// Writing through MPI-IO, all ranks together.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include <cairn/status.hpp>

#include "io/collective.hpp"
#include "io/part.hpp"

namespace cairn::io {

/// Parts that are scattered in the file are written collectively, so that ranks aggregate them into
/// large requests: as parallel HDF5 does it, but without HDF5 (see io/memory_driver.hpp). All calls
/// are collective, block, and return the same Status on every rank; each rank makes the same ones,
/// whatever they return, but no write() when open() has failed.
class MpiioWriter {
 public:
  MpiioWriter(MPI_Comm comm, std::filesystem::path path) : all_(comm), path_(std::move(path)) {}
  /// Fails also when any rank is not `ready`.
  Status open(const Status& ready);
  /// All ranks pass parts of the same datasets.
  Status write(const std::vector<Part>& parts);
  Status close();

 private:
  Status write_contiguous(const Part& part) const;
  Status write_scattered(const Part& part, std::uint64_t all_pieces) const;
  Status check(int code, std::string_view what) const;

  Collective all_;
  std::filesystem::path path_;
  MPI_File file_ = MPI_FILE_NULL;
};

}  // namespace cairn::io
