#include <fmt/format.h>

#include "commands.hpp"
#include "format.hpp"

namespace cairn::command {
namespace {

using nlohmann::ordered_json;

ordered_json to_json(const io::EpochInfo& info) {
  return {{"epoch", info.epoch},
          {"kind", info.kind()},
          {"parent", info.parent ? ordered_json(*info.parent) : ordered_json(nullptr)},
          {"protocol", info.protocol},
          {"ranks", info.ranks},
          {"bytes", info.bytes},
          {"changed_bytes", info.changed_bytes},
          {"messages_in_flight", info.messages_in_flight},
          {"committed_at", info.committed_at},
          {"blocked_seconds", info.blocked_seconds}};
}

/// The same fields, all null, and the reason.
ordered_json to_json(std::uint64_t epoch, const Status& status) {
  return {{"epoch", epoch},
          {"kind", nullptr},
          {"parent", nullptr},
          {"protocol", nullptr},
          {"ranks", nullptr},
          {"bytes", nullptr},
          {"changed_bytes", nullptr},
          {"messages_in_flight", nullptr},
          {"committed_at", nullptr},
          {"blocked_seconds", nullptr},
          {"damaged", status.message()}};
}

}  // namespace

int list(const io::Store& store, bool json) {
  auto document = ordered_json::array();
  std::vector<std::vector<std::string>> rows = {{"EPOCH", "KIND", "PARENT", "PROTOCOL", "RANKS",
                                                 "SIZE", "CHANGED", "IN FLIGHT", "BLOCKED",
                                                 "COMMITTED"}};
  std::vector<std::string> problems;
  const std::time_t now = std::time(nullptr);
  for (const std::uint64_t epoch : store.epochs()) {
    const auto info = store.read_commit(epoch);
    document.push_back(info.ok() ? to_json(*info) : to_json(epoch, info.status()));
    if (info.ok()) {
      rows.push_back({fmt::to_string(epoch), std::string{info->kind()},
                      info->parent ? fmt::to_string(*info->parent) : "-", info->protocol,
                      fmt::to_string(info->ranks), human_bytes(info->bytes),
                      human_bytes(info->changed_bytes), fmt::to_string(info->messages_in_flight),
                      fmt::format("{:.3f} s", info->blocked_seconds),
                      human_age(info->committed_at, now)});
    } else {
      const bool newer = info.status().code() == Code::unsupported;
      rows.push_back({fmt::to_string(epoch), newer ? "unknown" : "damaged"});
      problems.push_back(fmt::format("epoch {}: {}", epoch, info.status().message()));
    }
  }
  if (json) {
    print_json(document);
  } else if (document.empty()) {
    fmt::print("no checkpoints in {}\n", store.directory().native());
  } else {
    print_table(rows, {0, 2, 4, 5, 6, 7, 8});
    for (const std::string& problem : problems) fmt::print("{}\n", problem);
  }
  return good;
}

}  // namespace cairn::command
