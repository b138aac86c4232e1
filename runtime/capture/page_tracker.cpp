#include "runtime/capture/page_tracker.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/files.hpp"
#include "runtime/capture/page_tracking_abi.hpp"

namespace cairn::capture {
namespace {

using Address = std::uint64_t;

/// Addresses [first, last) of whole pages.
struct Pages {
  Address first = 0, last = 0;
  bool empty() const { return first >= last; }
  Address bytes() const { return last - first; }
};

Address page_bytes() {
  static const auto bytes = static_cast<Address>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

Address address_of(std::span<std::byte> memory) { return reinterpret_cast<Address>(memory.data()); }

/// Of which no byte belongs to anybody else.
Pages whole_pages(std::span<std::byte> memory) {
  const Address mask = ~(page_bytes() - 1);
  const Address begin = address_of(memory);
  return {(begin + page_bytes() - 1) & mask, (begin + memory.size()) & mask};
}

/// PAGEMAP_SCAN does not mind gaps between mappings; msync does, and MS_ASYNC does nothing else.
bool is_mapped(std::span<std::byte> pages) {
  return ::msync(pages.data(), pages.size(), MS_ASYNC) == 0;
}

Status unsupported(std::string_view what) {
  return {Code::unsupported, fmt::format("changed pages can't be tracked: {}", what)};
}

Status unsupported(std::string_view what, int error) {
  return unsupported(fmt::format("{}: {}", what, std::strerror(error)));
}

/// Half of the mappings that this process may have are left to the program.
std::size_t most_regions() {
  std::size_t most_mappings = 65530;  // the kernel's default
  std::ifstream{"/proc/sys/vm/max_map_count"} >> most_mappings;
  return most_mappings / 4;
}

}  // namespace

/// The kernel's interfaces, and what is watched.
struct PageTracker::Kernel {
  Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  ~Kernel();

  Status open();
  bool in_child() const { return ::getpid() != owner; }
  bool overlaps_watched(Pages pages) const;
  Status check_kind(Pages pages) const;
  Status protect(Pages pages);
  void unprotect(Pages pages) const;
  Status scan(Pages pages, std::uint64_t categories, std::uint64_t inverted, Address origin,
              ByteRanges& found, std::uint64_t flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC);

