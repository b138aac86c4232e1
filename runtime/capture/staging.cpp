#include "runtime/capture/staging.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <stop_token>

#include "runtime/capture/available_memory.hpp"
#include "runtime/capture/stream_copy.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace cairn::capture {
namespace {

constexpr double mib = 1 << 20;
constexpr std::uint64_t huge_page_bytes = std::uint64_t{2} << 20;
// Between two looks at whether it should stop.
constexpr std::uint64_t populate_bytes = std::uint64_t{64} << 20;

/// Without changing what is there: the program may be copying into it already.
void touch(std::byte* memory, std::uint64_t bytes) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (std::uint64_t at = 0; at < bytes; at += page) {
    std::atomic_ref{reinterpret_cast<unsigned char&>(memory[at])}.fetch_or(0);
  }
}

Status fault_in(std::byte* memory, std::uint64_t bytes, const std::stop_token& cancelled) {
  for (std::uint64_t at = 0; at < bytes && !cancelled.stop_requested(); at += populate_bytes) {
    const std::uint64_t part = std::min(populate_bytes, bytes - at);
    if (::madvise(memory + at, part, MADV_POPULATE_WRITE) == 0) continue;
    if (errno != EINVAL) return {};  // the copy will fault it in, or not be made
    touch(memory + at, part);        // an older kernel
  }
  return {};
}

Status no_memory(std::uint64_t bytes, std::string_view why) {
  return {Code::busy, fmt::format("no memory for a copy of {:.1f} MiB: {}", bytes / mib, why)};
}

bool is_region(const io::Entry& entry) { return entry.type != ElementType::serialized; }

bool is_whole(const Capture& capture, std::size_t i) {
  return capture.selected.empty() || capture.selected[i].whole;
}

}  // namespace

std::uint64_t staged_bytes(const Capture& capture) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < capture.slabs.size(); ++i) {
    if (!is_region(capture.entries[i])) continue;
    if (is_whole(capture, i)) {
      bytes += staged_size(capture.slabs[i].count * capture.entries[i].element_bytes);
      continue;
    }
    for (const ByteRange& range : capture.selected[i].ranges) {
      bytes += staged_size(range.last - range.first);
    }
  }
  return bytes;
}

Staging::~Staging() {
  thread_.reset();
  if (memory_ != nullptr) ::munmap(memory_, mapped_bytes_);
}

Status Staging::reserve(std::uint64_t bytes) {
  if (bytes <= mapped_bytes_) return {};
  if (bytes > limit_bytes_) {
    return no_memory(bytes, fmt::format("the limit is {:.1f} MiB", limit_bytes_ / mib));
  }
  // A tenth of what is left stays free.
  const auto available = available_memory();
  const std::uint64_t more = bytes - mapped_bytes_;
  if (available && more > *available / 10 * 9 / static_cast<unsigned>(sharers_)) {
    return no_memory(bytes, fmt::format("{:.1f} MiB are left on this node, for {} processes",
                                        *available / mib, sharers_));
  }
  return grow((bytes + huge_page_bytes - 1) / huge_page_bytes * huge_page_bytes);
}

Status Staging::grow(std::uint64_t bytes) {
  thread_.reset();
  void* memory = memory_ == nullptr ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                    : ::mremap(memory_, mapped_bytes_, bytes, MREMAP_MAYMOVE);
  if (memory == MAP_FAILED) return no_memory(bytes, std::strerror(errno));
  std::byte* added = static_cast<std::byte*>(memory) + mapped_bytes_;
  const std::uint64_t added_bytes = bytes - mapped_bytes_;
  memory_ = static_cast<std::byte*>(memory);
  mapped_bytes_ = bytes;
  ::madvise(added, added_bytes, MADV_HUGEPAGE);  // faulted in faster; where there are none, no harm
  ::madvise(memory_, bytes, MADV_DONTFORK);      // a child has no use for it
  thread_.emplace();
  thread_->post([added, added_bytes](const std::stop_token& cancelled) {
    return fault_in(added, added_bytes, cancelled);
  });
  return {};
}

bool Staging::ready() {
  if (thread_ && thread_->idle()) thread_.reset();
  return !thread_;
}

std::byte* Staging::copy_to(std::byte* next, const std::byte*& data, std::uint64_t bytes) {
  if (bytes == 0) return next;
  stream_copy(next, data, bytes);
  data = next;
  return next + staged_size(bytes);
}

Status Staging::copy(Capture& capture) {
  const std::uint64_t needed = staged_bytes(capture);
  if (needed > mapped_bytes_) {
    return no_memory(needed, fmt::format("{:.1f} MiB are reserved", mapped_bytes_ / mib));
  }
  std::byte* next = memory_;
  for (std::size_t i = 0; i < capture.slabs.size(); ++i) {
    if (!is_region(capture.entries[i])) continue;
    io::Slab& slab = capture.slabs[i];
    if (is_whole(capture, i)) {
      next = copy_to(next, slab.data, slab.count * capture.entries[i].element_bytes);
      continue;
    }
    Selection& selection = capture.selected[i];
    for (std::size_t r = 0; r < selection.ranges.size(); ++r) {
      const ByteRange range = selection.ranges[r];
      next = copy_to(next, selection.data[r], range.last - range.first);
    }
  }
  return {};
}

}  // namespace cairn::capture
