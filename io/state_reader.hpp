// Reads state.h5, serially and independently on each rank, and checks everything it returns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include <cairn/status.hpp>

#include "io/records.hpp"

namespace cairn::io {

/// One row of the slab index.
struct SlabInfo {
  int rank = 0;
  std::size_t entry = 0;
  std::uint64_t count = 0;            ///< elements
  std::uint64_t start = 0;            ///< first element within a 1-D dataset
  std::vector<std::uint64_t> offset, shape;  ///< within the global shape; empty when 1-D
};

/// An open state file. Opening checks the file's size, its metadata and every table against the
/// sums given by COMMIT.json; reading checks every block. Not thread safe. Needs no MPI.
class StateReader {
 public:
  /// `expected` comes from read_commit() (io/store.hpp). corruption: says what is damaged.
  static Result<StateReader> open(const std::filesystem::path& epoch_directory);
  StateReader(StateReader&&) noexcept;
  StateReader& operator=(StateReader&&) noexcept;
  ~StateReader();

  int ranks() const;
  const EpochInfo& info() const;
  const std::vector<Entry>& entries() const;
  /// All slabs of a rank, indexed like entries().
  std::vector<SlabInfo> slabs(int rank) const;
  /// Reads a slab into `destination`, which has exactly count · element_bytes bytes.
  Status read_slab(const SlabInfo& slab, std::span<std::byte> destination) const;
  /// Channel counters of a rank.
  std::vector<ChannelCounter> counters(int rank) const;
  /// Messages in flight to `rank`, in delivery order.
  Result<std::vector<Message>> messages(int rank) const;
  const std::vector<Communicator>& communicators() const;

 private:
  struct Impl;
  explicit StateReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::io
