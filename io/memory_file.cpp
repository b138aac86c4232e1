#include "io/memory_file.hpp"

#include <algorithm>
#include <cstring>

namespace cairn::io {

void MemoryFile::write(std::uint64_t offset, const std::byte* data, std::size_t bytes) {
  while (bytes > 0) {
    const std::size_t within = offset % page_bytes;
    const std::size_t part = std::min(bytes, page_bytes - within);
    std::memcpy(&pages_[offset / page_bytes][within], data, part);  // a new page is zero
    offset += part;
    data += part;
    bytes -= part;
  }
}

void MemoryFile::read(std::uint64_t offset, std::byte* data, std::size_t bytes) const {
  while (bytes > 0) {
    const std::size_t within = offset % page_bytes;
    const std::size_t part = std::min(bytes, page_bytes - within);
    const auto page = pages_.find(offset / page_bytes);
    if (page == pages_.end()) {
      std::memset(data, 0, part);
    } else {
      std::memcpy(data, &page->second[within], part);
    }
    offset += part;
    data += part;
    bytes -= part;
  }
}

}  // namespace cairn::io
