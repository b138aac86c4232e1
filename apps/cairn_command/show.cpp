#include <fmt/format.h>

#include <map>
#include <tuple>

#include "commands.hpp"
#include "format.hpp"
#include "io/state_reader.hpp"

namespace cairn::command {
namespace {

using nlohmann::ordered_json;

struct EntrySummary {
  io::Entry entry;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
};

struct ChannelSummary {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};

struct Summary {
  io::EpochInfo info;
  std::vector<EntrySummary> entries;
  std::vector<io::EntryChange> changes;  // of a delta: as entries, then those that were deleted
  std::map<std::tuple<std::uint64_t, int, int>, ChannelSummary> channels;  // with messages
  std::map<std::uint64_t, std::string> labels;
  std::uint64_t counters = 0, sent = 0, received = 0;
};

Result<Summary> summarize(const io::Store& store, std::uint64_t epoch) {
  const auto reader = io::StateReader::open(store.epoch_path(epoch));
  if (!reader) return reader.status();
  Summary summary;
  summary.info = reader->info();
  summary.changes = reader->entry_changes();
  for (const io::Entry& entry : reader->entries()) summary.entries.push_back({entry, 0, 0});
  for (const auto& known : reader->communicators()) summary.labels[known.id] = known.label;
  for (int rank = 0; rank < reader->ranks(); ++rank) {
    for (const io::SlabInfo& slab : reader->slabs(rank)) {
      EntrySummary& entry = summary.entries[slab.entry];
      entry.elements += slab.count;
      entry.bytes += slab.count * entry.entry.element_bytes;
    }
    for (const io::ChannelCounter& counter : reader->counters(rank)) {
      summary.counters += 1;
      summary.sent += counter.sent;
      summary.received += counter.received;
    }
    const auto messages = reader->messages(rank);
    if (!messages) return messages.status();
    for (const io::Message& message : *messages) {
      auto& channel = summary.channels[{message.communicator, message.source, message.destination}];
      channel.messages += 1;
      channel.bytes += message.bytes.size();
    }
  }
  return summary;
}

std::string shape_of(const EntrySummary& summary) {
  const auto& global = summary.entry.global_shape;
  return global.empty() ? fmt::format("[{}]", summary.elements)
                        : fmt::format("[{}]", fmt::join(global, " x "));
}

std::string label_of(const Summary& summary, std::uint64_t communicator) {
  const auto found = summary.labels.find(communicator);
  return found != summary.labels.end() && !found->second.empty()
             ? found->second
             : fmt::format("{:#x}", communicator);
}

ordered_json to_json(const Summary& summary) {
  const io::EpochInfo& info = summary.info;
  auto entries = ordered_json::array();
  for (std::size_t i = 0; i < summary.entries.size(); ++i) {
    const EntrySummary& item = summary.entries[i];
    const auto& global = item.entry.global_shape;
    entries.push_back(
        {{"name", item.entry.name},
         {"type", element_type_name(item.entry.type)},
         {"element_bytes", item.entry.element_bytes},
         {"global_shape", global.empty() ? ordered_json(nullptr) : ordered_json(global)},
         {"elements", item.elements},
         {"bytes", item.bytes}});
    if (summary.changes.empty()) continue;
    entries.back()["change"] = change_name(summary.changes[i].kind);
    entries.back()["changed_bytes"] = summary.changes[i].bytes;
  }
  auto deleted = ordered_json::array();
  for (const io::EntryChange& change : summary.changes) {
    if (change.kind == io::EntryChange::Kind::deleted) deleted.push_back(change.entry.name);
  }
  auto channels = ordered_json::array();
  for (const auto& [key, channel] : summary.channels) {
    const auto& [communicator, source, destination] = key;
    channels.push_back({{"communicator", label_of(summary, communicator)},
                        {"source", source},
                        {"destination", destination},
                        {"messages", channel.messages},
                        {"bytes", channel.bytes}});
  }
  return {{"epoch", info.epoch},
          {"kind", info.kind()},
          {"parent", info.parent ? ordered_json(*info.parent) : ordered_json(nullptr)},
          {"protocol", info.protocol},
          {"ranks", info.ranks},
          {"bytes", info.bytes},
          {"messages_in_flight", info.messages_in_flight},
          {"committed_at", info.committed_at},
          {"blocked_seconds", info.blocked_seconds},
          {"application", info.application},
          {"uuid", info.uuid},
          {"safe_point", info.safe_point},
          {"entries", entries},
          {"deleted", deleted},
          {"channels", channels},
          {"counters",
           {{"rows", summary.counters}, {"sent", summary.sent}, {"received", summary.received}}}};
}

void print_entries(const Summary& summary) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "TYPE", "SHAPE", "SIZE"}};
  for (const EntrySummary& item : summary.entries) {
    rows.push_back({item.entry.name, std::string{element_type_name(item.entry.type)},
                    shape_of(item), human_bytes(item.bytes)});
  }
  for (std::size_t i = 0; i < summary.changes.size(); ++i) {
    const io::EntryChange& change = summary.changes[i];
    if (i >= summary.entries.size()) rows.push_back({change.entry.name, "", "", ""});
    rows[i + 1].push_back(human_bytes(change.bytes));
    rows[i + 1].emplace_back(change_name(change.kind));
  }
  if (!summary.changes.empty()) rows[0].insert(rows[0].end(), {"CHANGED", "SINCE PARENT"});
  if (rows.size() == 1) return;
  fmt::print("\n");
  print_table(rows, {3, 4});
}

