#include "runtime/capture/available_memory.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace cairn::capture {
namespace {

namespace fs = std::filesystem;
using Bytes = std::optional<std::uint64_t>;

Bytes smaller(Bytes a, Bytes b) { return a && b ? std::min(*a, *b) : (a ? a : b); }

/// The only number in a file; nothing when it holds "max", or can't be read.
Bytes read_number(const fs::path& path) {
  std::ifstream file{path};
  std::uint64_t value = 0;
  return file >> value ? Bytes{value} : std::nullopt;
}

/// The number after a word at the beginning of a line.
Bytes read_field(const fs::path& path, const std::string& name) {
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    std::istringstream words{line};
    std::string word;
    std::uint64_t value = 0;
    if (words >> word >> value && word == name) return value;
  }
  return std::nullopt;
}

/// The two versions differ in their names.
struct Names {
  const char* mount;
  const char* limit;
  const char* usage;
  const char* page_cache;
};
constexpr Names version_1{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                          "total_inactive_file"};
constexpr Names version_2{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};

Bytes left_in_group(const fs::path& group, const Names& names) {
  const Bytes limit = read_number(group / names.limit);
  const Bytes usage = read_number(group / names.usage);
  if (!limit || !usage) return std::nullopt;
  const std::uint64_t cache = read_field(group / "memory.stat", names.page_cache).value_or(0);
  const std::uint64_t used = *usage - std::min(*usage, cache);
  return *limit - std::min(*limit, used);
}

/// A limit of a group holds for those below it.
Bytes left_in_groups(const fs::path& mount, fs::path group, const Names& names) {
  Bytes left = left_in_group(mount, names);
  for (group = group.relative_path(); !group.empty(); group = group.parent_path()) {
    left = smaller(left, left_in_group(mount / group, names));
  }
  return left;
}

}  // namespace

Bytes available_memory(const fs::path& root) {
  Bytes available = read_field(root / "proc/meminfo", "MemAvailable:");
  if (available) *available *= 1024;
  std::ifstream groups{root / "proc/self/cgroup"};
  for (std::string line; std::getline(groups, line);) {  // number:controllers:path
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "memory") continue;
    const Names& names = controllers.empty() ? version_2 : version_1;
    available =
        smaller(available, left_in_groups(root / names.mount, line.substr(second + 1), names));
  }
  return available;
}

}  // namespace cairn::capture
