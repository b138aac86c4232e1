#include "io/verify.hpp"

#include <fmt/format.h>

#include "commands.hpp"
#include "format.hpp"

namespace cairn::command {
namespace {

using nlohmann::ordered_json;

/// The newest good epoch: what a restart uses.
std::optional<std::uint64_t> restart_epoch(const io::Store& store, io::Verifier& verifier) {
  const auto epochs = store.epochs();
  for (auto epoch = epochs.rbegin(); epoch != epochs.rend(); ++epoch) {
    if (verifier.report(*epoch).good) return *epoch;
  }
  return std::nullopt;
}

ordered_json to_json(const io::VerifyReport& report) {
  return {{"epoch", report.epoch},
          {"good", report.good},
          {"problems", report.problems},
          {"bytes_checked", report.bytes_checked},
          {"channels_checked", report.channels_checked},
          {"messages_checked", report.messages_checked}};
}

void print(const io::VerifyReport& report) {
  if (report.good) {
    fmt::print("epoch {}: good ({} of data, {} channels and {} messages checked)\n", report.epoch,
               human_bytes(report.bytes_checked), report.channels_checked, report.messages_checked);
    return;
  }
  fmt::print("epoch {}: BAD\n", report.epoch);
  for (const std::string& problem : report.problems) fmt::print("  {}\n", problem);
}

void print_advice(const io::Store& store, std::optional<std::uint64_t> restart) {
  if (restart) {
    fmt::print("A restart will use epoch {}. Bad epochs can be deleted.\n", *restart);
  } else {
    fmt::print(
        "No epoch is good: a restart will stop with an error. Restore {} from a backup, or "
        "set CAIRN_RESTART=never to start afresh.\n",
        store.directory().native());
  }
}

}  // namespace

int verify(const io::Store& store, const std::vector<std::uint64_t>& chosen, bool json) {
  const std::vector<std::uint64_t> epochs = chosen.empty() ? store.epochs() : chosen;
  io::Verifier verifier{store};
  auto reports = ordered_json::array();
  bool all_good = true;
  for (const std::uint64_t epoch : epochs) {
    const io::VerifyReport& report = verifier.report(epoch);
    all_good = all_good && report.good;
    reports.push_back(to_json(report));
    if (!json) print(report);
  }
  if (json) {
    const auto restart = restart_epoch(store, verifier);
    print_json({{"good", all_good},
                {"restart_epoch", restart ? ordered_json(*restart) : ordered_json(nullptr)},
                {"epochs", reports}});
  } else if (epochs.empty()) {
    fmt::print("no checkpoints in {}\n", store.directory().native());
  } else if (!all_good) {
    print_advice(store, restart_epoch(store, verifier));
  }
  return all_good ? good : damaged;
}

}  // namespace cairn::command
