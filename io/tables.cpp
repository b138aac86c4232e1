#include "io/tables.hpp"

namespace cairn::io {
namespace {

using Kind = Field::Kind;

#define AT(row, member, kind, ...) \
  Field { #member, kind, offsetof(row, member) __VA_OPT__(, ) __VA_ARGS__ }

constexpr std::array entry_fields = {
    AT(EntryRow, name, Kind::text, max_name_bytes + 1),
    AT(EntryRow, type, Kind::element_type),
    AT(EntryRow, element_bytes, Kind::u32),
    AT(EntryRow, dims, Kind::u64),
    AT(EntryRow, global_shape, Kind::u64, max_dimensions),
};
constexpr std::array rank_fields = {
    AT(RankRow, rank, Kind::u32),          AT(RankRow, entries, Kind::u32),
    AT(RankRow, first_block, Kind::u64),   AT(RankRow, blocks, Kind::u64),
    AT(RankRow, first_counter, Kind::u64), AT(RankRow, counters, Kind::u64),
    AT(RankRow, first_message, Kind::u64), AT(RankRow, messages, Kind::u64),
};
constexpr std::array slab_fields = {
    AT(SlabRow, rank, Kind::u32),
    AT(SlabRow, entry, Kind::u32),
    AT(SlabRow, start, Kind::u64),
    AT(SlabRow, count, Kind::u64),
    AT(SlabRow, first_block, Kind::u64),
    AT(SlabRow, offset, Kind::u64, max_dimensions),
    AT(SlabRow, shape, Kind::u64, max_dimensions),
};
constexpr std::array block_fields = {
    AT(BlockRow, rank, Kind::u32),     AT(BlockRow, entry, Kind::u32),
    AT(BlockRow, block, Kind::u64),    AT(BlockRow, bytes, Kind::u64),
    AT(BlockRow, checksum, Kind::u64),
};
constexpr std::array place_fields = {
    AT(PlaceRow, rank, Kind::u32),
    AT(PlaceRow, entry, Kind::u32),
    AT(PlaceRow, node, Kind::u64),
    AT(PlaceRow, start, Kind::u64),
};
constexpr std::array delta_rank_fields = {
    AT(DeltaRankRow, rank, Kind::u64),    AT(DeltaRankRow, first_change, Kind::u64),
    AT(DeltaRankRow, changes, Kind::u64), AT(DeltaRankRow, start, Kind::u64),
    AT(DeltaRankRow, bytes, Kind::u64),
};
constexpr std::array change_fields = {
    AT(ChangeRow, rank, Kind::u32),         AT(ChangeRow, entry, Kind::u32),
    AT(ChangeRow, offset, Kind::u64),       AT(ChangeRow, bytes, Kind::u64),
    AT(ChangeRow, stored_bytes, Kind::u64), AT(ChangeRow, checksum, Kind::u64),
};
constexpr std::array communicator_fields = {
    AT(CommunicatorRow, id, Kind::u64),
    AT(CommunicatorRow, size, Kind::u32),
    AT(CommunicatorRow, root, Kind::u32),
    AT(CommunicatorRow, label, Kind::text, max_label_bytes + 1),
};
constexpr std::array counter_fields = {
    AT(CounterRow, rank, Kind::u32),         AT(CounterRow, peer, Kind::u32),
    AT(CounterRow, communicator, Kind::u64), AT(CounterRow, sent, Kind::u64),
    AT(CounterRow, received, Kind::u64),
};
constexpr std::array message_fields = {
    AT(MessageRow, communicator, Kind::u64), AT(MessageRow, source, Kind::i32),
    AT(MessageRow, destination, Kind::i32),  AT(MessageRow, tag, Kind::i32),
    AT(MessageRow, order, Kind::u32),        AT(MessageRow, offset, Kind::u64),
    AT(MessageRow, bytes, Kind::u64),        AT(MessageRow, checksum, Kind::u64),
};

#undef AT

// The format has no padding: a change of these numbers is a new format version.
static_assert(sizeof(EntryRow) == 336 && sizeof(RankRow) == 56 && sizeof(SlabRow) == 160 &&
              sizeof(BlockRow) == 32 && sizeof(PlaceRow) == 24 && sizeof(DeltaRankRow) == 40 &&
              sizeof(ChangeRow) == 40 && sizeof(CommunicatorRow) == 80 &&
              sizeof(CounterRow) == 32 && sizeof(MessageRow) == 48);

}  // namespace

const std::array<Table, table_count>& tables() {
  static const std::array<Table, table_count> all = {{
      {entries_table, sizeof(EntryRow), entry_fields},
      {ranks_table, sizeof(RankRow), rank_fields},
      {slabs_table, sizeof(SlabRow), slab_fields},
      {blocks_table, sizeof(BlockRow), block_fields},
      {places_table, sizeof(PlaceRow), place_fields, 2},
      {delta_ranks_table, sizeof(DeltaRankRow), delta_rank_fields, 3},
      {changes_table, sizeof(ChangeRow), change_fields, 3},
      {communicators_table, sizeof(CommunicatorRow), communicator_fields},
      {counters_table, sizeof(CounterRow), counter_fields},
      {messages_table, sizeof(MessageRow), message_fields},
  }};
  return all;
}

}  // namespace cairn::io
