// What one rank adds to the index tables, and where: rows first, places once all ranks are known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <cairn/status.hpp>

#include "io/changes.hpp"
#include "io/records.hpp"
#include "io/tables.hpp"

namespace cairn::io {

/// Amounts that are added up over ranks: those of the channels, those of the data, and the elements
/// of each dataset of data, which belong to the data.
class Amounts {
 public:
  enum Extra {
    counters,
    messages,
    payload,
    communicators,
    ranks,
    blocks,
    changes,
    changed,  // bytes, as the next two
    chain,
    state,
    extra_count
  };

  /// `stored`: as in RankRows.
  explicit Amounts(std::size_t stored) : values_(stored + extra_count) {}
  std::uint64_t& elements(std::size_t entry) { return values_[extra_count + entry]; }
  std::uint64_t elements(std::size_t entry) const { return values_[extra_count + entry]; }
  std::uint64_t& operator[](Extra extra) { return values_[extra]; }
  /// Of the same number of datasets.
  void add(const Amounts& more);
  std::uint64_t operator[](Extra extra) const { return values_[extra]; }
  std::span<std::uint64_t> channels() { return std::span{values_}.first(ranks); }
  std::span<std::uint64_t> data() { return std::span{values_}.subspan(ranks); }

 private:
  std::vector<std::uint64_t> values_;
};

/// One rank's rows: first those of its data, then those of its channels. The data is stored in a
/// dataset for each entry, or, when only changes are kept, in one for all.
struct RankRows {
  std::vector<EntryRow> entries;  ///< the same on every rank; written by rank 0
  RankRow rank{};
  std::vector<SlabRow> slabs;
  std::vector<BlockRow> blocks;  ///< their checksums are filled in when the data is read
  std::vector<PlaceRow> places;  ///< set by place_in_node()
  bool by_changes = false;       ///< set by keep_changes()
  DeltaRankRow delta{};
  std::vector<ChangeRow> changes;  ///< as in blocks
  std::vector<CommunicatorRow> communicators;
  std::vector<CounterRow> counters;
  std::vector<MessageRow> messages;  ///< as in blocks
  std::uint64_t payload_bytes = 0;
  std::uint64_t first_communicator = 0, first_payload = 0;  ///< set by place_channels()

  /// Checks what a rank saves and makes its rows, as if it were the only rank. Local.
  /// invalid_argument: names the entry and what is wrong with it.
  static Result<RankRows> of_data(int rank, const std::vector<Entry>& all_entries,
                                  const std::vector<Slab>& own_slabs);
  /// The epoch holds these changes, and not the slabs. Local.
  void keep_changes(const Changes& all_changes);
  /// Number of datasets that the data is in, and elements of this rank in each.
  std::vector<std::uint64_t> stored_elements() const;
  /// Adds the rows of what was in the channels. Local. invalid_argument: as above.
  Status add_channels(const std::vector<ChannelCounter>& all_counters,
                      const std::vector<Message>& all_messages,
                      const std::vector<Communicator>& all_communicators);

  /// Those of an entry's slab.
  std::span<BlockRow> blocks_of(std::size_t entry);

  /// Sizes of all of these.
  Amounts amounts() const;
  /// Move the rows behind those of the lower ranks, which have `before` in sum.
  void place_data(const Amounts& before);
  /// The data is in a file of the node's own, behind `before` elements in each dataset.
  void place_in_node(std::uint64_t node, std::span<const std::uint64_t> before);
  void place_channels(const Amounts& before);
};

}  // namespace cairn::io
