#include "runtime/capture/staging.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stop_token>

#include "runtime/capture/available_memory.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace cairn::capture {
namespace {

constexpr double mib = 1 << 20;
constexpr std::uint64_t huge_page_bytes = std::uint64_t{2} << 20;
// Between two looks at whether it should stop.
constexpr std::uint64_t ahead_bytes = std::uint64_t{1} << 20;
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

/// The program may free its memory meanwhile: then this is false, and nothing worse happens.
bool read_memory(const CopyPiece& piece) {
  const iovec to{piece.to, piece.bytes};
  const iovec from{const_cast<std::byte*>(piece.from), piece.bytes};
  return ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) == static_cast<ssize_t>(piece.bytes);
}

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
  end_ahead(false);
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
  end_ahead(false);
  thread_.reset();
  void* memory = memory_ == nullptr ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                    : ::mremap(memory_, mapped_bytes_, bytes, MREMAP_MAYMOVE);
  if (memory == MAP_FAILED) return no_memory(bytes, std::strerror(errno));
  std::byte* added = static_cast<std::byte*>(memory) + mapped_bytes_;
  const std::uint64_t added_bytes = bytes - mapped_bytes_;
  memory_ = static_cast<std::byte*>(memory);
  next_ = memory_;
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

std::byte* Staging::place(std::uint64_t bytes) {
  std::byte* at = next_;
  next_ += staged_size(bytes);
  return at;
}

void Staging::copy_ahead(const Capture& capture) {
  end_ahead(false);
  if (staged_bytes(capture) > mapped_bytes_) return;
  for (std::size_t i = 0; i < capture.slabs.size(); ++i) {
    const Selection& selection = capture.selected[i];
    for (std::size_t r = 0; r < selection.ranges.size(); ++r) {
      const std::uint64_t bytes = selection.ranges[r].last - selection.ranges[r].first;
      std::byte* to = place(bytes);
      if (bytes == capture.memory[i].size()) ahead_copies_.add_whole(capture.memory[i], to);
      for (std::uint64_t at = 0; at < bytes; at += ahead_bytes) {
        ahead_.push_back(
            {selection.data[r] + at, std::min(ahead_bytes, bytes - at), to + at, false});
      }
    }
  }
  copier_.post([this](const std::stop_token& cancelled) {
    for (CopyPiece& piece : ahead_) {
      if (cancelled.stop_requested()) break;
      piece.copied = read_memory(piece);
    }
    return Status{};
  });
}

/// `keep`: what has been copied is of use.
void Staging::end_ahead(bool keep) {
  copier_.cancel();
  while (!copier_.idle()) copier_.wait(std::chrono::milliseconds{10});
  if (keep) {
    for (const CopyPiece& piece : ahead_) ahead_copies_.add(piece);
  } else {
    ahead_copies_.clear();
    next_ = memory_;
  }
  ahead_.clear();
}

/// How a slab comes into the copy; one piece after another, if it is whole.
std::vector<CopyPiece> Staging::plan(const Capture& capture, std::size_t i) const {
  const std::span<const std::byte> memory = capture.memory[i];
  const bool ahead = !capture.selected.empty() && capture.selected[i].ahead;
  if (!is_whole(capture, i)) {
    const Selection& selection = capture.selected[i];
    return (ahead ? ahead_copies_ : AheadCopies{})
        .pieces(memory, selection.ranges, selection.fresh);
  }
  if (memory.empty()) return {};
  const ByteRanges all{{0, memory.size()}};
  if (!ahead || ahead_copies_.whole(memory) == nullptr)
    return AheadCopies{}.pieces(memory, all, {});
  return ahead_copies_.pieces(memory, all, capture.selected[i].fresh);
}

Status Staging::copy(Capture& capture) {
  end_ahead(true);
  std::vector<std::vector<CopyPiece>> plans(capture.slabs.size());
  std::uint64_t room = 0;
  for (int attempt = 0; attempt < 2; ++attempt) {
    room = 0;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (!is_region(capture.entries[i])) continue;
      plans[i] = plan(capture, i);
      for (const CopyPiece& piece : plans[i]) {
        if (piece.to == nullptr) room += staged_size(piece.bytes);
      }
    }
    if (room <= mapped_bytes_ - static_cast<std::uint64_t>(next_ - memory_)) break;
    end_ahead(false);  // it is in the way
  }
  if (room > mapped_bytes_) {
    return no_memory(room, fmt::format("{:.1f} MiB are reserved", mapped_bytes_ / mib));
  }
  StreamCopy copies;
  for (std::size_t i = 0; i < plans.size(); ++i) copy_slab(plans[i], capture, i, copies);
  copies.finish();
  end_ahead(false);
  return {};
}

void Staging::copy_slab(std::vector<CopyPiece>& pieces, Capture& capture, std::size_t i,
                        StreamCopy& copies) {
  for (CopyPiece& piece : pieces) {
    if (piece.copied) continue;
    if (piece.to == nullptr) piece.to = place(piece.bytes);
    copies.add(piece.to, piece.from, piece.bytes);
  }
  if (is_whole(capture, i)) {
    if (!pieces.empty()) capture.slabs[i].data = pieces.front().to;
    return;
  }
  Selection& selection = capture.selected[i];
  selection.ranges.clear();
  selection.data.clear();
  for (const CopyPiece& piece : pieces) {
    const auto first = static_cast<std::uint64_t>(piece.from - capture.memory[i].data());
    selection.ranges.push_back({first, first + piece.bytes});
    selection.data.push_back(piece.to);
  }
}

}  // namespace cairn::capture
