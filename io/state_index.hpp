// What COMMIT.json says about state.h5: where its data is, and the checksums of all the rest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <cairn/status.hpp>

#include "io/files.hpp"

namespace cairn::io {

/// Checksums of a table are kept per segment of this many bytes, so that a reader checks no more
/// than what it reads.
inline constexpr std::uint64_t segment_bytes = std::uint64_t{1} << 20;

/// Where the elements of a dataset are in the file. Empty ones have offset 0.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool operator==(const Extent&) const = default;
};

using Datasets = std::map<std::string, Extent>;  ///< by path

struct StateIndex {
  std::uint64_t bytes = 0;              ///< size of the file
  std::uint64_t metadata_checksum = 0;  ///< of everything outside the extents
  Datasets datasets;
  std::map<std::string, std::vector<std::uint64_t>> table_checksums;  ///< by path, per segment

  bool operator==(const StateIndex&) const = default;
};

/// Number of messages in flight that the state file holds.
std::uint64_t message_count(const StateIndex& index);

/// Makes the index of a complete state file, through HDF5 (serially). corruption: HDF5 can't read
/// it, or objects are missing.
Result<StateIndex> scan_state(const std::filesystem::path& path);
/// The same without HDF5, for who knows the datasets.
Result<StateIndex> index_state(const std::filesystem::path& path, Datasets datasets);

/// The checksum of all bytes of `file` outside the index's extents. corruption: the extents overlap
/// or leave the file.
Result<std::uint64_t> metadata_checksum(const File& file, const StateIndex& index);

}  // namespace cairn::io
