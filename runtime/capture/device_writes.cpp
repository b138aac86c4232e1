#include "runtime/capture/device_writes.hpp"

#include <algorithm>
#include <array>
#include <system_error>

namespace cairn::capture {
namespace {

namespace fs = std::filesystem;

// Directories with an entry for each device; not there, or empty, without one.
constexpr std::array<const char*, 4> device_lists{
    "sys/class/infiniband",     // verbs: InfiniBand, RoCE, iWARP, Omni-Path, EFA
    "sys/class/cxi",            // Slingshot
    "sys/class/kfd",            // AMD GPUs
    "proc/driver/nvidia/gpus",  // NVIDIA GPUs
};
constexpr const char* xpmem = "sys/class/misc/xpmem";

bool has_entries(const fs::path& directory) {
  std::error_code error;
  return fs::directory_iterator{directory, error} != fs::directory_iterator{};
}

}  // namespace

bool memory_may_be_written_by_devices(const fs::path& root) {
  std::error_code error;
  return fs::exists(root / xpmem, error) ||
         std::any_of(device_lists.begin(), device_lists.end(),
                     [&](const char* list) { return has_entries(root / list); });
}

}  // namespace cairn::capture
