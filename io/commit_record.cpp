#include "io/commit_record.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cmath>

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
  return {{"name", state_file},
          {"size", state.bytes},
          {"metadata_checksum", to_hex(state.metadata_checksum)},
          {"datasets", datasets},
          {"table_checksums", sums}};
}

bool state_from_json(const json& file, StateIndex& state) {
  std::string name, sum;
  if (!file.is_object() || !get(file, "name", name) || name != state_file) return false;
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
  return get(document, "epoch", info.epoch) && get(document, "kind", info.kind) &&
         get(document, "protocol", info.protocol) && get(document, "ranks", info.ranks) &&
         info.ranks >= 1 && get(document, "application", info.application) &&
         get(document, "uuid", info.uuid) && get(document, "safe_point", info.safe_point) &&
         get(document, "messages_in_flight", info.messages_in_flight) &&
         get(document, "blocked_seconds", info.blocked_seconds) &&
         get(document, "bytes", info.bytes) && get(document, "committed_at", info.committed_at);
}

bool from_json(const json& document, CommitRecord& record) {
  if (!info_from_json(document, record.info)) return false;
  const auto files = document.find("files");
  return files != document.end() && files->is_array() && files->size() == 1 &&
         state_from_json((*files)[0], record.state) && record.info.bytes == record.state.bytes;
}

}  // namespace

std::string format_commit(const CommitRecord& record) {
  const EpochInfo& info = record.info;
  ordered_json document;
  document["format_version"] = format_version;
  document["epoch"] = info.epoch;
  document["kind"] = info.kind;
  document["parent"] = info.parent ? ordered_json(*info.parent) : ordered_json(nullptr);
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
  return seal(document);
}

Result<CommitRecord> read_commit_record(const std::filesystem::path& epoch_directory) {
  const std::filesystem::path path = epoch_directory / commit_file;
  const auto document = read_sealed(path);
  if (!document) return document.status();
  CommitRecord record;
  if (!from_json(*document, record)) {
    return Status{Code::corruption,
                  fmt::format("{}: a field is missing or has another type", path.native())};
  }
  const std::filesystem::path state_path = epoch_directory / state_file;
  const auto file = File::open(state_path, O_RDONLY);
  if (!file) {
    if (file.status().code() != Code::not_found) return file.status();
    return Status{Code::corruption, fmt::format("{}: is missing", state_path.native())};
  }
  const auto size = file->size();
  if (!size) return size.status();
  if (*size != record.state.bytes) {
    return Status{Code::corruption, fmt::format("{}: has {} bytes instead of {}",
                                                state_path.native(), *size, record.state.bytes)};
  }
  return record;
}

}  // namespace cairn::io
