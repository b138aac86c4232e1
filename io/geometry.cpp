#include "io/geometry.hpp"

#include <algorithm>
#include <utility>

namespace cairn::io {

std::optional<std::uint64_t> volume(std::span<const std::uint64_t> shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::uint64_t product = 1;
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(product, extent, &product)) return std::nullopt;
  }
  return product;
}

Pieces::Pieces(std::vector<std::uint64_t> offset, std::vector<std::uint64_t> shape,
               std::uint64_t element_bytes, std::uint64_t limit_bytes)
    : offset_(std::move(offset)), shape_(std::move(shape)) {
  if (shape_.empty() || volume(shape_).value_or(0) == 0) return;
  const std::uint64_t limit = std::max<std::uint64_t>(1, limit_bytes / element_bytes);
  cut_ = shape_.size() - 1;
  while (cut_ > 0 && row_ * shape_[cut_] <= limit) row_ *= shape_[cut_--];
  rows_ = std::min(std::max<std::uint64_t>(1, limit / row_), shape_[cut_]);
  cuts_ = (shape_[cut_] + rows_ - 1) / rows_;
  size_ = *volume(std::span{shape_}.first(cut_)) * cuts_;
}

Piece Pieces::operator[](std::uint64_t i) const {
  Piece piece{offset_, shape_, 0, 0};
  std::uint64_t outer = i / cuts_;
  const std::uint64_t start = i % cuts_ * rows_;
  piece.first = (outer * shape_[cut_] + start) * row_;
  piece.shape[cut_] = std::min(rows_, shape_[cut_] - start);
  piece.offset[cut_] += start;
  piece.count = piece.shape[cut_] * row_;
  for (std::size_t d = cut_; d-- > 0;) {
    piece.offset[d] += outer % shape_[d];
    piece.shape[d] = 1;
    outer /= shape_[d];
  }
  return piece;
}

std::uint64_t linear_index(std::span<const std::uint64_t> global,
                           std::span<const std::uint64_t> offset) {
  std::uint64_t index = 0;
  for (std::size_t d = 0; d < global.size(); ++d) index = index * global[d] + offset[d];
  return index;
}

std::uint64_t contiguous_run(std::span<const std::uint64_t> global,
                             std::span<const std::uint64_t> shape) {
  std::uint64_t run = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    run *= shape[d];
    if (shape[d] != global[d]) break;
  }
  return run;
}

bool inside(std::span<const std::uint64_t> global, std::span<const std::uint64_t> offset,
            std::span<const std::uint64_t> shape) {
  if (offset.size() != global.size() || shape.size() != global.size()) return false;
  for (std::size_t d = 0; d < global.size(); ++d) {
    if (offset[d] > global[d] || shape[d] > global[d] - offset[d]) return false;
  }
  return true;
}

namespace {

bool share_elements(const Box& a, const Box& b) {
  for (std::size_t d = 0; d < a.shape.size(); ++d) {
    if (a.offset[d] + a.shape[d] <= b.offset[d] || b.offset[d] + b.shape[d] <= a.offset[d]) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::optional<std::pair<std::size_t, std::size_t>> find_overlap(const std::vector<Box>& boxes) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    if (volume(boxes[i].shape).value_or(1) > 0) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return boxes[a].offset[0] < boxes[b].offset[0]; });
  std::vector<std::size_t> open;  // boxes that reach into the present slowest index
  for (const std::size_t next : order) {
    std::erase_if(open, [&](std::size_t i) {
      return boxes[i].offset[0] + boxes[i].shape[0] <= boxes[next].offset[0];
    });
    for (const std::size_t i : open) {
      if (share_elements(boxes[i], boxes[next])) return std::minmax(i, next);
    }
    open.push_back(next);
  }
  return std::nullopt;
}

}  // namespace cairn::io
