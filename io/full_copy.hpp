// Makes full epochs of those that are not, offline.
#pragma once

#include <cstdint>
#include <filesystem>

#include <cairn/status.hpp>

#include "io/state_index.hpp"
#include "io/state_reader.hpp"
#include "io/store.hpp"

namespace cairn::io {

/// Writes everything that an epoch stands for into one file, plain HDF5, with all tables. Local; by
/// one process, with memory for the largest slab. `path` must not exist, and does not exist when
/// this fails; ok: it is on stable storage. Returns the file's datasets.
Result<Datasets> write_full_copy(const StateReader& reader, const std::filesystem::path& path);

/// Merges what `epoch` builds on into it: it becomes full, in one file, and the same otherwise, so
/// what builds on it still does. What it has built on stays. At any moment, also after a crash, the
/// epoch is there and good. Does nothing to an epoch that is full and plain. Local; no job may be
/// using the directory. Returns the epoch as it is now.
Result<EpochInfo> compact_epoch(const Store& store, std::uint64_t epoch);

}  // namespace cairn::io
