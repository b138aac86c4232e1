// What the writer thread does with one part: checksums and writing, in one pass over its memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include <cairn/status.hpp>

#include "io/bulk_writer.hpp"
#include "io/changes.hpp"
#include "io/part.hpp"
#include "io/tables.hpp"

namespace cairn::io {

/// Fills in the checksums of a slab's blocks.
void sum_blocks(const Part& part, std::span<BlockRow> blocks);

/// Writes a part block by block, and fills in the blocks' checksums while each is in the cache.
/// Stops between two blocks, with ok, when `cancelled`. `blocks` is empty for what has no checksums
/// there.
Status write_part(BulkWriter& writer, const Part& part, std::span<BlockRow> blocks,
                  const std::stop_token& cancelled);

/// Writes changes one after another from `offset` on and fills in the checksums of their rows.
/// Stops as write_part() does.
Status write_changes(BulkWriter& writer, std::uint64_t offset, const Changes& changes,
                     std::span<ChangeRow> rows, const std::stop_token& cancelled);
/// The same bytes in memory.
std::vector<std::byte> pack_changes(const Changes& changes, std::span<ChangeRow> rows);

/// Writes messages one after another from `offset` on and fills in the checksums of their rows.
Status write_payload(BulkWriter& writer, std::uint64_t offset, const std::vector<Message>& messages,
                     std::span<MessageRow> rows);

}  // namespace cairn::io