void print(const Summary& summary) {
  const io::EpochInfo& info = summary.info;
  fmt::print("epoch {} ({}, {}) of {}: {} rank{}, {}, committed {} ({})\n", info.epoch, info.kind(),
             info.protocol, info.application.empty() ? "?" : info.application, info.ranks,
             info.ranks == 1 ? "" : "s", human_bytes(info.bytes), info.committed_at,
             human_age(info.committed_at, std::time(nullptr)));
  fmt::print("safe point {}, computation blocked for {:.3f} s\n", info.safe_point,
             info.blocked_seconds);
  print_entries(summary);
  fmt::print("\n{} message{} in flight; {} sent and {} received before the cut\n",
             info.messages_in_flight, info.messages_in_flight == 1 ? "" : "s", summary.sent,
             summary.received);
  if (summary.channels.empty()) return;
  std::vector<std::vector<std::string>> rows = {{"COMMUNICATOR", "FROM", "TO", "MESSAGES", "SIZE"}};
  for (const auto& [key, channel] : summary.channels) {
    const auto& [communicator, source, destination] = key;
    rows.push_back({label_of(summary, communicator), fmt::to_string(source),
                    fmt::to_string(destination), fmt::to_string(channel.messages),
                    human_bytes(channel.bytes)});
  }
  print_table(rows, {1, 2, 3, 4});
}

std::optional<std::uint64_t> newest_valid(const io::Store& store) {
  const auto epochs = store.epochs();
  for (auto epoch = epochs.rbegin(); epoch != epochs.rend(); ++epoch) {
    if (store.read_commit(*epoch).ok()) return *epoch;
  }
  return std::nullopt;
}

}  // namespace

int show(const io::Store& store, std::optional<std::uint64_t> epoch, bool json) {
  if (!epoch) epoch = newest_valid(store);
  if (!epoch) {
    fmt::print(stderr, "cairn: error: no valid checkpoint in {}\n", store.directory().native());
    return store.epochs().empty() ? usage : damaged;
  }
  const auto summary = summarize(store, *epoch);
  if (!summary) {
    fmt::print(stderr, "cairn: error: epoch {}: {}\n", *epoch, summary.status().message());
    return damaged;
  }
  if (json) {
    print_json(to_json(*summary));
  } else {
    print(*summary);
  }
  return good;
}

}  // namespace cairn::command
