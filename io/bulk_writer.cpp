#include "io/bulk_writer.hpp"

#include <fcntl.h>

#include <algorithm>
#include <utility>

namespace cairn::io {
namespace {

// A file's writers take turns: none holds it for longer than it takes to copy this much.
constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20;
constexpr std::uint64_t start_disk_bytes = std::uint64_t{2} << 20;
// The end of a stretch stays behind: it would be written twice if the next one begins there.
constexpr std::uint64_t page_bytes = 4096;

}  // namespace

Result<BulkWriter> BulkWriter::open(const std::filesystem::path& path) {
  auto file = File::open(path, O_WRONLY);
  if (!file) return file.status();
  return BulkWriter{std::move(*file)};
}

Status BulkWriter::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t part = std::min<std::uint64_t>(bytes.size(), piece_bytes);
    if (auto status = file_.write_at(offset, bytes.first(part)); !status) return status;
    wrote(offset, part);
    offset += part;
    bytes = bytes.subspan(part);
  }
  return {};
}

void BulkWriter::wrote(std::uint64_t offset, std::uint64_t bytes) {
  written_bytes_ += bytes;
  if (offset != end_) begin_ = offset;
  end_ = offset + bytes;
  const std::uint64_t whole = end_ / page_bytes * page_bytes;
  if (whole < begin_ + start_disk_bytes) return;
  file_.start_disk(begin_, whole - begin_);
  begin_ = whole;
}

}  // namespace cairn::io
