// Memory for a copy of what is captured, so that the program can go on while it is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <cairn/status.hpp>

#include "base/background_thread.hpp"
#include "runtime/capture/ahead_copies.hpp"
#include "runtime/capture/registry.hpp"
#include "runtime/capture/stream_copy.hpp"

namespace cairn::capture {

/// Memory that a copy of what is selected takes.
std::uint64_t staged_bytes(const Capture& capture);

/// Kept from epoch to epoch, and faulted in beforehand by a thread of its own, so that a copy runs
/// at the speed of memory (see StreamCopy). All calls are local, quick but for the copying itself,
/// and made by one thread.
class Staging {
 public:
  /// At most `limit_bytes`. `sharers`: processes on this node that stage as well, this one
  /// included; each takes no more than its share of the memory that is left.
  Staging(std::uint64_t limit_bytes, int sharers) : limit_bytes_(limit_bytes), sharers_(sharers) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  /// Waits for the thread.
  ~Staging();

  /// Makes room for Registry::staged_bytes(), or for staged_bytes() of a capture. Quick when there
  /// is enough already; else the memory is faulted in in the background: as early as possible is
  /// best. The memory stays when a later call asks for less. Not while the last copy is in use.
  /// busy: no memory, one line that says why; what was there before stays.
  Status reserve(std::uint64_t bytes);
  std::uint64_t reserved_bytes() const { return mapped_bytes_; }
  /// False while memory is being faulted in: a copy would be slower, no more.
  bool ready();

  /// Begins to copy what is selected, which is ranges, in the background, while the program goes on
  /// and may change or free it. copy() takes of it what Selection::fresh leaves. Room as for
  /// copy().
  void copy_ahead(const Capture& capture);
  /// Those copies are of no use.
  void drop_ahead() { end_ahead(false); }

  /// Copies what is selected of the regions and has the capture point to the copies. Objects, which
  /// have memory of their own, stay where they are. The copies last until the next copy() or
  /// reserve(). busy: there is not enough room; the capture is as before.
  Status copy(Capture& capture);

 private:
  Status grow(std::uint64_t bytes);
  std::byte* place(std::uint64_t bytes);
  void end_ahead(bool keep);
  std::vector<CopyPiece> plan(const Capture& capture, std::size_t i) const;
  void copy_slab(std::vector<CopyPiece>& pieces, Capture& capture, std::size_t i,
                 StreamCopy& copies);

  std::uint64_t limit_bytes_;
  int sharers_;
  std::byte* memory_ = nullptr;
  std::uint64_t mapped_bytes_ = 0;
  std::optional<BackgroundThread> thread_;  // while there is something to fault in
  std::byte* next_ = nullptr;               // free memory
  std::vector<CopyPiece> ahead_;            // the copier's, while that is not idle
  AheadCopies ahead_copies_;
  BackgroundThread copier_;
};

}  // namespace cairn::capture
