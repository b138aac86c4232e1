#include "runtime/environment.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "base/log.hpp"
#include "io/compression.hpp"
#include "runtime/capture/change_tracker.hpp"

namespace cairn {
namespace {

template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

bool parse_seconds(std::string_view text, double& value) {
  return parse_number(text, value) && std::isfinite(value) && value > 0;
}

bool parse_directory(std::string_view text, Options& options) {
  options.directory = text;
  return !text.empty();
}

constexpr std::string_view every = "every:";

bool parse_interval(std::string_view text, Options& options) {
  if (text == "off") {
    options.interval = Interval::off();
    return true;
  }
  if (text.starts_with(every)) {
    options.interval = Interval::every_safe_points(0);
    return parse_number(text.substr(every.size()), options.interval.every) &&
           options.interval.every > 0;
  }
  options.interval = Interval::every_seconds(0);
  return parse_seconds(text, options.interval.seconds);
}

bool parse_restart(std::string_view text, Options& options) {
  if (text == "auto") {
    options.restart = {};
    return true;
  }
  if (text == "never") {
    options.restart = {RestartFrom::Kind::never, 0};
    return true;
  }
  options.restart = {RestartFrom::Kind::epoch, 0};
  return parse_number(text, options.restart.epoch) && options.restart.epoch > 0;
}

bool parse_keep(std::string_view text, Options& options) {
  return parse_number(text, options.keep) && options.keep >= 1;
}

bool parse_log(std::string_view text, Options& options) {
  options.log_level = text;
  log::Level level{};
  return log::parse_level(text, level);
}

bool parse_protocol(std::string_view text, Options& options) {
  options.protocol = text;
  return text == "chandy-lamport" || text == "coordinated";
}

bool parse_cut(std::string_view text, Options& options) {
  options.cut = text;
  return text == "aligned" || text == "marker";
}

bool parse_driver(std::string_view text, Options& options) {
  options.driver = text;
  return text == "direct" || text == "mpiio";
}

bool parse_layout(std::string_view text, Options& options) {
  options.layout = text;
  return text == "shared" || text == "per-node" || ranks_per_file(text) > 0;
}

bool parse_incremental(std::string_view text, Options& options) {
  options.incremental = text;
  return capture::parse_tracking_mode(text).has_value();
}

bool parse_full_every(std::string_view text, Options& options) {
  options.full_every = 0;
  if (text == "auto") return true;
  return parse_number(text, options.full_every) && options.full_every > 0;
}

bool parse_compress(std::string_view text, Options& options) {
  options.compress = text;
  return io::parse_compression(text).has_value();
}

bool parse_pending_requests(std::string_view text, Options& options) {
  options.pending_requests = text;
  return text == "refuse" || text == "repost";
}

bool parse_patience(std::string_view text, Options& options) {
  return parse_seconds(text, options.patience_seconds);
}

bool parse_store_limit(std::string_view text, Options& options) {
  return parse_number(text, options.store_limit_mib) && options.store_limit_mib > 0 &&
         options.store_limit_mib < (1ULL << 40);
}

bool parse_staging_limit(std::string_view text, Options& options) {
  return parse_number(text, options.staging_limit_mib) && options.staging_limit_mib > 0 &&
         options.staging_limit_mib < (1ULL << 40);
}

constexpr const char* trackings = "auto, pagemap, hash or off";
constexpr const char* compressions = "none, lz4, zstd or zstd:<1 to 19>";
constexpr const char* layouts = "shared, per-node or group:<ranks>";

struct Variable {
  const char* name;
  bool (*parse)(std::string_view text, Options& options);
  const char* values;
};

constexpr std::array variables = {
    Variable{"CAIRN_DIR", parse_directory, "the path of a directory"},
    Variable{"CAIRN_INTERVAL", parse_interval, "<seconds>, every:<safe points> or off"},
    Variable{"CAIRN_RESTART", parse_restart, "auto, never or the number of an epoch"},
    Variable{"CAIRN_KEEP", parse_keep, "a number of checkpoints, at least 1"},
    Variable{"CAIRN_LOG", parse_log, "off, error, warning, info or debug"},
    Variable{"CAIRN_PROTOCOL", parse_protocol, "chandy-lamport or coordinated"},
    Variable{"CAIRN_CUT", parse_cut, "aligned or marker"},
    Variable{"CAIRN_DRIVER", parse_driver, "direct or mpiio"},
    Variable{"CAIRN_LAYOUT", parse_layout, layouts},
    Variable{"CAIRN_INCREMENTAL", parse_incremental, trackings},
    Variable{"CAIRN_FULL_EVERY", parse_full_every, "auto or a number of checkpoints, at least 1"},
    Variable{"CAIRN_COMPRESS", parse_compress, compressions},
    Variable{"CAIRN_PATIENCE", parse_patience, "a number of seconds above 0"},
    Variable{"CAIRN_PENDING_REQUESTS", parse_pending_requests, "refuse or repost"},
    Variable{"CAIRN_STAGING_LIMIT", parse_staging_limit, "a number of MiB above 0"},
    Variable{"CAIRN_STORE_LIMIT", parse_store_limit, "a number of MiB above 0"},
};

/// Settings that the program made in code, which no parser has seen.
Status check_code_options(const Options& options) {
  Options scratch;
  const auto bad = [](const char* field, const std::string& value, const char* values) {
    return Status{Code::invalid_argument,
                  fmt::format("Options::{} is \"{}\": it can be {}", field, value, values)};
  };
  if (!parse_log(options.log_level, scratch)) {
    return bad("log_level", options.log_level, "off, error, warning, info or debug");
  }
  if (!parse_protocol(options.protocol, scratch)) {
    return bad("protocol", options.protocol, "chandy-lamport or coordinated");
  }
  if (!parse_cut(options.cut, scratch)) return bad("cut", options.cut, "aligned or marker");
  if (!parse_driver(options.driver, scratch)) {
    return bad("driver", options.driver, "direct or mpiio");
  }
  if (!parse_layout(options.layout, scratch)) return bad("layout", options.layout, layouts);
  if (options.layout != "shared" && options.driver == "mpiio") {
    return {Code::invalid_argument,
            fmt::format("CAIRN_LAYOUT={} can't be used with CAIRN_DRIVER=mpiio: in a file for each "
                        "node no rank's part is scattered; use CAIRN_DRIVER=direct, or "
                        "CAIRN_LAYOUT=shared",
                        options.layout)};
  }
  if (!parse_incremental(options.incremental, scratch)) {
    return bad("incremental", options.incremental, trackings);
  }
  if (!parse_compress(options.compress, scratch)) {
    return bad("compress", options.compress, compressions);
  }
  if (!parse_pending_requests(options.pending_requests, scratch)) {
    return bad("pending_requests", options.pending_requests, "refuse or repost");
  }
  if (options.keep < 1) return bad("keep", std::to_string(options.keep), "1 or more");
  const Interval& interval = options.interval;
  if (interval.kind == Interval::Kind::seconds && !(interval.seconds > 0)) {
    return bad("interval", fmt::format("{} s", interval.seconds), "more than 0 s");
  }
  if (interval.kind == Interval::Kind::every && interval.every == 0) {
    return bad("interval", "every 0 safe points", "every safe point or more");
  }
  if (!(options.patience_seconds > 0)) {
    return bad("patience_seconds", std::to_string(options.patience_seconds), "more than 0");
  }
  if (options.store_limit_mib == 0) return bad("store_limit_mib", "0", "1 or more");
  if (options.directory.empty()) return bad("directory", "", "the path of a directory");
  return {};
}

}  // namespace

int ranks_per_file(std::string_view layout) {
  constexpr std::string_view group = "group:";
  int ranks = 0;
  if (!layout.starts_with(group) || !parse_number(layout.substr(group.size()), ranks)) return 0;
  return ranks;
}

std::string environment_settings() {
  std::string settings;
  for (const auto& variable : variables) {
    const char* value = std::getenv(variable.name);
    if (value != nullptr) settings += fmt::format("{}={}\n", variable.name, value);
  }
  return settings;
}

Status apply_settings(const std::string& settings, Options& options) {
  std::istringstream lines{settings};
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(0, line.find('='));
    const std::string value = line.substr(name.size() + 1);
    for (const auto& variable : variables) {
      if (name != variable.name || variable.parse(value, options)) continue;
      return {Code::invalid_argument,
              fmt::format("{}={} is not valid: it can be {}", name, value, variable.values)};
    }
  }
  return check_code_options(options);
}

