// Reads an epoch's files, serially and independently on each rank, and checks everything it
// returns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <cairn/status.hpp>

#include "io/records.hpp"

namespace cairn::io {

/// One row of the slab index.
struct SlabInfo {
  int rank = 0;
  std::size_t entry = 0;
  std::uint64_t count = 0;                   ///< elements
  std::uint64_t start = 0;                   ///< first element within a 1-D dataset
  std::vector<std::uint64_t> offset, shape;  ///< within the global shape; empty when 1-D
};

/// Bytes [first, last) of a slab.
struct ByteRange {
  std::uint64_t first = 0, last = 0;
  bool operator==(const ByteRange&) const = default;
};

/// What has become of an entry since the epoch that a delta builds on.
struct EntryChange {
  enum class Kind { unchanged, modified, added, deleted };
  Entry entry;
  Kind kind = Kind::unchanged;
  std::uint64_t bytes = 0;  ///< that the delta holds of it, all ranks together
};
/// "unchanged", …
std::string_view change_name(EntryChange::Kind kind);

/// An open epoch, and all that it builds on: each byte of a slab is read from the newest epoch that
/// has it. Opening checks COMMIT.json, sizes and metadata of the files that hold something
/// of the loaded ranks, and the rows of every table that it loads; reading checks every block.
/// COMMIT.json says where each dataset begins, so reading goes through pread(2) and damaged
/// metadata never reaches HDF5. Needs no MPI. Calls on one reader may come from several threads.
class StateReader {
 public:
  /// Opens the epoch in `epoch_directory`. With `only_rank`, loads the index rows of that rank
  /// alone, so that the cost does not grow with the number of ranks; slabs(), counters() and
  /// messages() then know no other rank. not_found: never committed. corruption: says what is
  /// damaged. unsupported: a newer format. io_error: the file system refused.
  static Result<StateReader> open(const std::filesystem::path& epoch_directory,
                                  std::optional<int> only_rank = {});
  StateReader(StateReader&&) noexcept;
  StateReader& operator=(StateReader&&) noexcept;
  ~StateReader();

  int ranks() const;
  const EpochInfo& info() const;
  const std::vector<Entry>& entries() const;
  /// All slabs of a rank, indexed like entries(). Empty for a rank that was not loaded.
  std::vector<SlabInfo> slabs(int rank) const;
  /// Whether all of a slab is there, in this epoch and those that it builds on; reads nothing.
  /// Before memory is allocated for it: nothing else limits the size that a delta claims.
  Status check_complete(const SlabInfo& slab) const;
  /// Reads a slab into `destination`, which has exactly count · element_bytes bytes. On failure
  /// its content is undefined.
  Status read_slab(const SlabInfo& slab, std::span<std::byte> destination) const;
  /// How many epochs its data is in: 1 for a full one.
  std::size_t chain_length() const;
  /// What the epoch itself holds of a slab, ascending; all of it when it is full.
  std::vector<ByteRange> own_ranges(const SlabInfo& slab) const;
  /// Of a delta: what has become of each of entries(), then what was deleted, in the loaded ranks.
  /// Empty for a full epoch.
  std::vector<EntryChange> entry_changes() const;
  /// Reads what the epoch itself holds of a slab and keeps nothing: is it intact, and with what the
  /// epoch builds on, is the slab complete? Says what is not.
  Status check_slab(const SlabInfo& slab) const;
  /// Channel counters of a rank.
  std::vector<ChannelCounter> counters(int rank) const;
  /// Messages in flight to `rank`, in delivery order.
  Result<std::vector<Message>> messages(int rank) const;
  const std::vector<Communicator>& communicators() const;
  /// Those in which `rank` is rank 0.
  std::vector<Communicator> communicators_led_by(int rank) const;

 private:
  struct Impl;
  explicit StateReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::io
