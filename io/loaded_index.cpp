#include "io/loaded_index.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>

#include "base/checksum.hpp"
#include "io/changes.hpp"
#include "io/compression.hpp"
#include "io/geometry.hpp"
#include "io/hdf5.hpp"

namespace cairn::io {
namespace {

class Loader {
 public:
  Loader(LoadedIndex& index, const std::filesystem::path& directory)
      : index_(index), directory_(directory) {}

  Status load(std::optional<int> only_rank);

 private:
  Status check_metadata(const File& file, const StateIndex& state) const;
  Status check_tables();
  Status load_entries();
  Status find_datasets();
  Status load_communicators();
  Status load_ranks(std::optional<int> only_rank);
  Status check_rank(const RankRow& row, std::uint64_t number, const RankRow* before) const;
  Status load_rank_rows();
  Status load_nodes(std::optional<int> only_rank);
  Status load_node(std::uint64_t number, bool keep_open);
  Status check_slabs() const;
  bool place_fits(const SlabRow& row, const PlaceRow* place) const;
  Status load_changes();
  Status check_changes(std::size_t rank) const;
  bool changes_make_sense(std::size_t rank) const;
  Status check_blocks(const SlabRow& slab, std::uint64_t slab_bytes) const;
  Status check_messages() const;

  Status damaged(std::string_view what) const {
    return {Code::corruption, fmt::format("{}: {}", index_.file.path().native(), what)};
  }
  std::uint64_t row_count(TableId table) const;
  /// Reads and checks rows [first, first + count) of a table.
  template <class Row>
  Status load_rows(TableId table, std::uint64_t first, std::uint64_t count,
                   std::vector<Row>& rows) const;

