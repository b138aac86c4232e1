#include "io/state_file.hpp"

#include <fcntl.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <span>

#include "io/files.hpp"
#include "io/space.hpp"

namespace cairn::io {
namespace {

/// Where the datasets begin, and where each ends.
std::map<std::uint64_t, std::uint64_t> data_ranges(const StateImage& image) {
  std::map<std::uint64_t, std::uint64_t> ranges;
  for (const auto& [path, extent] : image.datasets) {
    if (extent.bytes > 0) ranges[extent.offset] = extent.offset + extent.bytes;
  }
  return ranges;
}

/// Writes those of the file's bytes [offset, offset + bytes.size()) that are in none of `ranges`.
Status write_between(const File& file, std::uint64_t offset, std::span<const std::byte> bytes,
                     const std::map<std::uint64_t, std::uint64_t>& ranges) {
  const std::uint64_t end = offset + bytes.size();
  for (std::uint64_t at = offset; at < end;) {
    const auto next = ranges.upper_bound(at);
    if (next != ranges.begin() && std::prev(next)->second > at) {
      at = std::prev(next)->second;
      continue;
    }
    const std::uint64_t until = next == ranges.end() ? end : std::min(end, next->first);
    const auto part = bytes.subspan(at - offset, until - at);
    if (auto status = file.write_at(at, part); !status) return status;
    at = until;
  }
  return {};
}

}  // namespace

Status create_state_file(const std::filesystem::path& path, std::uint64_t bytes) {
  auto file = File::open(path, O_RDWR | O_CREAT | O_EXCL);
  if (!file) return file.status();
  if (auto status = reserve_space(*file, bytes, 0); !status) return status;
  return file->close();
}

Status complete_state_file(const std::filesystem::path& path, const StateImage& image,
                           std::uint64_t reserved_bytes) {
  auto file = File::open(path, O_RDWR);
  if (!file) return file.status();
  const std::uint64_t size = image.file.size();
  if (auto status = reserve_space(*file, size, reserved_bytes); !status) return status;
  const auto ranges = data_ranges(image);
  for (const auto& [number, page] : image.file.pages()) {
    const std::uint64_t offset = number * MemoryFile::page_bytes;
    if (offset >= size) continue;
    const auto bytes = std::span{page}.first(std::min<std::uint64_t>(page.size(), size - offset));
    if (auto status = write_between(*file, offset, bytes, ranges); !status) return status;
  }
  return file->close();
}

}  // namespace cairn::io