  io::File userfaultfd, pagemap, maps;
  pid_t owner = ::getpid();
  std::size_t most_watched = most_regions();
  bool reports_holes = false;          // page tables that were dropped, by itself
  std::map<Address, Address> watched;  ///< first and last of each
  std::vector<page_region> regions = std::vector<page_region>(4096);
};

// Others may hold the userfaultfd as well (children of a fork): closing it would not be enough.
PageTracker::Kernel::~Kernel() {
  if (in_child()) return;
  for (const auto& [first, last] : watched) unprotect({first, last});
}

Status PageTracker::Kernel::open() {
  // Only faults in user mode would be delivered: needs no privilege. None are delivered at all.
  const long descriptor = ::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  if (descriptor < 0) {
    return unsupported(
        "userfaultfd is refused (by the kernel's configuration, or a container's seccomp filter)",
        errno);
  }
  userfaultfd = io::File{static_cast<int>(descriptor), "userfaultfd"};
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED;
  if (::ioctl(userfaultfd.descriptor(), UFFDIO_API, &api) != 0) {
    return unsupported(
        "the kernel has no asynchronous write protection (Linux 6.7, x86-64 or arm64)", errno);
  }
  for (auto [file, path] :
       {std::pair{&pagemap, "/proc/self/pagemap"}, std::pair{&maps, "/proc/self/maps"}}) {
    auto opened = io::File::open(path, O_RDONLY);
    if (!opened) return unsupported(opened.status().message());
    *file = std::move(*opened);
  }
  return {};
}

bool PageTracker::Kernel::overlaps_watched(Pages pages) const {
  const auto next = watched.lower_bound(pages.last);
  return next != watched.begin() && std::prev(next)->second > pages.first;
}

Status PageTracker::Kernel::check_kind(Pages pages) const {
  for (Address address = pages.first; address < pages.last;) {
    procmap_query query{};
    query.size = sizeof query;
    query.query_addr = address;
    if (::ioctl(maps.descriptor(), PROCMAP_QUERY, &query) != 0) {
      if (errno == ENOENT) return unsupported("the memory is not mapped");
      return unsupported("the kernel has no PROCMAP_QUERY (Linux 6.11)", errno);
    }
    if ((query.vma_flags & PROCMAP_QUERY_VMA_SHARED) != 0) {
      return unsupported("shared memory, which others may write to");
    }
    if (query.inode != 0 || query.vma_page_size != page_bytes()) {
      return unsupported("a mapping of a file, or hugetlbfs");
    }
    address = query.vma_end;
  }
  return {};
}

Status PageTracker::Kernel::protect(Pages pages) {
  uffdio_register registration{};
  registration.range = {pages.first, pages.bytes()};
  registration.mode = UFFDIO_REGISTER_MODE_WP;
  if (::ioctl(userfaultfd.descriptor(), UFFDIO_REGISTER, &registration) != 0) {
    const int error = errno;
    if (error == EBUSY) return unsupported("the program has registered it with a userfaultfd");
    unprotect(pages);  // there may be several mappings, and only some registered
    return unsupported("userfaultfd does not take this memory (vm.max_map_count?)", error);
  }
  uffdio_writeprotect protection{};
  protection.range = registration.range;
  protection.mode = UFFDIO_WRITEPROTECT_MODE_WP;
  if (::ioctl(userfaultfd.descriptor(), UFFDIO_WRITEPROTECT, &protection) != 0) {
    const int error = errno;
    unprotect(pages);
    return unsupported("userfaultfd does not protect this memory", error);
  }
  return {};
}

// Errors: it has been unmapped, or mapped anew by something that has its own userfaultfd.
void PageTracker::Kernel::unprotect(Pages pages) const {
  uffdio_range range{pages.first, pages.bytes()};
  static_cast<void>(::ioctl(userfaultfd.descriptor(), UFFDIO_UNREGISTER, &range));
}

/// Pages that have all `categories`, those in `inverted` negated: protects them, unless `flags` say
/// otherwise, and appends them to `found`, as offsets from `origin`.
Status PageTracker::Kernel::scan(Pages pages, std::uint64_t categories, std::uint64_t inverted,
                                 Address origin, ByteRanges& found, std::uint64_t flags) {
  for (Address address = pages.first; address < pages.last;) {
    pm_scan_arg scan{};
    scan.size = sizeof scan;
    scan.flags = flags;
    scan.start = address;
    scan.end = pages.last;
    scan.vec = reinterpret_cast<std::uint64_t>(regions.data());
    scan.vec_len = regions.size();  // never 0: kernels of 2025 crashed
    scan.category_mask = categories;
    scan.category_inverted = inverted;
    scan.return_mask = categories;
    const int count = ::ioctl(pagemap.descriptor(), PAGEMAP_SCAN, &scan);
    if (count < 0) {
      return {Code::not_found, errno == EPERM
                                   ? "the memory is not watched any more: mapped anew"
                                   : std::string{"PAGEMAP_SCAN: "} + std::strerror(errno)};
    }
    for (const page_region& region : std::span{regions}.first(static_cast<std::size_t>(count))) {
      append(found, {region.start - origin, region.end - origin});
    }
    if (scan.walk_end <= address) return {Code::not_found, "PAGEMAP_SCAN makes no progress"};
    address = scan.walk_end;
  }
  return {};
}

// ---- PageTracker
// ---------------------------------------------------------------------------------

PageTracker::PageTracker(std::unique_ptr<Kernel> kernel) : kernel_(std::move(kernel)) {}
PageTracker::PageTracker(PageTracker&& other) noexcept = default;
PageTracker& PageTracker::operator=(PageTracker&& other) noexcept = default;
PageTracker::~PageTracker() = default;

Result<PageTracker> PageTracker::open() {
  auto kernel = std::make_unique<Kernel>();
  if (Status status = kernel->open(); !status) return status;
  PageTracker tracker{std::move(kernel)};
  if (Status status = tracker.prove(); !status) return status;
  tracker.kernel_->reports_holes = tracker.kernel_reports_holes();
  return tracker;
}

Status PageTracker::prove() {
  const auto page = static_cast<std::size_t>(page_bytes());
  const std::size_t bytes = 4 * page;
  void* const mapping =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return unsupported("no memory to try it with", errno);
  const std::span scratch{static_cast<std::byte*>(mapping), bytes};
  const auto write = [&](std::size_t number) {
    static_cast<volatile std::byte*>(mapping)[number * page] = std::byte{1};
  };
  const auto reports = [&](const ByteRanges& expected) {
    const auto found = changed(scratch);
    return found && *found == expected;
  };
  write(0);
  Status status = watch(scratch);
  if (status) {
    bool right = reports({});
    write(0);
    write(2);  // touched for the first time
    right = right && reports({{0, page}, {2 * page, 3 * page}}) && reports({});
    write(2);
    right = right && reports({{2 * page, 3 * page}});
    if (!right) status = unsupported("the kernel did not report writes to scratch memory rightly");
  }
  forget(scratch);
  ::munmap(mapping, bytes);
  return status;
}

/// Whether the kernel reports a page table that was dropped by itself.
bool PageTracker::kernel_reports_holes() {
  constexpr std::size_t table = std::size_t{2} << 20;  // memory of one page table, at least
  constexpr std::size_t bytes = 4 * table;
  void* const mapping =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return false;
  ::madvise(mapping, bytes, MADV_NOHUGEPAGE);
  const std::span scratch{static_cast<std::byte*>(mapping), bytes};
  for (std::size_t at = 0; at < bytes; at += static_cast<std::size_t>(page_bytes())) {
    static_cast<volatile std::byte*>(mapping)[at] = std::byte{1};
  }
  bool reported = false;
  if (watch(scratch)) {
    const Address origin = address_of(scratch);
    const std::size_t first = (table - origin % table) % table;
    ByteRanges before, found;
    const bool scanned =
        kernel_->scan(whole_pages(scratch), PAGE_IS_WRITTEN, 0, origin, before).ok() &&
        ::madvise(scratch.data() + first, table, MADV_DONTNEED) == 0 &&
        kernel_->scan(whole_pages(scratch), PAGE_IS_WRITTEN, 0, origin, found).ok();
    reported = scanned && found == ByteRanges{{first, first + table}};
    forget(scratch);
  }
  ::munmap(mapping, bytes);
  return reported;
}

Status PageTracker::watch(std::span<std::byte> memory) {
  if (kernel_->in_child()) return unsupported("the tracker is another process's");
  const Pages pages = whole_pages(memory);
  if (pages.empty()) return {};
  if (kernel_->overlaps_watched(pages)) return unsupported("pages of it are watched already");
  if (kernel_->watched.size() >= kernel_->most_watched) {
    return unsupported(
        fmt::format("more than {} regions (vm.max_map_count)", kernel_->most_watched));
  }
  if (Status status = kernel_->check_kind(pages); !status) return status;
  if (Status status = kernel_->protect(pages); !status) return status;
  kernel_->watched.emplace(pages.first, pages.last);
  return {};
}

void PageTracker::forget(std::span<std::byte> memory) {
  const Pages pages = whole_pages(memory);
  const auto known = kernel_->watched.find(pages.first);
  if (known == kernel_->watched.end() || known->second != pages.last) return;
  if (!kernel_->in_child()) kernel_->unprotect(pages);
  kernel_->watched.erase(known);
}

bool PageTracker::mostly_in_huge_pages(std::span<std::byte> memory) {
  ByteRanges huge;
  const Status status =
      kernel_->scan(whole_pages(memory), PAGE_IS_HUGE, 0, address_of(memory), huge, 0);
  return status.ok() && total_bytes(huge) > memory.size() / 2;
}

Result<ByteRanges> PageTracker::changed(std::span<std::byte> memory) {
  const Pages pages = whole_pages(memory);
  ByteRanges all;
  if (pages.empty()) {
    append(all, {0, memory.size()});
    return all;
  }
  const auto known = kernel_->watched.find(pages.first);
  if (kernel_->in_child() || known == kernel_->watched.end() || known->second != pages.last) {
    return Status{Code::not_found, "the memory is not watched"};
  }
  const Address origin = address_of(memory);
  if (!is_mapped(memory.subspan(pages.first - origin, pages.bytes()))) {
    return Status{Code::not_found, "the memory is not watched any more: unmapped"};
  }
  ByteRanges written, dropped;
  // Asked for this alone, the kernel goes a quicker way, which also finds single dropped pages.
  Status status = kernel_->scan(pages, PAGE_IS_WRITTEN, 0, origin, written);
  if (!status) return status;
  // Where a whole page table was dropped (MADV_DONTNEED of 2 MiB), PAGE_IS_WRITTEN does not say so,
  // but in Linux 7.2 and later stable kernels ("fix PAGEMAP_SCAN written state for PMD holes").
  // Protected pages are always present, or count as swapped.
  if (!kernel_->reports_holes) {
    constexpr std::uint64_t there = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
    status = kernel_->scan(pages, there, there, origin, dropped);
    if (!status) return status;
  }

  append(all, {0, pages.first - origin});
  for (const ByteRange& range : unite(written, dropped)) append(all, range);
  append(all, {pages.last - origin, memory.size()});
  return all;
}

}  // namespace cairn::capture
