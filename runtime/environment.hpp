// The CAIRN_* environment variables.
#pragma once

#include <string>
#include <vector>

#include <cairn/options.hpp>
#include <cairn/status.hpp>

namespace cairn {

/// Overrides `options` by the CAIRN_* variables that are set and checks the result. Local.
/// invalid_argument: names the variable, its value, and what it may be.
Status apply_environment(Options& options);

/// CAIRN_* variables that are set and that Cairn does not know, for a warning.
std::vector<std::string> unknown_variables();

}  // namespace cairn
