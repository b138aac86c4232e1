#include <fmt/format.h>

#include <algorithm>

#include "commands.hpp"
#include "format.hpp"
#include "io/epoch_diff.hpp"

namespace cairn::command {
namespace {

using io::EntryDiff;
using io::SlabDiff;
using nlohmann::ordered_json;

constexpr std::size_t most_ranges = 8;  // that are shown of a rank

std::uint64_t elements_of(const SlabDiff& slab) {
  std::uint64_t elements = 0;
  for (const auto& range : slab.ranges) elements += range.last - range.first;
  return elements;
}

ordered_json to_json(const EntryDiff& diff) {
  auto slabs = ordered_json::array();
  for (const SlabDiff& slab : diff.slabs) {
    auto ranges = ordered_json::array();
    for (const auto& range : slab.ranges) ranges.push_back({range.first, range.last});
    slabs.push_back({{"rank", slab.rank},
                     {"count_before", slab.count_before},
                     {"count_after", slab.count_after},
                     {"ranges", ranges}});
  }
  const bool object = diff.entry.type == ElementType::serialized;
  return {{"name", diff.entry.name},
          {"is", object ? "object" : "region"},
          {"change", change_name(diff.kind)},
          {"ranks", slabs}};
}

std::string describe(const SlabDiff& slab, const char* unit) {
  std::string text = fmt::format("  rank {}: {} {} in {} range{}", slab.rank, elements_of(slab),
                                 unit, slab.ranges.size(), slab.ranges.size() == 1 ? "" : "s");
  for (std::size_t i = 0; i < std::min(slab.ranges.size(), most_ranges); ++i) {
    text += fmt::format("{}{}..{}", i == 0 ? ": " : ", ", slab.ranges[i].first,
                        slab.ranges[i].last - 1);
  }
  if (slab.ranges.size() > most_ranges) text += ", …";
  if (slab.count_before != slab.count_after) {
    text += fmt::format(" (from {} to {} {})", slab.count_before, slab.count_after, unit);
  }
  return text;
}

void print(const std::vector<EntryDiff>& diffs) {
  for (const EntryDiff& diff : diffs) {
    const bool object = diff.entry.type == ElementType::serialized;
    fmt::print("{} \"{}\": {}\n", object ? "object" : "region", diff.entry.name,
               change_name(diff.kind));
    for (const SlabDiff& slab : diff.slabs) {
      fmt::print("{}\n", describe(slab, object ? "bytes" : "elements"));
    }
  }
}

}  // namespace

int diff(const io::Store& store, std::uint64_t before, std::uint64_t after, bool json) {
  const auto first = io::StateReader::open(store.epoch_path(before));
  if (!first) return report(first.status());
  const auto second = io::StateReader::open(store.epoch_path(after));
  if (!second) return report(second.status());
  const auto diffs = io::diff_epochs(*first, *second);
  if (!diffs) return report(diffs.status());
  if (json) {
    auto entries = ordered_json::array();
    for (const EntryDiff& one : *diffs) entries.push_back(to_json(one));
    print_json({{"before", before}, {"after", after}, {"entries", entries}});
  } else if (diffs->empty()) {
    fmt::print("epochs {} and {} have the same data\n", before, after);
  } else {
    print(*diffs);
  }
  return good;
}

}  // namespace cairn::command
