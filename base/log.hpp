// Messages to the user: one line each on standard error, "cairn: …".
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace cairn::log {

enum class Level { off, error, warning, info, debug };

/// Sets the least important level that is printed (default: warning).
void set_level(Level level);
/// Sets the rank that messages name; -1 (no rank) until MPI is up.
void set_rank(int rank);
/// Parses "off", "error", "warning", "info" or "debug"; false when it is none of them.
bool parse_level(std::string_view text, Level& level);

/// Prints one line at `level`. Messages of errors name the rank when it is not 0.
void write(Level level, const std::string& message);

template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace cairn::log
