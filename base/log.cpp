#include "base/log.hpp"

#include <unistd.h>

#include <array>
#include <utility>

namespace cairn::log {
namespace {

Level threshold = Level::warning;
int rank = -1;

constexpr std::array<std::pair<std::string_view, Level>, 5> names = {{{"off", Level::off},
                                                                      {"error", Level::error},
                                                                      {"warning", Level::warning},
                                                                      {"info", Level::info},
                                                                      {"debug", Level::debug}}};

}  // namespace

void set_level(Level level) { threshold = level; }
void set_rank(int value) { rank = value; }

bool parse_level(std::string_view text, Level& level) {
  for (const auto& [name, value] : names) {
    if (name == text) {
      level = value;
      return true;
    }
  }
  return false;
}

void write(Level level, const std::string& message) {
  if (level > threshold) return;
  std::string line = "cairn: ";
  if (rank > 0) line += fmt::format("rank {}: ", rank);
  if (level == Level::error) line += "error: ";
  if (level == Level::warning) line += "warning: ";
  line += message;
  line += '\n';
  // One write per line, so that lines of several ranks do not mix.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace cairn::log
