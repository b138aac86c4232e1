// For tests of the page tracker: mappings, child processes, what the kernel says.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>

#include "runtime/capture/page_tracker.hpp"

namespace cairn::capture {

inline void PrintTo(const ByteRange& range, std::ostream* out) {
  *out << '[' << range.first << ", " << range.last << ')';
}

inline const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
constexpr std::size_t huge_page = std::size_t{2} << 20;

/// Private anonymous memory of its own, at a multiple of 2 MiB.
class Mapping {
 public:
  explicit Mapping(std::size_t bytes)
      : whole_bytes_(bytes + huge_page),
        whole_(::mmap(nullptr, whole_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0)) {
    EXPECT_NE(whole_, MAP_FAILED);
    const auto address = reinterpret_cast<std::uintptr_t>(whole_);
    bytes_ = {static_cast<std::byte*>(whole_) + (huge_page - address % huge_page) % huge_page,
              bytes};
  }
  ~Mapping() { ::munmap(whole_, whole_bytes_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }
  std::byte* data() const { return bytes_.data(); }
  std::byte* page_at(std::size_t number) const { return bytes_.data() + number * page; }
  void write(std::size_t number) const { write(number, std::byte{1}); }
  void write(std::size_t number, std::byte value) const {
    *const_cast<volatile std::byte*>(page_at(number)) = value;
  }
  void touch_all() const {
    for (std::size_t number = 0; number * page < bytes_.size(); ++number) write(number);
  }

 private:
  std::size_t whole_bytes_;
  void* whole_;
  std::span<std::byte> bytes_;
};

/// Whole pages, as ranges.
inline ByteRanges pages(std::initializer_list<std::size_t> numbers) {
  ByteRanges ranges;
  for (const std::size_t number : numbers) append(ranges, {number * page, (number + 1) * page});
  return ranges;
}

/// Exit status of a child that runs `work`, which returns it.
template <class Work>
int in_child(const Work& work) {
  const pid_t child = ::fork();
  EXPECT_GE(child, 0);
  if (child == 0) ::_exit(work());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/// A line of /proc/self/smaps of the mapping that holds `address`; without its name.
inline std::string mapping_field(const std::byte* address, const std::string& name) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream smaps{"/proc/self/smaps"};
  bool here = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words{line};
    std::uintptr_t first = 0, last = 0;
    char dash = 0;
    if (words >> std::hex >> first >> dash && dash == '-' && words >> last) {
      here = first <= wanted && wanted < last;
    } else if (here && line.starts_with(name + ":")) {
      return line.substr(name.size() + 1);
    }
  }
  return "";
}

/// Registered with a userfaultfd for write protection.
inline bool watched_by_kernel(const std::byte* address) {
  return mapping_field(address, "VmFlags").find(" uw") != std::string::npos;
}

/// Skips where the kernel can't do it.
class PageTracking : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = PageTracker::open();
    if (!opened) GTEST_SKIP() << opened.status().message();
    tracker.emplace(std::move(*opened));
  }

  /// Fails when the memory is not watched.
  ByteRanges changed(std::span<std::byte> memory) {
    auto found = tracker->changed(memory);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found ? *found : ByteRanges{};
  }
  void expect_not_found(std::span<std::byte> memory) {
    const auto found = tracker->changed(memory);
    EXPECT_EQ(found.status().code(), Code::not_found);
  }
  void expect_unsupported(std::span<std::byte> memory, const std::string& why) {
    const Status status = tracker->watch(memory);
    EXPECT_EQ(status.code(), Code::unsupported);
    EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
    EXPECT_FALSE(watched_by_kernel(memory.data()));
  }

  std::optional<PageTracker> tracker;
};

}  // namespace cairn::capture
