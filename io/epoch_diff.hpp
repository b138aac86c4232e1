// In what two epochs differ.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <cairn/status.hpp>

#include "io/state_reader.hpp"

namespace cairn::io {

/// Of one rank's slab of an entry: elements of a region, bytes of an object.
struct SlabDiff {
  int rank = 0;
  std::uint64_t count_before = 0, count_after = 0;
  /// Elements of the later slab, ascending, which differ or have been added.
  std::vector<ByteRange> ranges;
};

struct EntryDiff {
  using Kind = EntryChange::Kind;
  Entry entry;
  Kind kind = Kind::modified;
  std::vector<SlabDiff> slabs;  ///< modified: those that differ, by rank
};

/// What differs, in the order of the later epoch's entries, then what it lacks. An entry of another
/// type or global shape counts as deleted and added. Both epochs have the same ranks:
/// invalid_argument when not. Reads both. corruption: one of them is damaged.
Result<std::vector<EntryDiff>> diff_epochs(const StateReader& before, const StateReader& after);

}  // namespace cairn::io
