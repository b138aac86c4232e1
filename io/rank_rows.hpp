// What one rank adds to the index tables, and where: rows first, places once all ranks are known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <cairn/status.hpp>

#include "io/records.hpp"
#include "io/tables.hpp"

namespace cairn::io {

/// Amounts that are added up over ranks: first elements of each entry, then these.
class Amounts {
 public:
  enum Extra { ranks, blocks, counters, messages, payload, communicators, extra_count };

  explicit Amounts(std::size_t entries) : values_(entries + extra_count) {}
  std::uint64_t& elements(std::size_t entry) { return values_[extra_count + entry]; }
  std::uint64_t elements(std::size_t entry) const { return values_[extra_count + entry]; }
  std::uint64_t& operator[](Extra extra) { return values_[extra]; }
  std::uint64_t operator[](Extra extra) const { return values_[extra]; }
  std::vector<std::uint64_t>& values() { return values_; }

 private:
  std::vector<std::uint64_t> values_;
};

/// One rank's rows.
struct RankRows {
  std::vector<EntryRow> entries;  ///< the same on every rank; written by rank 0
  RankRow rank{};
  std::vector<SlabRow> slabs;
  std::vector<BlockRow> blocks;
  std::vector<CommunicatorRow> communicators;
  std::vector<CounterRow> counters;
  std::vector<MessageRow> messages;
  std::vector<std::byte> payload;
  std::uint64_t first_communicator = 0, first_payload = 0;  ///< set by place()

  /// Sizes of all of these.
  Amounts amounts() const;
  /// Moves the rows behind those of the lower ranks, which have `before` in sum.
  void place(const Amounts& before);
};

/// Checks `state` and makes rank's rows, with checksums, as if it were the only rank.
/// invalid_argument: names the entry and what is wrong with it. Local.
Result<RankRows> make_rank_rows(int rank, const RankState& state);

}  // namespace cairn::io
