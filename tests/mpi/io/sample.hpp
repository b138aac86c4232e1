// States for tests: every element type and shape, with values that depend on the rank.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include "io/records.hpp"
#include "io/state_writer.hpp"
#include "io/store.hpp"
#include "tests/support/world.hpp"

namespace cairn::io {

/// A directory that all ranks share; rank 0 makes it and removes it. Collective.
class SharedDirectory {
 public:
  SharedDirectory();
  ~SharedDirectory();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Groups of ranks, as if they were on nodes. Collective.
class TestNodes {
 public:
  /// `ranks` consecutive ones in each; 0: none, all data is in one file; negative: rank r is on
  /// node r % -ranks.
  explicit TestNodes(int ranks);
  TestNodes(const TestNodes&) = delete;
  TestNodes& operator=(const TestNodes&) = delete;
  ~TestNodes();
  const NodeGroup& group() const { return group_; }
  /// How many there are.
  int count() const { return count_; }

 private:
  NodeGroup group_;
  int count_ = 0;
};

/// A RankState that owns its memory.
class Sample {
 public:
  Sample(int rank, int size) : rank_(rank), size_(size) {}
  Sample(Sample&&) = default;  // a copy's slabs would point into the original

  /// `count` elements of a 1-D entry, filled with a pattern.
  Sample& flat(const std::string& name, ElementType type, std::uint32_t element_bytes,
               std::uint64_t count);
  /// A slab of an entry with a global shape.
  Sample& shaped(const std::string& name, ElementType type, std::uint32_t element_bytes,
                 std::vector<std::uint64_t> global, std::vector<std::uint64_t> offset,
                 std::vector<std::uint64_t> shape);
  /// A ring of channels with `in_flight` messages on each, and consistent counters.
  Sample& ring(int in_flight);
  /// Everything.
  static Sample full(int rank, int size);

  RankState& state() { return state_; }
  const std::vector<std::byte>& bytes(std::size_t entry) const { return memory_[entry]; }

 private:
  std::byte* fill(std::uint64_t bytes);

  int rank_, size_;
  RankState state_;
  std::deque<std::vector<std::byte>> memory_;
};

EpochInfo sample_info(std::uint64_t epoch, int ranks);

/// begin (rank 0), write_state (all), commit (rank 0). Collective; ok when the epoch is committed.
/// `committed`: on rank 0, the epoch as it was committed.
Status write_epoch(const Store& store, const EpochInfo& info, const RankState& state,
                   const WriteOptions& options = {}, EpochInfo* committed = nullptr);

}  // namespace cairn::io
