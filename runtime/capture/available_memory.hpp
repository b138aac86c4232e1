// How much memory this node, or this job's share of it, has left.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace cairn::capture {

/// Bytes that could be allocated without swapping: the smallest of what the kernel estimates
/// (/proc/meminfo) and what the control groups of this process leave, version 1 or 2, their
/// reclaimable page cache counted as free. Nothing when none of them says. `root`: for tests.
std::optional<std::uint64_t> available_memory(const std::filesystem::path& root = "/");

}  // namespace cairn::capture