  LoadedIndex& index_;
  const std::filesystem::path& directory_;
};

Status Loader::load(std::optional<int> only_rank) {
  auto commit = read_commit_file(directory_);
  if (!commit) return commit.status();
  index_.commit = std::move(*commit);
  auto file = open_indexed(directory_, index_.commit.state);
  if (!file) return file.status();
  index_.file = std::move(*file);
  if (auto s = check_metadata(index_.file, index_.commit.state); !s) return s;
  if (auto status = check_tables(); !status) return status;
  if (auto status = load_entries(); !status) return status;
  if (auto status = load_communicators(); !status) return status;
  if (auto status = load_ranks(only_rank); !status) return status;
  if (auto status = load_rank_rows(); !status) return status;
  if (auto status = load_nodes(only_rank); !status) return status;
  if (auto status = check_slabs(); !status) return status;
  for (std::size_t i = 0; i < index_.deltas.size(); ++i) {
    if (auto status = check_changes(i); !status) return status;
  }
  return check_messages();
}

Status Loader::check_metadata(const File& file, const StateIndex& state) const {
  const auto sum = metadata_checksum(file, state);
  if (!sum) return sum.status();
  if (*sum == state.metadata_checksum) return {};
  return {Code::corruption,
          fmt::format("{}: its HDF5 metadata is damaged: wrong checksum", file.path().native())};
}

Status Loader::check_tables() {
  const StateIndex& state = index_.commit.state;
  for (const Table& table : tables()) {
    const auto dataset = state.datasets.find(table.path);
    if (table.since > index_.commit.version && dataset == state.datasets.end()) continue;
    const auto sums = state.table_checksums.find(table.path);
    if (dataset == state.datasets.end() || sums == state.table_checksums.end() ||
        dataset->second.bytes % table.row_bytes != 0 ||
        sums->second.size() != (dataset->second.bytes + segment_bytes - 1) / segment_bytes) {
      return damaged(fmt::format("COMMIT.json does not describe {}", table.path));
    }
  }
  const auto payload = state.datasets.find(payload_dataset);
  if (payload == state.datasets.end()) return damaged("it has no message payload");
  index_.payload = payload->second;
  return {};
}

std::uint64_t Loader::row_count(TableId table) const {
  const auto dataset = index_.commit.state.datasets.find(tables()[table].path);
  if (dataset == index_.commit.state.datasets.end()) return 0;  // an older format
  return dataset->second.bytes / tables()[table].row_bytes;
}

template <class Row>
Status Loader::load_rows(TableId id, std::uint64_t first, std::uint64_t count,
                         std::vector<Row>& rows) const {
  const Table& table = tables()[id];
  const Extent extent = index_.commit.state.datasets.at(table.path);
  const auto& sums = index_.commit.state.table_checksums.at(table.path);
  const std::uint64_t all = extent.bytes / sizeof(Row);
  if (first > all || count > all - first) {
    return damaged(fmt::format("the index names rows that {} does not have", table.path));
  }
  rows.resize(count);
  if (count == 0) return {};
  const std::uint64_t begin = first * sizeof(Row), end = begin + count * sizeof(Row);
  const std::span out = std::as_writable_bytes(std::span{rows});
  std::vector<std::byte> buffer(std::min(segment_bytes, extent.bytes));
  for (std::uint64_t i = begin / segment_bytes; i * segment_bytes < end; ++i) {
    const std::uint64_t start = i * segment_bytes;
    const std::span segment{buffer.data(), std::min(segment_bytes, extent.bytes - start)};
    if (auto status = index_.file.read_at(extent.offset + start, segment); !status) return status;
    if (checksum(segment) != sums[i]) {
      return damaged(fmt::format("the table {} is damaged: wrong checksum", table.path));
    }
    const std::uint64_t from = std::max(begin, start);
    const std::uint64_t to = std::min(end, start + segment.size());
    std::memcpy(&out[from - begin], &segment[from - start], to - from);
  }
  return {};
}

Status Loader::load_entries() {
  std::vector<EntryRow> rows;
  if (auto s = load_rows(entry_rows, 0, row_count(entry_rows), rows); !s) return s;
  for (const EntryRow& row : rows) {
    const auto type = static_cast<ElementType>(row.type);
    const std::size_t length = ::strnlen(row.name, sizeof row.name);
    if (length == 0 || length == sizeof row.name || row.dims > max_dimensions || row.type < 1 ||
        row.type > static_cast<std::uint32_t>(ElementType::serialized) || row.element_bytes == 0) {
      return damaged("/index/entries has an entry that makes no sense");
    }
    Entry entry{std::string(row.name, length), type, row.element_bytes, {}};
    entry.global_shape.assign(row.global_shape, row.global_shape + row.dims);
    if (!volume(entry.global_shape)) {
      return damaged(fmt::format("the shape of '{}' makes no sense", entry.name));
    }
    index_.entries.push_back(std::move(entry));
  }
  return find_datasets();
}

/// Notes their extents when they are in state.h5.
Status Loader::find_datasets() {
  const StateIndex& state = index_.commit.state;
  const bool in_nodes = !index_.commit.nodes.empty();
  const StateIndex& holder = in_nodes ? index_.commit.nodes.front() : state;
  index_.by_changes = holder.datasets.contains(changes_dataset);
  if (!index_.by_changes && index_.commit.info.parent) {
    return damaged("it builds on another epoch, but does not say what has changed");
  }
  index_.stored = index_.by_changes ? std::vector{changes_entry()} : index_.entries;
  for (std::size_t i = 0; !in_nodes && i < index_.stored.size(); ++i) {
    const Entry& entry = index_.stored[i];
    const auto dataset = state.datasets.find(dataset_path(entry));
    if (dataset == state.datasets.end()) {
      return damaged(fmt::format("'{}' has no dataset", entry.name));
    }
    const std::uint64_t bytes = dataset->second.bytes;
    const bool fits =
        bytes % entry.element_bytes == 0 &&
        (entry.global_shape.empty() || bytes / entry.element_bytes == *volume(entry.global_shape));
    if (!fits) return damaged(fmt::format("the dataset of '{}' has another size", entry.name));
    index_.extents.push_back(dataset->second);
  }
  return {};
}

Status Loader::load_communicators() {
  std::vector<CommunicatorRow> rows;
  if (auto s = load_rows(communicator_rows, 0, row_count(communicator_rows), rows); !s) return s;
  for (const CommunicatorRow& row : rows) {
    const std::size_t length = ::strnlen(row.label, sizeof row.label);
    index_.communicators.push_back({row.id, std::string(row.label, length), row.size});
    index_.communicator_roots.push_back(static_cast<int>(row.root));
  }
  return {};
}

Status Loader::load_ranks(std::optional<int> only_rank) {
  const auto count = static_cast<std::uint64_t>(index_.commit.info.ranks);
  if (row_count(rank_rows) != count || row_count(slab_rows) / count != index_.entries.size() ||
      row_count(slab_rows) % count != 0 ||
      row_count(place_rows) != (index_.commit.nodes.empty() ? 0 : count * index_.stored.size()) ||
      row_count(delta_rank_rows) != (index_.by_changes ? count : 0)) {
    return damaged("its index is for another number of ranks");
  }
  if (!only_rank) {
    if (auto s = load_rows(rank_rows, 0, count, index_.ranks); !s) return s;
  } else if (*only_rank < 0 || *only_rank >= index_.commit.info.ranks) {
    return {Code::invalid_argument, fmt::format("{}: there is no rank {}: it was written by {} "
                                                "ranks",
                                                index_.file.path().native(), *only_rank, count)};
  } else {
    index_.first_rank = *only_rank;
    const auto first = static_cast<std::uint64_t>(*only_rank);
    if (auto s = load_rows(rank_rows, first, 1, index_.ranks); !s) return s;
  }
  for (std::size_t i = 0; i < index_.ranks.size(); ++i) {
    const std::uint64_t number = static_cast<std::uint64_t>(index_.first_rank) + i;
    const RankRow* before = i > 0 ? &index_.ranks[i - 1] : nullptr;
    if (auto s = check_rank(index_.ranks[i], number, before); !s) return s;
  }
  return {};
}

/// The rows of consecutive ranks follow one another without gaps.
Status Loader::check_rank(const RankRow& row, std::uint64_t number, const RankRow* before) const {
  const auto fits = [this](std::uint64_t first, std::uint64_t count, TableId table) {
    return first <= row_count(table) && count <= row_count(table) - first;
  };
  bool good = row.rank == number && row.entries == index_.entries.size() &&
              fits(row.first_block, row.blocks, block_rows) &&
              fits(row.first_counter, row.counters, counter_rows) &&
              fits(row.first_message, row.messages, message_rows);
  if (good && before != nullptr) {
    good = row.first_block == before->first_block + before->blocks &&
           row.first_counter == before->first_counter + before->counters &&
           row.first_message == before->first_message + before->messages;
  }
  return good ? Status{} : damaged(fmt::format("/index/ranks makes no sense for rank {}", number));
}

Status Loader::load_rank_rows() {
  const RankRow& first = index_.ranks.front();
  const RankRow& last = index_.ranks.back();
  index_.first_block = first.first_block;
  index_.first_counter = first.first_counter;
  index_.first_message = first.first_message;
  const std::uint64_t entries = index_.entries.size();
  if (auto s =
          load_rows(slab_rows, first.rank * entries, index_.ranks.size() * entries, index_.slabs);
      !s) {
    return s;
  }
  if (!index_.commit.nodes.empty()) {
    const std::uint64_t stored = index_.stored.size();
    if (auto s =
            load_rows(place_rows, first.rank * stored, index_.ranks.size() * stored, index_.places);
        !s) {
      return s;
    }
  }
  if (index_.by_changes) {
    if (auto s = load_changes(); !s) return s;
  }
  if (auto s = load_rows(block_rows, first.first_block,
                         last.first_block + last.blocks - first.first_block, index_.blocks);
      !s) {
    return s;
  }
  if (auto s = load_rows(counter_rows, first.first_counter,
                         last.first_counter + last.counters - first.first_counter, index_.counters);
      !s) {
    return s;
  }
  return load_rows(message_rows, first.first_message,
                   last.first_message + last.messages - first.first_message, index_.messages);
}

/// With `only_rank` those of its slabs, else all.
Status Loader::load_nodes(std::optional<int> only_rank) {
  index_.nodes.resize(index_.commit.nodes.size());
  for (std::uint64_t i = 0; !only_rank && i < index_.nodes.size(); ++i) {
    if (auto status = load_node(i, false); !status) return status;
  }
  for (const PlaceRow& place : index_.places) {
    if (place.node >= index_.nodes.size()) {
      return damaged(fmt::format("/index/places makes no sense for rank {}", place.rank));
    }
    if (!index_.nodes[place.node].path.empty()) continue;
    if (auto status = load_node(place.node, true); !status) return status;
  }
  return {};
}

Status Loader::load_node(std::uint64_t number, bool keep_open) {
  const StateIndex& described = index_.commit.nodes[number];
  LoadedIndex::Node& node = index_.nodes[number];
  node.path = directory_ / described.name;
  auto file = open_indexed(directory_, described);
  if (!file) return file.status();
  if (auto status = check_metadata(*file, described); !status) return status;
  for (const Entry& entry : index_.stored) {
    const auto dataset = described.datasets.find(dataset_path(entry));
    if (dataset == described.datasets.end() || dataset->second.bytes % entry.element_bytes != 0) {
      return {Code::corruption, fmt::format("{}: '{}' has no dataset, or one of another size",
                                            node.path.native(), entry.name)};
    }
    node.extents.push_back(dataset->second);
  }
  if (keep_open) node.file = std::move(*file);
  return {};
}

/// `place`: nothing when the slab is in state.h5.
bool Loader::place_fits(const SlabRow& row, const PlaceRow* place) const {
  const auto within = [&row](std::uint64_t start, std::uint64_t elements) {
    return start <= elements && row.count <= elements - start;
  };
  const Entry& entry = index_.entries[row.entry];
  if (place != nullptr) {
    const std::uint64_t bytes = index_.nodes[place->node].extents[row.entry].bytes;
    if (place->rank != row.rank || place->entry != row.entry ||
        !within(place->start, bytes / entry.element_bytes)) {
      return false;
    }
  }
  const std::size_t dims = entry.global_shape.size();
  if (dims != 0) {
    return inside(entry.global_shape, {row.offset, dims}, {row.shape, dims}) &&
           volume({row.shape, dims}) == row.count;
  }
  return place != nullptr || index_.by_changes ||
         within(row.start, index_.extents[row.entry].bytes / entry.element_bytes);
}

Status Loader::check_slabs() const {
  for (std::size_t i = 0; i < index_.slabs.size(); ++i) {
    const SlabRow& row = index_.slabs[i];
    const std::size_t number = i % index_.entries.size();
    const Entry& entry = index_.entries[number];
    const bool placed = !index_.places.empty() && !index_.by_changes;
    const PlaceRow* place = placed ? &index_.places[i] : nullptr;
    if (row.entry != number || row.rank != index_.ranks[i / index_.entries.size()].rank ||
        !place_fits(row, place)) {
      return damaged(
          fmt::format("/index/slabs makes no sense for '{}' of rank {}", entry.name, row.rank));
    }
    if (row.count > std::numeric_limits<std::uint64_t>::max() / entry.element_bytes) {
      return damaged(fmt::format("the slab of '{}' of rank {} is too large", entry.name, row.rank));
    }
    if (index_.by_changes) continue;
    if (auto s = check_blocks(row, row.count * entry.element_bytes); !s) return s;
  }
  return {};
}

Status Loader::check_blocks(const SlabRow& slab, std::uint64_t slab_bytes) const {
  const std::uint64_t count = slab_bytes / block_bytes + (slab_bytes % block_bytes != 0);
  bool good = slab.first_block >= index_.first_block &&
              slab.first_block - index_.first_block <= index_.blocks.size() &&
              count <= index_.blocks.size() - (slab.first_block - index_.first_block);
  for (std::uint64_t i = 0; good && i < count; ++i) {
    const BlockRow& row = index_.blocks[slab.first_block - index_.first_block + i];
    good = row.rank == slab.rank && row.entry == slab.entry && row.block == i &&
           row.bytes == std::min(block_bytes, slab_bytes - i * block_bytes);
  }
  return good ? Status{}
              : damaged(fmt::format("/index/blocks makes no sense for '{}' of rank {}",
                                    index_.entries[slab.entry].name, slab.rank));
}

Status Loader::load_changes() {
  const std::uint64_t ranks = index_.ranks.size();
  if (auto s = load_rows(delta_rank_rows, index_.ranks.front().rank, ranks, index_.deltas); !s) {
    return s;
  }
  const DeltaRankRow& first = index_.deltas.front();
  index_.first_change = first.first_change;
  std::uint64_t next = first.first_change;
  for (std::size_t i = 0; i < index_.deltas.size(); ++i) {
    const DeltaRankRow& row = index_.deltas[i];
    if (row.rank != index_.ranks[i].rank || row.first_change != next ||
        row.changes > row_count(change_rows) - std::min(row_count(change_rows), next)) {
      return damaged(fmt::format("/delta/ranks makes no sense for rank {}", index_.ranks[i].rank));
    }
    next += row.changes;
  }
  return load_rows(change_rows, index_.first_change, next - index_.first_change, index_.changes);
}

Status Loader::check_changes(std::size_t rank) const {
  const DeltaRankRow& delta = index_.deltas[rank];
  const auto within = [&](std::uint64_t start, std::uint64_t bytes) {
    return start <= bytes && delta.bytes <= bytes - start;
  };
  bool good = changes_make_sense(rank);
  if (index_.places.empty()) {
    good = good && within(delta.start, index_.extents[0].bytes);
  } else {
    const PlaceRow& place = index_.places[rank];
    good = good && place.rank == delta.rank && place.entry == 0 &&
           within(place.start, index_.nodes[place.node].extents[0].bytes);
  }
  return good ? Status{}
              : damaged(fmt::format("/delta/changes makes no sense for rank {}", delta.rank));
}

/// They are in order, inside their slabs, and none is longer than a reader is ready for.
bool Loader::changes_make_sense(std::size_t rank) const {
  const DeltaRankRow& delta = index_.deltas[rank];
  const bool compressed = index_.commit.info.compression != codec_name(Compression::Codec::none);
  std::uint64_t stored = 0;
  const ChangeRow* before = nullptr;
  const std::span rows =
      std::span{index_.changes}.subspan(delta.first_change - index_.first_change, delta.changes);
  for (const ChangeRow& row : rows) {
    if (row.rank != delta.rank || row.entry >= index_.entries.size() || row.bytes == 0 ||
        row.bytes > change_bytes || row.stored_bytes == 0 || row.stored_bytes > row.bytes ||
        (!compressed && row.stored_bytes != row.bytes)) {
      return false;
    }
    const SlabRow& slab = index_.slabs[rank * index_.entries.size() + row.entry];
    const std::uint64_t slab_bytes = slab.count * index_.entries[row.entry].element_bytes;
    if (row.offset > slab_bytes || row.bytes > slab_bytes - row.offset) return false;
    if (before != nullptr &&
        (row.entry < before->entry ||
         (row.entry == before->entry && row.offset < before->offset + before->bytes))) {
      return false;
    }
    before = &row;
    stored += row.stored_bytes;
  }
  return stored == delta.bytes;
}

/// Payloads follow one another, so that a rank's messages are never larger than the file.
Status Loader::check_messages() const {
  for (const RankRow& rank : index_.ranks) {
    std::optional<std::uint64_t> expected_offset;
    for (std::uint64_t i = 0; i < rank.messages; ++i) {
      const MessageRow& row = index_.messages[rank.first_message - index_.first_message + i];
      if (row.destination != static_cast<int>(rank.rank) || row.order != i ||
          row.offset > index_.payload.bytes || row.bytes > index_.payload.bytes - row.offset ||
          row.offset != expected_offset.value_or(row.offset)) {
        return damaged(fmt::format("/channels/messages makes no sense for rank {}", rank.rank));
      }
      expected_offset = row.offset + row.bytes;
    }
  }
  return {};
}

}  // namespace

Result<LoadedIndex> LoadedIndex::load(const std::filesystem::path& epoch_directory,
                                      std::optional<int> only_rank) {
  LoadedIndex index;
  if (auto status = Loader{index, epoch_directory}.load(only_rank); !status) return status;
  return index;
}

}  // namespace cairn::io
