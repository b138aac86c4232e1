// What has changed in a rank's slabs: what an epoch holds that does not hold everything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include <cairn/status.hpp>

#include "io/records.hpp"

namespace cairn::io {

/// Changes are cut at the multiples of this many bytes in their slab, so that those of one epoch
/// supersede those of another whole; each has a checksum.
inline constexpr std::uint64_t change_bytes = std::uint64_t{1} << 16;

/// Some bytes of a slab. Ascending by entry and offset they are a rank's Changes.
struct Change {
  std::uint32_t entry = 0;
  std::uint64_t offset = 0;         ///< first byte within the slab
  std::uint64_t bytes = 0;          ///< at most change_bytes
  const std::byte* data = nullptr;  ///< stored_bytes of them
  std::uint64_t stored_bytes = 0;   ///< fewer than `bytes` when compressed
};
using Changes = std::vector<Change>;

/// Adds bytes [first, last) of a slab, whose first one is at `data`.
void add_changes(Changes& changes, std::size_t entry, std::uint64_t first, std::uint64_t last,
                 const std::byte* data);
/// All bytes of all slabs.
Changes everything(const std::vector<Entry>& entries, const std::vector<Slab>& slabs);

/// Sums over Change::bytes and stored_bytes.
std::uint64_t changed_bytes(const Changes& changes);
std::uint64_t stored_bytes(const Changes& changes);

/// What a rank finds out about its slabs.
struct FoundChanges {
  Changes changes;
  /// Hardly less than everything, and the slabs' memory is complete: the rank had rather write all.
  bool nearly_everything = false;
  /// Bytes of the slabs that have changed since the last full epoch.
  std::uint64_t chain_bytes = 0;
};
/// Runs in the thread that writes, before anything is placed.
using FindChanges = std::function<Result<FoundChanges>(const std::stop_token& cancelled)>;

}  // namespace cairn::io
