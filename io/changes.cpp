#include "io/changes.hpp"

#include <algorithm>

namespace cairn::io {

void add_changes(Changes& changes, std::size_t entry, std::uint64_t first, std::uint64_t last,
                 const std::byte* data) {
  while (first < last) {
    const std::uint64_t end = std::min(last, (first / change_bytes + 1) * change_bytes);
    changes.push_back({static_cast<std::uint32_t>(entry), first, end - first, data, end - first});
    data += end - first;
    first = end;
  }
}

Changes everything(const std::vector<Entry>& entries, const std::vector<Slab>& slabs) {
  Changes changes;
  for (std::size_t i = 0; i < slabs.size(); ++i) {
    add_changes(changes, i, 0, slabs[i].count * entries[i].element_bytes, slabs[i].data);
  }
  return changes;
}

std::uint64_t changed_bytes(const Changes& changes) {
  std::uint64_t bytes = 0;
  for (const Change& change : changes) bytes += change.bytes;
  return bytes;
}

std::uint64_t stored_bytes(const Changes& changes) {
  std::uint64_t bytes = 0;
  for (const Change& change : changes) bytes += change.stored_bytes;
  return bytes;
}

}  // namespace cairn::io
