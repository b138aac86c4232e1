// COMMIT.json: the epoch's description, and the index of its state file.
#pragma once

#include <filesystem>
#include <string>

#include <cairn/status.hpp>

#include "io/records.hpp"
#include "io/state_index.hpp"

namespace cairn::io {

struct CommitRecord {
  EpochInfo info;
  StateIndex state;
};

/// The text of COMMIT.json.
std::string format_commit(const CommitRecord& record);

/// Reads DIRECTORY/COMMIT.json and checks it, and the size of state.h5 against it. not_found,
/// corruption, unsupported, io_error as Store::read_commit.
Result<CommitRecord> read_commit_record(const std::filesystem::path& epoch_directory);

}  // namespace cairn::io
