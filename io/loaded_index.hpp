// The index tables of an epoch in memory, checked so that every number in them can be trusted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <cairn/status.hpp>

#include "io/commit_record.hpp"
#include "io/files.hpp"
#include "io/records.hpp"
#include "io/tables.hpp"

namespace cairn::io {

struct LoadedIndex {
  /// As StateReader::open.
  static Result<LoadedIndex> load(const std::filesystem::path& epoch_directory,
                                  std::optional<int> only_rank);

  /// The file of one node.
  struct Node {
    std::filesystem::path path;
    File file;                    ///< open when only one rank is loaded: there may be many nodes
    std::vector<Extent> extents;  ///< as LoadedIndex::extents
  };

  File file;  ///< state.h5
  CommitRecord commit;
  std::vector<Entry> entries;
  bool by_changes = false;    ///< it holds changes: of all bytes, if it is full
  std::vector<Entry> stored;  ///< those that have datasets, or changes_entry()
  /// Of the datasets of `stored`; empty when the nodes' files have them.
  std::vector<Extent> extents;
  std::vector<Node> nodes;  ///< by number; those of the loaded ranks have a path
  Extent payload;
  std::vector<Communicator> communicators;
  std::vector<int> communicator_roots;
  // Rows of the loaded ranks. The first_… are the numbers of their first rows in the tables.
  int first_rank = 0;
  std::vector<RankRow> ranks;
  std::vector<SlabRow> slabs;
  std::uint64_t first_block = 0, first_change = 0, first_counter = 0, first_message = 0;
  std::vector<PlaceRow> places;  ///< for each rank and stored entry; empty when all is in state.h5
  std::vector<BlockRow> blocks;
  std::vector<DeltaRankRow> deltas;  ///< as ranks, when by_changes
  std::vector<ChangeRow> changes;
  std::vector<CounterRow> counters;
  std::vector<MessageRow> messages;
};

}  // namespace cairn::io
