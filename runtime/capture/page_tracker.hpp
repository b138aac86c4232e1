// Which pages of the program's memory have been written to.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <cairn/status.hpp>

#include "runtime/capture/byte_ranges.hpp"

namespace cairn::capture {

/// Has the kernel note the first write to each page: asynchronous write protection by userfaultfd,
/// read and renewed with the ioctl PAGEMAP_SCAN. No privilege and no signal handler is needed, and
/// writes by the kernel (read(2)) and by other processes (process_vm_writev) are seen as well.
///
/// What is watched: the whole pages of private anonymous memory, that is heap, stack, .bss, private
/// anonymous mappings. Pages of which only a part belongs to the memory, at its two ends, always
/// count as changed: a neighbour that is watched as well would take their changes away. So this is
/// for memory of many pages; of less than one whole page everything always counts as changed.
///
/// What is not seen, because it does not go through this process's page tables: devices that write
/// into pinned memory (see device_writes.hpp), and input that has begun before changed() and ends
/// after it (O_DIRECT with aio, io_uring; registered buffers of io_uring at any time).
///
/// Shared memory is refused, as others can write to it through mappings of their own; so are
/// mappings of files (.data too, whose clean pages follow the file) and hugetlbfs.
///
/// In transparent huge pages a write marks 4 KiB: the first one splits the huge page's mapping, and
/// the kernel doesn't put huge pages together again while they are watched. Memory that has not
/// been touched before watch() gets small pages only: watch memory after it has been filled.
///
/// Each watched region becomes a mapping of its own and so takes up to two of vm.max_map_count.
///
/// Measured on a virtual machine (x86-64, Linux 6.18), for 1 GiB in small pages: changed() 2 ms
/// when nothing has been written to, 2.4 ms for 1 % of the pages, 8 to 12 ms for all; in huge pages
/// that are still whole 0.05 ms. watch() 55 ms, of huge pages 0.05 ms. The first write to a watched
/// page takes 1.3 to 1.9 us (unwatched: 0.06), the first to a huge page 20 us; that is 0.3 to 0.5 s
/// of the program's own time per GiB when everything is written to between two calls, more than the
/// 0.2 s that BlockHashes takes in another thread.
///
/// All calls are local, by one thread at a time; other threads may write to the memory meanwhile.
/// The child of a fork() can't use its parent's tracker: not_found, or unsupported.
class PageTracker {
 public:
  /// unsupported: the kernel or its settings don't allow it; the message names what is missing.
  /// Proves with scratch memory that it really works. Needs Linux 6.11: before it there is no quick
  /// way to tell what kind of memory an address is, and 6.7 and 6.8 could miss writes to memory
  /// that is swapped out.
  static Result<PageTracker> open();
  PageTracker(PageTracker&& other) noexcept;
  PageTracker& operator=(PageTracker&& other) noexcept;
  /// Forgets everything.
  ~PageTracker();

  /// From now on changed() knows what is written to `memory`; all of it counts as unchanged.
  /// unsupported, and nothing is done: not memory that can be watched; the program itself has
  /// registered it with a userfaultfd; pages of it are watched already; too many regions.
  Status watch(std::span<std::byte> memory);

  /// Whether watching it would make small pages of it. Programs that read here and there were
  /// measured to need 1.7 times as long then; those that go through it in order, as long as before.
  bool mostly_in_huge_pages(std::span<std::byte> memory);

  /// No more cost for writes to what watch() was told. Also when it is not watched, or has been
  /// unmapped meanwhile.
  void forget(std::span<std::byte> memory);

  /// What has been written to since watch() or the last call, relative to memory.data(), cut at
  /// page boundaries and clipped to the memory. Watched again atomically: a write during the call
  /// is in this answer or in the next. Memory that has become zero by madvise(MADV_DONTNEED) is
  /// changed. not_found: some of it is not watched any more (unmapped, mapped anew, moved by
  /// mremap) or never was: all counts as changed, and forget() and watch() begin again.
  Result<ByteRanges> changed(std::span<std::byte> memory);

 private:
  struct Kernel;
  explicit PageTracker(std::unique_ptr<Kernel> kernel);
  Status prove();
  bool kernel_reports_holes();

  std::unique_ptr<Kernel> kernel_;
};

}  // namespace cairn::capture
