// The subcommands of `cairn`. Each prints its result and returns the exit status.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "io/store.hpp"

namespace cairn::command {

enum ExitStatus { good = 0, damaged = 1, usage = 2 };

int list(const io::Store& store, bool json);
/// The newest valid epoch when none is given.
int show(const io::Store& store, std::optional<std::uint64_t> epoch, bool json);
/// All epochs when none is given.
int verify(const io::Store& store, const std::vector<std::uint64_t>& epochs, bool json);

/// What changed from one epoch to another.
int diff(const io::Store& store, std::uint64_t before, std::uint64_t after, bool json);
/// Makes the epoch full where it is.
int compact(const io::Store& store, std::uint64_t epoch);
/// Writes the epoch as one plain HDF5 file, which must not exist.
int export_epoch(const io::Store& store, std::uint64_t epoch, const std::filesystem::path& path);

/// Prints one line on standard error; the exit status for it.
int report(const Status& status);

}  // namespace cairn::command
