// The CAIRN_* environment variables.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <cairn/options.hpp>
#include <cairn/status.hpp>

namespace cairn {

/// The CAIRN_* variables of this process, as "NAME=value\n" lines. Rank 0's count for all ranks:
/// launchers do not forward variables to other nodes by themselves.
std::string environment_settings();

/// Overrides `options` by the settings (lines of environment_settings) and checks the result.
/// Local. invalid_argument: names the variable, its value, and what it may be.
Status apply_settings(const std::string& settings, Options& options);

/// Of Options::layout: the number of ranks that share a file; 0: as many as are on a node, or all.
int ranks_per_file(std::string_view layout);

/// CAIRN_CHAOS and CAIRN_CHAOS_SEED: a stress mode, which is there without a session.
struct ChaosSettings {
  std::uint64_t calls = 0;  ///< about one epoch in so many MPI calls; 0: off
  std::uint64_t seed = 1;
};

/// Reads this process's. invalid_argument: names the variable, its value, and what it may be.
Status read_chaos_settings(ChaosSettings& settings);

/// CAIRN_* variables that are set and that Cairn does not know, for a warning.
std::vector<std::string> unknown_variables();

}  // namespace cairn
