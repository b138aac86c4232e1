#include "io/slab_bytes.hpp"

#include <algorithm>
#include <cstring>

#include "io/geometry.hpp"

namespace cairn::io {
namespace {

// Neighbouring runs are read with the gaps between them when that is cheaper than a system call
// for each.
constexpr std::uint64_t largest_gap_bytes = 4096;
constexpr std::uint64_t window_bytes = std::uint64_t{1} << 20;

}  // namespace

SlabBytes::SlabBytes(std::uint64_t dataset_offset, std::uint64_t element_bytes,
                     std::span<const std::uint64_t> global, std::span<const std::uint64_t> offset,
                     std::span<const std::uint64_t> shape)
    : run_bytes_(contiguous_run(global, shape) * element_bytes),
      origin_(dataset_offset + linear_index(global, offset) * element_bytes) {
  std::vector<std::uint64_t> strides(shape.size());
  std::uint64_t stride = element_bytes;
  for (std::size_t d = shape.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= global[d];
  }
  // The run takes the fastest dimensions up to and including the first that is not whole.
  std::size_t slow = shape.size();
  for (std::uint64_t run = element_bytes; slow > 0 && run < run_bytes_;) run *= shape[--slow];
  extents_.assign(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(slow));
  strides_.assign(strides.begin(), strides.begin() + static_cast<std::ptrdiff_t>(slow));
}

std::uint64_t SlabBytes::position(std::uint64_t run) const {
  std::uint64_t position = origin_;
  for (std::size_t d = extents_.size(); d-- > 0;) {
    position += run % extents_[d] * strides_[d];
    run /= extents_[d];
  }
  return position;
}

Status SlabBytes::read(const File& file, std::uint64_t first,
                       std::span<std::byte> destination) const {
  if (destination.empty()) return {};
  const std::uint64_t run = first / run_bytes_;
  const std::uint64_t within = first % run_bytes_;
  const std::uint64_t head = std::min<std::uint64_t>(run_bytes_ - within, destination.size());
  if (auto status = file.read_at(position(run) + within, destination.first(head)); !status) {
    return status;
  }
  return read_runs(file, first + head, destination.subspan(head));
}

/// As read(); `first` is the first byte of a run.
Status SlabBytes::read_runs(const File& file, std::uint64_t first,
                            std::span<std::byte> destination) const {
  std::vector<std::byte> window;
  for (std::uint64_t run = first / run_bytes_; !destination.empty();) {
    const std::uint64_t begin = position(run);
    // As many runs as lie close together.
    std::uint64_t runs = 1, bytes = std::min<std::uint64_t>(run_bytes_, destination.size());
    std::uint64_t end = begin + bytes;
    while (bytes < destination.size()) {
      const std::uint64_t next = position(run + runs);
      const std::uint64_t part = std::min(run_bytes_, destination.size() - bytes);
      if (next - end > largest_gap_bytes || next + part - begin > window_bytes) break;
      end = next + part;
      bytes += part;
      ++runs;
    }
    if (runs == 1) {
      if (auto status = file.read_at(begin, destination.first(bytes)); !status) return status;
    } else {
      window.resize(window_bytes);
      const std::span part{window.data(), end - begin};
      if (auto status = file.read_at(begin, part); !status) return status;
      for (std::uint64_t i = 0, done = 0; i < runs; ++i, done += run_bytes_) {
        std::memcpy(&destination[done], &window[position(run + i) - begin],
                    std::min(run_bytes_, bytes - done));
      }
    }
    destination = destination.subspan(bytes);
    run += runs;
  }
  return {};
}

}  // namespace cairn::io
