#include "io/part_writing.hpp"

#include <algorithm>

#include "base/checksum.hpp"
#include "base/crash_point.hpp"
#include "io/geometry.hpp"
#include "io/slab_bytes.hpp"

namespace cairn::io {
namespace {

std::span<const std::byte> bytes_of(const Part& part) {
  return {part.data, *volume(part.shape) * part.element_bytes};
}

std::span<const std::byte> block_of(std::span<const std::byte> bytes, std::uint64_t first) {
  return bytes.subspan(first, std::min<std::uint64_t>(block_bytes, bytes.size() - first));
}

}  // namespace

void sum_blocks(const Part& part, std::span<BlockRow> blocks) {
  for (BlockRow& block : blocks) {
    block.checksum = checksum(block_of(bytes_of(part), block.block * block_bytes));
  }
}

Status write_part(BulkWriter& writer, const Part& part, std::span<BlockRow> blocks,
                  const std::stop_token& cancelled) {
  const auto bytes = bytes_of(part);
  if (bytes.empty()) return {};
  const SlabBytes slab{part.file_offset, part.element_bytes, part.global, part.offset, part.shape};
  for (std::uint64_t first = 0; first < bytes.size(); first += block_bytes) {
    if (cancelled.stop_requested()) return {};
    const auto block = block_of(bytes, first);
    if (!blocks.empty()) blocks[first / block_bytes].checksum = checksum(block);
    const auto write = [&](std::uint64_t position, std::span<const std::byte> run) {
      return writer.write(position, run);
    };
    if (auto status = slab.write(first, block, write); !status) return status;
  }
  return {};
}

Status write_changes(BulkWriter& writer, std::uint64_t offset, const Changes& changes,
                     std::span<ChangeRow> rows, const std::stop_token& cancelled) {
  // What is contiguous in memory is written at once: a change may be no more than a page.
  std::span<const std::byte> stretch;
  const auto flush = [&]() -> Status {
    Status status = writer.write(offset, stretch);
    offset += stretch.size();
    return status;
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (cancelled.stop_requested()) return {};
    if (i == changes.size() / 2) crash_point("half_written");
    const std::span bytes{changes[i].data, changes[i].stored_bytes};
    rows[i].checksum = checksum(bytes);
    if (stretch.data() + stretch.size() == bytes.data() && stretch.size() < block_bytes) {
      stretch = {stretch.data(), stretch.size() + bytes.size()};
      continue;
    }
    if (auto status = flush(); !status) return status;
    stretch = bytes;
  }
  return flush();
}

std::vector<std::byte> pack_changes(const Changes& changes, std::span<ChangeRow> rows) {
  std::vector<std::byte> packed;
  packed.reserve(stored_bytes(changes));
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const std::span bytes{changes[i].data, changes[i].stored_bytes};
    rows[i].checksum = checksum(bytes);
    packed.insert(packed.end(), bytes.begin(), bytes.end());
  }
  return packed;
}

Status write_payload(BulkWriter& writer, std::uint64_t offset, const std::vector<Message>& messages,
                     std::span<MessageRow> rows) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    rows[i].checksum = checksum(messages[i].bytes);
    if (auto status = writer.write(offset, messages[i].bytes); !status) return status;
    offset += messages[i].bytes.size();
  }
  return {};
}

}  // namespace cairn::io
