// Whether something may write to this process's memory past its page tables.
#pragma once

#include <filesystem>

namespace cairn::capture {

/// True when this node has a network card that writes into registered memory (InfiniBand, RoCE,
/// Omni-Path, EFA, Slingshot), a GPU whose driver copies into pinned memory, or XPMEM, with which
/// another process writes through page tables of its own. None of these faults in this process, so
/// PageTracker does not see what they write. `root`: for tests.
bool memory_may_be_written_by_devices(const std::filesystem::path& root = "/");

}  // namespace cairn::capture
