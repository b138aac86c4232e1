#include "io/table_parts.hpp"

#include "io/tables.hpp"

namespace cairn::io {

std::vector<Part> table_parts(const RankRows& rows, const Layout& layout,
                              std::span<const std::uint64_t> offsets) {
  std::vector<Part> parts;
  const auto add = [&](TableId id, const auto& of_rank, std::uint64_t first) {
    const Table& table = tables()[id];
    parts.push_back({table.path,
                     offsets[id],
                     table.row_bytes,
                     {layout.rows(id)},
                     {first},
                     {of_rank.size()},
                     std::as_bytes(std::span{of_rank}).data()});
  };
  const std::uint64_t rank = rows.rank.rank;
  // The entries are the same on all ranks: rank 0 writes them.
  add(entry_rows, std::span{rows.entries}.first(rank == 0 ? rows.entries.size() : 0), 0);
  add(rank_rows, std::span{&rows.rank, 1}, rank);
  add(slab_rows, rows.slabs, rank * rows.slabs.size());
  add(block_rows, rows.blocks, rows.rank.first_block);
  add(place_rows, rows.places, rank * rows.places.size());
  add(delta_rank_rows, std::span{&rows.delta, rows.by_changes ? std::size_t{1} : 0},
      rows.by_changes ? rank : 0);
  add(change_rows, rows.changes, rows.delta.first_change);
  add(communicator_rows, rows.communicators, rows.first_communicator);
  add(counter_rows, rows.counters, rows.rank.first_counter);
  add(message_rows, rows.messages, rows.rank.first_message);
  return parts;
}

}  // namespace cairn::io