Status read_chaos_settings(ChaosSettings& settings) {
  const auto bad = [](const char* name, const char* value, const char* values) {
    return Status{Code::invalid_argument,
                  fmt::format("{}={} is not valid: it can be {}", name, value, values)};
  };
  if (const char* value = std::getenv("CAIRN_CHAOS")) {
    const std::string_view text = value;
    const bool valid = text.starts_with(every) &&
                       parse_number(text.substr(every.size()), settings.calls) &&
                       settings.calls > 0 && settings.calls < (1ULL << 32);
    if (!valid && text != "off") return bad("CAIRN_CHAOS", value, "every:<MPI calls> or off");
  }
  if (const char* value = std::getenv("CAIRN_CHAOS_SEED")) {
    if (!parse_number(std::string_view{value}, settings.seed)) {
      return bad("CAIRN_CHAOS_SEED", value, "a number");
    }
  }
  return {};
}

std::vector<std::string> unknown_variables() {
  std::vector<std::string> unknown;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    if (!name.starts_with("CAIRN_") || name == "CAIRN_CRASH_AT") continue;
    if (name == "CAIRN_CHAOS" || name == "CAIRN_CHAOS_SEED") continue;
    const bool known = std::any_of(variables.begin(), variables.end(),
                                   [&](const Variable& variable) { return name == variable.name; });
    if (!known) unknown.emplace_back(name);
  }
  return unknown;
}

}  // namespace cairn
