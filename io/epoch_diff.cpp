#include "io/epoch_diff.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace cairn::io {
namespace {

std::optional<std::size_t> find(const StateReader& in, const Entry& entry) {
  const auto found = std::find(in.entries().begin(), in.entries().end(), entry);
  if (found == in.entries().end()) return std::nullopt;
  return static_cast<std::size_t>(found - in.entries().begin());
}

Result<std::vector<std::byte>> read(const StateReader& from, const SlabInfo& slab,
                                    std::uint32_t element_bytes) {
  if (auto status = from.check_complete(slab); !status) return status;
  std::vector<std::byte> bytes(slab.count * element_bytes);
  if (auto status = from.read_slab(slab, bytes); !status) return status;
  return bytes;
}

void add(std::vector<ByteRange>& ranges, std::uint64_t element) {
  if (!ranges.empty() && ranges.back().last == element) {
    ++ranges.back().last;
  } else {
    ranges.push_back({element, element + 1});
  }
}

std::vector<ByteRange> differences(const std::vector<std::byte>& before,
                                   const std::vector<std::byte>& after, std::uint64_t size) {
  constexpr std::uint64_t stretch = 4096;  // compared at once
  std::vector<ByteRange> ranges;
  const std::uint64_t common = std::min(before.size(), after.size()) / size;
  for (std::uint64_t first = 0; first < common; first += stretch) {
    const std::uint64_t last = std::min(first + stretch, common);
    if (std::memcmp(&before[first * size], &after[first * size], (last - first) * size) == 0) {
      continue;
    }
    for (std::uint64_t i = first; i < last; ++i) {
      if (std::memcmp(&before[i * size], &after[i * size], size) != 0) add(ranges, i);
    }
  }
  const std::uint64_t count = after.size() / size;
  if (common < count && !ranges.empty() && ranges.back().last == common) {
    ranges.back().last = count;
  } else if (common < count) {
    ranges.push_back({common, count});
  }
  return ranges;
}

Status compare(const StateReader& before, std::size_t in_before, const StateReader& after,
               std::size_t in_after, EntryDiff& diff) {
  for (int rank = 0; rank < after.ranks(); ++rank) {
    const SlabInfo old_slab = before.slabs(rank)[in_before];
    const SlabInfo new_slab = after.slabs(rank)[in_after];
    const auto old_bytes = read(before, old_slab, diff.entry.element_bytes);
    if (!old_bytes) return old_bytes.status();
    const auto new_bytes = read(after, new_slab, diff.entry.element_bytes);
    if (!new_bytes) return new_bytes.status();
    auto ranges = differences(*old_bytes, *new_bytes, diff.entry.element_bytes);
    if (ranges.empty() && old_slab.count == new_slab.count) continue;
    diff.slabs.push_back({rank, old_slab.count, new_slab.count, std::move(ranges)});
  }
  return {};
}

}  // namespace

Result<std::vector<EntryDiff>> diff_epochs(const StateReader& before, const StateReader& after) {
  if (before.ranks() != after.ranks()) {
    return Status{
        Code::invalid_argument,
        fmt::format("epoch {} has {} ranks and epoch {} has {}: they can't be compared",
                    before.info().epoch, before.ranks(), after.info().epoch, after.ranks())};
  }
  std::vector<EntryDiff> diffs;
  for (std::size_t i = 0; i < after.entries().size(); ++i) {
    EntryDiff diff{after.entries()[i], EntryDiff::Kind::modified, {}};
    const auto known = find(before, diff.entry);
    if (!known) {
      diff.kind = EntryDiff::Kind::added;
    } else {
      if (auto status = compare(before, *known, after, i, diff); !status) return status;
      if (diff.slabs.empty()) continue;
    }
    diffs.push_back(std::move(diff));
  }
  for (const Entry& entry : before.entries()) {
    if (!find(after, entry)) diffs.push_back({entry, EntryDiff::Kind::deleted, {}});
  }
  return diffs;
}

}  // namespace cairn::io
