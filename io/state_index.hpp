// What COMMIT.json says about state.h5, or a node's file: where the data is in it, and the
// checksums of all the rest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <cairn/status.hpp>

#include "io/files.hpp"
#include "io/names.hpp"

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
  std::string name{state_file};
  std::uint64_t bytes = 0;              ///< size of the file
  std::uint64_t metadata_checksum = 0;  ///< of everything outside the extents
  Datasets datasets;
  std::map<std::string, std::vector<std::uint64_t>> table_checksums;  ///< by path, per segment

  bool operator==(const StateIndex&) const = default;
};

/// What an epoch's writers know about its files without looking into them.
struct WrittenFiles {
  Datasets state;                 ///< those in state.h5
  std::vector<StateIndex> nodes;  ///< the nodes' files, by number
};

/// Number of messages in flight that the state file holds.
std::uint64_t message_count(const StateIndex& index);

/// Makes the index of a complete state file, through HDF5 (serially). corruption: HDF5 can't read
/// it, or objects are missing.
Result<StateIndex> scan_state(const std::filesystem::path& path);
/// The same without HDF5, for who knows the datasets.
Result<StateIndex> index_state(const std::filesystem::path& path, Datasets datasets);

/// As these, for the file of a node.
Result<StateIndex> scan_node(const std::filesystem::path& path);
Result<StateIndex> index_node(const std::filesystem::path& path, Datasets datasets);

/// Opens the file that `index` describes. corruption: it is missing, or has another size.
Result<File> open_indexed(const std::filesystem::path& directory, const StateIndex& index);

/// The checksum of all bytes of `file` outside the index's extents. corruption: the extents overlap
/// or leave the file.
Result<std::uint64_t> metadata_checksum(const File& file, const StateIndex& index);

}  // namespace cairn::io
