// Shapes and boxes of row-major arrays.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace cairn::io {

/// Product of `shape`; nothing when it does not fit. 1 for an empty shape.
std::optional<std::uint64_t> volume(std::span<const std::uint64_t> shape);

/// A part of a slab that is contiguous in the rank's memory and a box in the dataset.
struct Piece {
  std::vector<std::uint64_t> offset, shape;  ///< in the dataset
  std::uint64_t first = 0;                   ///< first element within the slab
  std::uint64_t count = 0;
};

/// Cuts a slab into pieces of at most `limit_bytes` (or one element).
class Pieces {
 public:
  Pieces(std::vector<std::uint64_t> offset, std::vector<std::uint64_t> shape,
         std::uint64_t element_bytes, std::uint64_t limit_bytes);
  std::uint64_t size() const { return size_; }
  Piece operator[](std::uint64_t i) const;

 private:
  std::vector<std::uint64_t> offset_, shape_;
  std::size_t cut_ = 0;     // the dimension that is cut; slower ones are walked, faster ones whole
  std::uint64_t row_ = 1;   // elements of one index of dimension cut_
  std::uint64_t rows_ = 1;  // indices of dimension cut_ in a piece
  std::uint64_t cuts_ = 0;  // pieces along dimension cut_
  std::uint64_t size_ = 0;
};

/// Number of the element at `offset` in a row-major array of shape `global`.
std::uint64_t linear_index(std::span<const std::uint64_t> global,
                           std::span<const std::uint64_t> offset);

/// Trailing elements that are contiguous in a dataset of shape `global` for a slab of shape
/// `shape`.
std::uint64_t contiguous_run(std::span<const std::uint64_t> global,
                             std::span<const std::uint64_t> shape);

/// One rank's part of a dataset.
struct Box {
  std::vector<std::uint64_t> offset, shape;
};
/// Numbers of two boxes that have an element in common; nothing when there are none. For n boxes
/// O(n log n) and as many comparisons as there are pairs that overlap in the slowest dimension.
std::optional<std::pair<std::size_t, std::size_t>> find_overlap(const std::vector<Box>& boxes);

/// True when the slab lies within the dataset.
bool inside(std::span<const std::uint64_t> global, std::span<const std::uint64_t> offset,
            std::span<const std::uint64_t> shape);

}  // namespace cairn::io
