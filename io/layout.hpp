// The objects in state.h5 and in the nodes' files: which there are, their types and sizes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <cairn/status.hpp>

#include "io/memory_file.hpp"
#include "io/rank_boxes.hpp"
#include "io/rank_rows.hpp"
#include "io/records.hpp"
#include "io/state_index.hpp"
#include "io/tables.hpp"

namespace cairn::io {

/// Datasets of this size or more begin at a multiple of alignment_bytes, so that ranks that write
/// different datasets do not share stripes; smaller ones are packed, so that a small checkpoint
/// stays small.
inline constexpr std::uint64_t aligned_from_bytes = std::uint64_t{16} << 20;
inline constexpr std::uint64_t alignment_bytes = std::uint64_t{1} << 20;

/// Where HDF5 puts everything.
struct StateImage {
  MemoryFile file;  ///< all metadata, and the size of the file
  // Offsets of the datasets in the file; 0 for empty ones.
  std::vector<std::uint64_t> entry_offsets;
  std::array<std::uint64_t, table_count> table_offsets{};
  std::uint64_t payload_offset = 0;
  Datasets datasets;  ///< all of them
};

/// Where the data is: in state.h5, or in a file for each node, of which state.h5 has virtual
/// datasets.
enum class DataPlace { state, nodes };

/// Sizes of everything, summed over the ranks.
class Layout {
 public:
  /// `stored`: the entries that have datasets of their own, or changes_entry() alone. `described`:
  /// how many entries there are. `stored` stays where it is.
  Layout(const std::vector<Entry>& stored, std::size_t described, const Amounts& totals,
         DataPlace place = DataPlace::state);

  std::uint64_t rows(TableId table) const { return rows_[table]; }
  std::uint64_t payload_bytes() const { return payload_bytes_; }
  /// Shape of a stored entry's dataset.
  const std::vector<std::uint64_t>& shape(std::size_t entry) const { return shapes_[entry]; }

  enum class Content { data, everything };
  /// Lets HDF5 make the whole file but its data, in memory. io_error when HDF5 refuses. Local.
  /// `data`: only the entries. They come first, so they are at the same places in the whole file:
  /// their places are known before the sizes of the tables are.
  /// `boxes` is needed for `everything` when the data is in the nodes' files.
  Result<StateImage> make_image(const EpochInfo& info, Content content,
                                const RankBoxes* boxes = nullptr) const;

 private:
  const std::vector<Entry>& stored_;
  std::vector<std::vector<std::uint64_t>> shapes_;
  std::array<std::uint64_t, table_count> rows_{};
  std::uint64_t payload_bytes_ = 0;
  DataPlace place_;
};

/// The same for the file of a node: the entries as 1-D datasets of so many elements, in which the
/// slabs of the node's ranks follow one another.
Result<StateImage> make_node_image(const EpochInfo& info, std::uint64_t node,
                                   const std::vector<Entry>& stored,
                                   const std::vector<std::uint64_t>& elements);

}  // namespace cairn::io
