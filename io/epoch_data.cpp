#include "io/epoch_data.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checksum.hpp"
#include "io/slab_bytes.hpp"

namespace cairn::io {
namespace {

// Changes that are one after another in the file are read together, up to this much: what the
// processor's own cache holds until the checksums are compared.
constexpr std::uint64_t read_bytes = std::uint64_t{256} << 10;

/// Copies a stretch to its place, as far as there is one.
void place(const Stretch& stretch, std::span<const std::byte> bytes, std::span<std::byte> slab) {
  if (stretch.offset >= slab.size()) return;
  const std::uint64_t part = std::min<std::uint64_t>(stretch.bytes, slab.size() - stretch.offset);
  std::memcpy(&slab[stretch.offset], bytes.data(), part);
}

}  // namespace

EpochData::EpochData(LoadedIndex loaded)
    : index(std::move(loaded)),
      codec_(parse_codec(index.commit.info.compression).value_or(Compression::Codec::none)) {}

std::optional<std::size_t> EpochData::rank_number(int rank) const {
  const int first = index.first_rank;
  if (rank < first || rank - first >= static_cast<int>(index.ranks.size())) return std::nullopt;
  return static_cast<std::size_t>(rank - first);
}

std::optional<std::size_t> EpochData::find(const Entry& entry) const {
  const auto found = std::find(index.entries.begin(), index.entries.end(), entry);
  if (found == index.entries.end()) return std::nullopt;
  return static_cast<std::size_t>(found - index.entries.begin());
}

std::uint64_t EpochData::slab_bytes(std::size_t rank_number, std::size_t entry) const {
  return index.slabs[rank_number * index.entries.size() + entry].count *
         index.entries[entry].element_bytes;
}

std::vector<Stretch> EpochData::stretches(std::size_t rank_number, std::size_t entry) const {
  std::vector<Stretch> held;
  if (!index.by_changes) {
    const SlabRow& slab = index.slabs[rank_number * index.entries.size() + entry];
    const std::uint64_t blocks = (slab_bytes(rank_number, entry) + block_bytes - 1) / block_bytes;
    for (std::uint64_t i = 0; i < blocks; ++i) {
      const BlockRow& row = index.blocks[slab.first_block - index.first_block + i];
      held.push_back({row.block * block_bytes, row.bytes, 0, row.bytes, row.checksum});
    }
    return held;
  }
  const DeltaRankRow& delta = index.deltas[rank_number];
  std::uint64_t stored_offset = 0;
  for (std::uint64_t i = 0; i < delta.changes; ++i) {
    const ChangeRow& row = index.changes[delta.first_change - index.first_change + i];
    if (row.entry == entry) {
      held.push_back({row.offset, row.bytes, stored_offset, row.stored_bytes, row.checksum});
    }
    stored_offset += row.stored_bytes;
  }
  return held;
}

Result<EpochData::Source> EpochData::source(std::size_t rank_number, std::size_t stored) const {
  Source from;
  if (index.places.empty()) {
    from.file = &index.file;
    from.path = index.file.path();
    from.offset = index.extents[stored].offset;
    from.bytes = index.extents[stored].bytes;
    return from;
  }
  from.place = &index.places[rank_number * index.stored.size() + stored];
  const LoadedIndex::Node& node = index.nodes[from.place->node];
  from.path = node.path;
  from.offset = node.extents[stored].offset;
  from.bytes = node.extents[stored].bytes;
  from.file = &node.file;
  if (!node.file.is_open()) {
    auto opened = File::open(node.path, O_RDONLY);
    if (!opened) return opened.status();
    from.opened = std::move(*opened);
    from.file = nullptr;
  }
  return from;
}

Status EpochData::read(std::size_t rank_number, std::size_t entry, std::span<const Stretch> wanted,
                       std::span<std::byte> slab) const {
  if (wanted.empty()) return {};
  auto from = source(rank_number, index.by_changes ? 0 : entry);
  if (!from) return from.status();
  if (from->file == nullptr) from->file = &from->opened;
  return index.by_changes ? read_changes(*from, rank_number, entry, wanted, slab)
                          : read_blocks(*from, rank_number, entry, wanted, slab);
}

Status EpochData::read_blocks(const Source& from, std::size_t rank_number, std::size_t entry,
                              std::span<const Stretch> wanted, std::span<std::byte> slab) const {
  const Entry& described = index.entries[entry];
  const SlabRow& row = index.slabs[rank_number * index.entries.size() + entry];
  const std::uint64_t elements = from.bytes / described.element_bytes;
  const std::uint64_t start = from.place != nullptr ? from.place->start : row.start;
  const std::size_t dims = from.place != nullptr ? 0 : described.global_shape.size();
  const std::span<const std::uint64_t> global =
      dims == 0 ? std::span{&elements, 1} : std::span{described.global_shape};
  const std::span<const std::uint64_t> offset =
      dims == 0 ? std::span{&start, 1} : std::span{row.offset, dims};
  const std::span<const std::uint64_t> shape =
      dims == 0 ? std::span{&row.count, 1} : std::span{row.shape, dims};
  const SlabBytes bytes{from.offset, described.element_bytes, global, offset, shape};
  std::vector<std::byte> buffer;
  for (const Stretch& block : wanted) {
    const bool fits = block.end() <= slab.size();
    if (!fits) buffer.resize(block_bytes);
    const auto memory =
        fits ? slab.subspan(block.offset, block.bytes) : std::span{buffer}.first(block.bytes);
    if (auto status = bytes.read(*from.file, block.offset, memory); !status) return status;
    if (checksum(memory) != block.checksum) return damaged(from, rank_number, entry, block);
    if (!fits) place(block, memory, slab);
  }
  return {};
}

Status EpochData::read_changes(const Source& from, std::size_t rank_number, std::size_t entry,
                               std::span<const Stretch> wanted, std::span<std::byte> slab) const {
  const std::uint64_t base =
      from.offset + (from.place != nullptr ? from.place->start : index.deltas[rank_number].start);
  const auto fits = [&](const Stretch& change) {
    return change.stored_bytes == change.bytes && change.end() <= slab.size();
  };
  std::vector<std::byte> buffer(read_bytes);
  std::vector<std::byte> restored(change_bytes);
  std::vector<std::span<std::byte>> parts;  // where the stored bytes are read to
  while (!wanted.empty()) {
    const std::uint64_t first = wanted[0].stored_offset;
    const bool in_place = fits(wanted[0]);
    std::uint64_t bytes = 0;
    parts.clear();
    for (const Stretch& change : wanted) {
      if (change.stored_offset != first + bytes || fits(change) != in_place) break;
      if (bytes > 0 && bytes + change.stored_bytes > read_bytes) break;
      parts.push_back(in_place ? slab.subspan(change.offset, change.bytes)
                               : std::span{buffer}.subspan(bytes, change.stored_bytes));
      bytes += change.stored_bytes;
    }
    if (auto s = from.file->read_at(base + first, parts); !s) return s;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Stretch& change = wanted[i];
      if (checksum(parts[i]) != change.checksum) return damaged(from, rank_number, entry, change);
      if (in_place) continue;
      if (change.stored_bytes == change.bytes) {
        place(change, parts[i], slab);
        continue;
      }
      const std::span whole{restored.data(), change.bytes};
      if (auto s = decompress(codec_, parts[i], whole); !s) {
        return {Code::corruption, from.path.native() + ": " + s.message()};
      }
      place(change, whole, slab);
    }
    wanted = wanted.subspan(parts.size());
  }
  return {};
}

