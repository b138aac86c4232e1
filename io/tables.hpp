// The rows of the index tables in state.h5, byte for byte as they are stored.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "io/names.hpp"
#include "io/records.hpp"

namespace cairn::io {

// Rows go from memory to the file and back unchanged.
static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian");

struct EntryRow {
  char name[max_name_bytes + 1];  ///< filled up with zero bytes
  std::uint32_t type;             ///< ElementType
  std::uint32_t element_bytes;
  std::uint64_t dims;  ///< of global_shape; 0: 1-D, the ranks' slabs one after another
  std::uint64_t global_shape[max_dimensions];
};

/// Where the other tables have this rank's rows.
struct RankRow {
  std::uint32_t rank;
  std::uint32_t entries;
  std::uint64_t first_block, blocks;
  std::uint64_t first_counter, counters;
  std::uint64_t first_message, messages;
};

struct SlabRow {
  std::uint32_t rank;
  std::uint32_t entry;
  std::uint64_t start;  ///< first element within a 1-D dataset
  std::uint64_t count;  ///< elements
  std::uint64_t first_block;
  std::uint64_t offset[max_dimensions];
  std::uint64_t shape[max_dimensions];
};

struct BlockRow {
  std::uint32_t rank;
  std::uint32_t entry;
  std::uint64_t block;  ///< number within the slab
  std::uint64_t bytes;
  std::uint64_t checksum;
};

/// Where a slab is when each node has a file.
struct PlaceRow {
  std::uint32_t rank;
  std::uint32_t entry;
  std::uint64_t node;
  std::uint64_t start;  ///< first element within the dataset in the node's file
};

/// Where an epoch that holds changes has those of a rank.
struct DeltaRankRow {
  std::uint64_t rank;
  std::uint64_t first_change, changes;
  std::uint64_t start, bytes;  ///< elements of /delta/data
};

/// The bytes of a rank's changes are one after another.
struct ChangeRow {
  std::uint32_t rank;
  std::uint32_t entry;
  std::uint64_t offset;        ///< first byte within the slab
  std::uint64_t bytes;         ///< of the slab
  std::uint64_t stored_bytes;  ///< fewer when compressed
  std::uint64_t checksum;      ///< of the stored bytes
};

struct CommunicatorRow {
  std::uint64_t id;
  std::uint32_t size;
  std::uint32_t root;  ///< world rank of its rank 0
  char label[max_label_bytes + 1];
};

struct CounterRow {
  std::uint32_t rank;
  std::uint32_t peer;
  std::uint64_t communicator;
  std::uint64_t sent;
  std::uint64_t received;
};

struct MessageRow {
  std::uint64_t communicator;
  std::int32_t source;
  std::int32_t destination;
  std::int32_t tag;
  std::uint32_t order;   ///< among the messages of this destination: 0, 1, …
  std::uint64_t offset;  ///< first byte in the payload
  std::uint64_t bytes;
  std::uint64_t checksum;
};

/// One member of a row, as HDF5 sees it.
struct Field {
  enum class Kind { u32, i32, u64, text, element_type };
  const char* name;
  Kind kind;
  std::size_t offset;
  std::size_t extent = 1;  ///< array elements, or bytes of a text
};

struct Table {
  const char* path;
  std::size_t row_bytes;
  std::span<const Field> fields;
  int since = 1;  ///< format version
};

enum TableId {
  entry_rows,
  rank_rows,
  slab_rows,
  block_rows,
  place_rows,
  delta_rank_rows,
  change_rows,
  communicator_rows,
  counter_rows,
  message_rows,
  table_count
};

/// All tables, indexed by TableId.
const std::array<Table, table_count>& tables();

}  // namespace cairn::io
