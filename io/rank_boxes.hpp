// What rank 0 knows of all ranks' slabs: where they are in the datasets, and in whose file.
#pragma once

#include <cstdint>
#include <vector>

#include <cairn/status.hpp>

#include "io/geometry.hpp"
#include "io/node_group.hpp"
#include "io/records.hpp"

namespace cairn::io {

/// Consecutive elements of a dataset in a node's file, which are a box of the whole dataset.
struct Mapping {
  std::uint64_t node = 0;
  Box box;
  std::uint64_t start = 0;  ///< of the first one in the node's file
};

class RankBoxes {
 public:
  /// What one rank tells rank 0: the same number of values on every rank. With a file for each
  /// node also what has no global shape. `entries`: all, and after them those that are stored, if
  /// these are others.
  static std::vector<std::uint64_t> pack(const std::vector<Entry>& entries,
                                         const std::vector<Slab>& slabs, const NodeGroup& group);

  /// `gathered`: every rank's pack(). `nodes`: whether each node has a file.
  RankBoxes(const std::vector<Entry>& entries, const std::vector<std::uint64_t>& gathered,
            std::size_t ranks, bool nodes);

  /// Two ranks that write the same element would leave a checkpoint that no restart accepts.
  Status check() const;

  std::size_t entries() const { return boxes_.size(); }
  std::uint64_t node(std::size_t rank) const { return nodes_[rank]; }
  std::size_t node_count() const;
  /// How an entry's dataset is made of the nodes' datasets: the slabs of a node's ranks one after
  /// another. Slabs that follow each other in both are one mapping. Those of a node are in order.
  std::vector<Mapping> mappings(std::size_t entry) const;

 private:
  const std::vector<Entry>& entries_;
  std::vector<std::uint64_t> nodes_;     // by rank; empty without files for them
  std::vector<std::vector<Box>> boxes_;  // by entry and rank; empty where nothing was told
};

}  // namespace cairn::io
