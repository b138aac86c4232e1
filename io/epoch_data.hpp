// What one epoch's own files hold of a slab, and how to read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include <cairn/status.hpp>

#include "io/compression.hpp"
#include "io/loaded_index.hpp"

namespace cairn::io {

/// Bytes of a slab that have one checksum: a block, or a change.
struct Stretch {
  std::uint64_t offset = 0;  ///< first byte within the slab
  std::uint64_t bytes = 0;
  std::uint64_t stored_offset = 0;  ///< among the rank's bytes in the epoch; only of changes
  std::uint64_t stored_bytes = 0;
  std::uint64_t checksum = 0;

  std::uint64_t end() const { return offset + bytes; }
};

/// Calls may come from several threads.
class EpochData {
 public:
  explicit EpochData(LoadedIndex index);

  LoadedIndex index;

  /// Nothing for a rank that was not loaded.
  std::optional<std::size_t> rank_number(int rank) const;
  /// The number of an equal entry here.
  std::optional<std::size_t> find(const Entry& entry) const;
  std::uint64_t slab_bytes(std::size_t rank_number, std::size_t entry) const;
  /// All that the epoch holds of a slab, ascending.
  std::vector<Stretch> stretches(std::size_t rank_number, std::size_t entry) const;
  /// Reads and checks some of them, ascending, and puts each at its place in `slab`, which may be
  /// shorter: what is behind its end is left out. corruption: says which is damaged.
  Status read(std::size_t rank_number, std::size_t entry, std::span<const Stretch> wanted,
              std::span<std::byte> slab) const;

 private:
  struct Source {
    const File* file = nullptr;
    File opened;
    std::filesystem::path path;
    std::uint64_t offset = 0;  ///< of the dataset in the file
    std::uint64_t bytes = 0;   ///< of the dataset
    const PlaceRow* place = nullptr;
  };

  Result<Source> source(std::size_t rank_number, std::size_t stored) const;
  Status read_blocks(const Source& from, std::size_t rank_number, std::size_t entry,
                     std::span<const Stretch> wanted, std::span<std::byte> slab) const;
  Status read_changes(const Source& from, std::size_t rank_number, std::size_t entry,
                      std::span<const Stretch> wanted, std::span<std::byte> slab) const;
  Status damaged(const Source& from, std::size_t rank_number, std::size_t entry,
                 const Stretch& stretch) const;

  Compression::Codec codec_;
};

/// Of which stretches of which epochs a slab of `bytes` is made: `held[0]` is what the newest epoch
/// of a chain holds of it, `held[1]` the one that builds on, and so on. Each byte is that of the
/// first one that has it. The result has the same order; read from the last to the first, one
/// after another, its stretches give the slab: what a later one overwrites is read in vain, but
/// nothing is read that a newer epoch has whole. `complete`: whether all bytes are there.
std::vector<std::vector<Stretch>> resolve(const std::vector<std::vector<Stretch>>& held,
                                          std::uint64_t bytes, bool& complete);

}  // namespace cairn::io
