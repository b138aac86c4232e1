// The subcommands of `cairn`. Each prints its result and returns the exit status.
#pragma once

#include <cstdint>
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

}  // namespace cairn::command
