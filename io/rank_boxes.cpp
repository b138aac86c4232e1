#include "io/rank_boxes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace cairn::io {
namespace {

/// Whether the elements of `next` follow those of `box` when both are one box, in row-major order.
bool continues(const Box& box, const Box& next) {
  return box.offset[0] + box.shape[0] == next.offset[0] &&
         std::equal(box.offset.begin() + 1, box.offset.end(), next.offset.begin() + 1) &&
         std::equal(box.shape.begin() + 1, box.shape.end(), next.shape.begin() + 1);
}

}  // namespace

std::vector<std::uint64_t> RankBoxes::pack(const std::vector<Entry>& entries,
                                           const std::vector<Slab>& slabs, const NodeGroup& group) {
  std::vector<std::uint64_t> values;
  if (group.has_file()) values.push_back(group.number);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].global_shape.empty()) {
      values.insert(values.end(), slabs[i].offset.begin(), slabs[i].offset.end());
      values.insert(values.end(), slabs[i].shape.begin(), slabs[i].shape.end());
    } else if (group.has_file()) {
      values.push_back(slabs[i].count);
    }
  }
  return values;
}

RankBoxes::RankBoxes(const std::vector<Entry>& entries, const std::vector<std::uint64_t>& gathered,
                     std::size_t ranks, bool nodes)
    : entries_(entries), boxes_(entries.size()) {
  std::vector<std::uint64_t> starts(entries.size());
  auto next = gathered.begin();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (nodes) nodes_.push_back(*next++);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto dims = static_cast<std::ptrdiff_t>(entries[i].global_shape.size());
      if (dims != 0) {
        boxes_[i].push_back({{next, next + dims}, {next + dims, next + 2 * dims}});
        next += 2 * dims;
      } else if (nodes) {
        boxes_[i].push_back({{starts[i]}, {*next}});
        starts[i] += *next++;
      }
    }
  }
}

Status RankBoxes::check() const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].global_shape.empty()) continue;
    if (const auto overlap = find_overlap(boxes_[i])) {
      return {Code::invalid_argument,
              fmt::format("'{}' can't be saved: the parts of ranks {} and {} of its global shape "
                          "overlap; check the offsets that they are protected with",
                          entries_[i].name, overlap->first, overlap->second)};
    }
  }
  return {};
}

std::size_t RankBoxes::node_count() const {
  const auto highest = std::max_element(nodes_.begin(), nodes_.end());
  return highest == nodes_.end() ? 0 : *highest + 1;
}

std::vector<Mapping> RankBoxes::mappings(std::size_t entry) const {
  struct Node {
    std::uint64_t elements = 0;
    std::size_t last = 0;  // number of its last mapping
  };
  std::map<std::uint64_t, Node> nodes;
  std::vector<Mapping> mappings;
  for (std::size_t rank = 0; rank < nodes_.size(); ++rank) {
    const Box& box = boxes_[entry][rank];
    const std::uint64_t count = *volume(box.shape);
    if (count == 0) continue;
    const auto [found, first] = nodes.try_emplace(nodes_[rank]);
    Node& node = found->second;
    if (!first && continues(mappings[node.last].box, box)) {
      mappings[node.last].box.shape[0] += box.shape[0];
    } else {
      node.last = mappings.size();
      mappings.push_back({nodes_[rank], box, node.elements});
    }
    node.elements += count;
  }
  return mappings;
}

}  // namespace cairn::io
