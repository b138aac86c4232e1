#include "io/commit_record.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cmath>
#include <random>

#include "io/names.hpp"
#include "io/sealed_json.hpp"

namespace cairn::io {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

ordered_json state_to_json(const StateIndex& state) {
  ordered_json datasets = ordered_json::object();
  for (const auto& [path, extent] : state.datasets) {
    datasets[path] = {{"offset", extent.offset}, {"bytes", extent.bytes}};
  }
  ordered_json sums = ordered_json::object();
  for (const auto& [path, values] : state.table_checksums) {
    sums[path] = ordered_json::array();
    for (const std::uint64_t value : values) sums[path].push_back(to_hex(value));
  }
  return {{"name", state.name},
          {"size", state.bytes},
          {"metadata_checksum", to_hex(state.metadata_checksum)},
          {"datasets", datasets},
          {"table_checksums", sums}};
}

bool state_from_json(const json& file, StateIndex& state) {
  std::string sum;
  if (!file.is_object() || !get(file, "name", state.name)) return false;
  if (!get(file, "size", state.bytes) || !get(file, "metadata_checksum", sum)) return false;
  if (!from_hex(sum, state.metadata_checksum)) return false;
  const auto datasets = file.find("datasets");
  const auto sums = file.find("table_checksums");
  if (datasets == file.end() || !datasets->is_object()) return false;
  if (sums == file.end() || !sums->is_object()) return false;
  for (const auto& [path, value] : datasets->items()) {
    Extent& extent = state.datasets[path];
    if (!value.is_object() || !get(value, "offset", extent.offset)) return false;
    if (!get(value, "bytes", extent.bytes)) return false;
  }
  for (const auto& [path, values] : sums->items()) {
    std::vector<std::uint64_t>& list = state.table_checksums[path];
    if (!values.is_array()) return false;
    for (const json& value : values) {
      if (!value.is_string() || !from_hex(value.get<std::string>(), list.emplace_back())) {
        return false;
      }
    }
  }
  return true;
}

bool info_from_json(const json& document, EpochInfo& info) {
  if (const auto parent = document.find("parent"); parent == document.end()) {
    return false;
  } else if (!parent->is_null()) {
    if (!get(document, "parent", info.parent.emplace())) return false;
  }
  return get(document, "epoch", info.epoch) && get(document, "protocol", info.protocol) &&
         get(document, "ranks", info.ranks) && info.ranks >= 1 &&
         get(document, "application", info.application) && get(document, "uuid", info.uuid) &&
         get(document, "safe_point", info.safe_point) &&
         get(document, "messages_in_flight", info.messages_in_flight) &&
         get(document, "blocked_seconds", info.blocked_seconds) &&
         get(document, "bytes", info.bytes) && get(document, "committed_at", info.committed_at);
}

/// Since version 3. Before, all epochs are full.
bool form_from_json(const json& document, int version, EpochInfo& info) {
  if (version < 3) {
    info.state_bytes = info.changed_bytes = info.bytes;
    return !info.parent;
  }
  std::string id;
  std::string parent_id;
  return get(document, "id", id) && from_hex(id, info.id) && info.id != 0 &&
         (!info.parent || (*info.parent < info.epoch && get(document, "parent_id", parent_id) &&
                           from_hex(parent_id, info.parent_id))) &&
         get(document, "compression", info.compression) &&
         get(document, "state_bytes", info.state_bytes) &&
         get(document, "changed_bytes", info.changed_bytes) &&
         get(document, "chain_bytes", info.chain_bytes);
}

bool from_json(const json& document, CommitRecord& record) {
  if (!info_from_json(document, record.info)) return false;
  if (!get(document, "format_version", record.version)) return false;
  if (!form_from_json(document, record.version, record.info)) return false;
  const auto files = document.find("files");
  if (files == document.end() || !files->is_array() || files->empty()) return false;
  if (!state_from_json((*files)[0], record.state)) return false;
  if (record.state.name != state_file && record.state.name != compacted_file) return false;
  std::uint64_t bytes = record.state.bytes;
  for (std::size_t i = 1; i < files->size(); ++i) {
    StateIndex& node = record.nodes.emplace_back();
    if (!state_from_json((*files)[i], node) || node.name != node_file_name(i - 1)) return false;
    bytes += node.bytes;
  }
  return record.info.bytes == bytes;
}

}  // namespace

std::uint64_t random_id() {
  std::random_device random;
  return std::uniform_int_distribution<std::uint64_t>{1}(random);
}

std::string format_commit(const CommitRecord& record) {
  const EpochInfo& info = record.info;
  ordered_json document;
  document["format_version"] = format_version;
  document["epoch"] = info.epoch;
  document["id"] = to_hex(info.id);
  document["kind"] = info.kind();
  document["parent"] = info.parent ? ordered_json(*info.parent) : ordered_json(nullptr);
  document["parent_id"] = info.parent ? ordered_json(to_hex(info.parent_id)) : nullptr;
  document["compression"] = info.compression;
  document["state_bytes"] = info.state_bytes;
  document["changed_bytes"] = info.changed_bytes;
  document["chain_bytes"] = info.chain_bytes;
  document["protocol"] = info.protocol;
  document["ranks"] = info.ranks;
  document["application"] = info.application;
  document["uuid"] = info.uuid;
  document["safe_point"] = info.safe_point;
  document["messages_in_flight"] = info.messages_in_flight;
  document["blocked_seconds"] = std::isfinite(info.blocked_seconds) ? info.blocked_seconds : 0.0;
  document["bytes"] = info.bytes;
  document["committed_at"] = info.committed_at;
  document["files"] = ordered_json::array({state_to_json(record.state)});
  for (const StateIndex& node : record.nodes) document["files"].push_back(state_to_json(node));
  return seal(document);
}

Result<CommitRecord> read_commit_file(const std::filesystem::path& epoch_directory) {
  const std::filesystem::path path = epoch_directory / commit_file;
  const auto document = read_sealed(path);
  if (!document) return document.status();
  CommitRecord record;
  if (!from_json(*document, record)) {
    return Status{Code::corruption,
                  fmt::format("{}: a field is missing or has another type", path.native())};
  }
  return record;
}

Result<CommitRecord> read_commit_record(const std::filesystem::path& epoch_directory) {
  auto record = read_commit_file(epoch_directory);
  if (!record) return record;
  const auto state = open_indexed(epoch_directory, record->state);
  if (!state) return state.status();
  for (const StateIndex& node : record->nodes) {
    const auto file = open_indexed(epoch_directory, node);
    if (!file) return file.status();
  }
  return record;
}

}  // namespace cairn::io
