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

  File file;
  CommitRecord commit;
  std::vector<Entry> entries;
  std::vector<Extent> extents;  ///< of the entries' datasets
  Extent payload;
  std::vector<Communicator> communicators;
  // Rows of the loaded ranks. The first_… are the numbers of their first rows in the tables.
  int first_rank = 0;
  std::vector<RankRow> ranks;
  std::vector<SlabRow> slabs;
  std::uint64_t first_block = 0, first_counter = 0, first_message = 0;
  std::vector<BlockRow> blocks;
  std::vector<CounterRow> counters;
  std::vector<MessageRow> messages;
};

}  // namespace cairn::io