Status EpochData::damaged(const Source& from, std::size_t rank_number, std::size_t entry,
                          const Stretch& stretch) const {
  return {Code::corruption,
          fmt::format("{}: '{}' of rank {} is damaged: bytes {} to {} of its slab have the wrong "
                      "checksum",
                      from.path.native(), index.entries[entry].name, index.ranks[rank_number].rank,
                      stretch.offset, stretch.end() - 1)};
}

std::vector<std::vector<Stretch>> resolve(const std::vector<std::vector<Stretch>>& held,
                                          std::uint64_t bytes, bool& complete) {
  struct Range {
    std::uint64_t first, last;
  };
  std::vector<Range> covered;  // by newer epochs; ascending, neither overlapping nor touching
  std::vector<std::vector<Stretch>> wanted;
  for (const auto& of_epoch : held) {
    auto& taken = wanted.emplace_back();
    std::vector<Range> united;
    const auto add = [&united](Range range) {
      while (!united.empty() && range.first <= united.back().last) {
        range.first = std::min(range.first, united.back().first);
        range.last = std::max(range.last, united.back().last);
        united.pop_back();
      }
      united.push_back(range);
    };
    std::size_t i = 0;
    for (const Stretch& stretch : of_epoch) {
      const Range range{stretch.offset, std::min(stretch.end(), bytes)};
      if (range.first >= range.last) continue;
      while (i < covered.size() && covered[i].last < range.last) add(covered[i++]);
      // Covered ranges do not touch: one of them has it whole, or none.
      if (i < covered.size() && covered[i].first <= range.first) continue;
      taken.push_back(stretch);
      add(range);
    }
    while (i < covered.size()) add(covered[i++]);
    covered = std::move(united);
  }
  complete =
      bytes == 0 || (covered.size() == 1 && covered[0].first == 0 && covered[0].last == bytes);
  return wanted;
}

}  // namespace cairn::io
