// COMMIT.json: the epoch's description, and an index of each of its files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <cairn/status.hpp>

#include "io/records.hpp"
#include "io/state_index.hpp"

namespace cairn::io {

struct CommitRecord {
  EpochInfo info;
  StateIndex state;
  std::vector<StateIndex> nodes;  ///< by number; empty when state.h5 holds all data
  int version = format_version;   ///< of the format, as read
};

/// For EpochInfo::id.
std::uint64_t random_id();

/// The text of COMMIT.json.
std::string format_commit(const CommitRecord& record);

/// Reads DIRECTORY/COMMIT.json and checks it. not_found, corruption, unsupported, io_error as
/// Store::read_commit.
Result<CommitRecord> read_commit_file(const std::filesystem::path& epoch_directory);
/// The same, and checks the sizes of all files against it.
Result<CommitRecord> read_commit_record(const std::filesystem::path& epoch_directory);

}  // namespace cairn::io
