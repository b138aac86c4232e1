// The checkpoint directory: which epochs exist, their atomic commit, retention, history.
// Every call is local and made by one process (rank 0); nothing here calls MPI.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <cairn/status.hpp>

#include "io/records.hpp"
#include "io/state_index.hpp"

namespace cairn::io {

struct CommitRecord;

class Store {
 public:
  explicit Store(std::filesystem::path directory) : directory_(std::move(directory)) {}
  const std::filesystem::path& directory() const { return directory_; }

  /// Creates the directory (mode 0700) when it is missing, checks that it can be written, removes
  /// what a killed job left half-done (.tmp-*, .old-*), and writes JOB.json when there is none.
  /// No other job may be using the directory. With `retiring`, a thread may be in retain(), which
  /// deals with .old-* itself.
  Status prepare(const Job& job, bool retiring = false) const;

  /// JOB.json. not_found when there is none, corruption when it can't be read.
  Result<Job> read_job() const;

  /// Numbers of all directories that are named like an epoch, ascending, valid or not.
  /// Empty when the directory does not exist.
  std::vector<std::uint64_t> epochs() const;

  std::filesystem::path epoch_path(std::uint64_t epoch) const;
  /// Where begin() makes an epoch's files.
  std::filesystem::path temporary_path(std::uint64_t epoch) const;

  /// COMMIT.json of an epoch. not_found: no such epoch, or never committed. corruption: torn,
  /// flipped, or its files have other sizes. unsupported: written by a newer format version.
  Result<EpochInfo> read_commit(std::uint64_t epoch) const;

  /// Makes the temporary directory for a new epoch, empty, and returns its path.
  /// invalid_argument: the epoch exists already.
  Result<std::filesystem::path> begin(std::uint64_t epoch) const;

  /// Publishes what begin() started: writes COMMIT.json (sizes, checksums), fsyncs it and the
  /// directory, renames, fsyncs the parent. Its files must be complete and synced. Atomic: after
  /// a crash at any point the epoch either exists and is valid, or does not exist.
  /// Returns `info` with bytes, messages_in_flight (counted in state.h5) and committed_at filled
  /// in. Never replaces an epoch: io_error when it exists. On failure the epoch does not exist and
  /// discard() removes what is left. corruption: a file is not complete, or what the epoch builds
  /// on is not there any more.
  Result<EpochInfo> commit(const EpochInfo& info) const;
  /// The same, without HDF5: any thread may call it.
  Result<EpochInfo> commit(const EpochInfo& info, const WrittenFiles& files) const;

  /// Removes what begin() made. Never fails: what can't be removed is left for prepare().
  void discard(std::uint64_t epoch) const;

  /// Removes the oldest epochs until `keep` valid ones are left; damaged ones, and those that build
  /// on one, don't count and go when they are older than all kept ones. An epoch that a kept one
  /// builds on stays, and so do one that can't be judged (a newer format, no permission), what is
  /// older than an epoch that builds on such a one, and everything when none is valid.
  /// Each is renamed away first. keep ≥ 1. Takes about 0.2 s per GiB; any thread may call it, while
  /// another epoch is written and published.
  Status retain(int keep) const;

  /// Appends one line (a JSON object) to history.jsonl. Best effort, never fails.
  void append_history(const std::string& json_line) const;

 private:
  Status check_parents(const EpochInfo& info) const;
  Result<EpochInfo> publish(CommitRecord record) const;

  std::filesystem::path directory_;
};

}  // namespace cairn::io
