#include "io/store.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>

#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "io/commit_record.hpp"
#include "io/files.hpp"
#include "io/names.hpp"
#include "io/sealed_json.hpp"

namespace cairn::io {
namespace fs = std::filesystem;
namespace {

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

/// Creates a directory that only its owner can enter, and missing parents with the usual mode.
Status make_private_directory(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return {};
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return errno_status(path, "can't create the checkpoint directory");
  }
  return {};
}

Status check_writable(const fs::path& directory) {
  const fs::path path = directory / (std::string{temporary_prefix} + "write-test");
  auto file = File::open(path, O_RDWR | O_CREAT | O_TRUNC);
  if (!file) {
    return {Code::io_error,
            fmt::format("can't write to the checkpoint directory: {}", file.status().message())};
  }
  ::unlink(path.c_str());
  return file->close();
}

nlohmann::ordered_json job_to_json(const Job& job) {
  nlohmann::ordered_json document;
  document["format_version"] = format_version;
  document["application"] = job.application;
  document["command"] = job.command;
  document["uuid"] = job.uuid;
  document["ranks"] = job.ranks;
  return document;
}

/// Two writes with a crash point between: a torn document is what a crash leaves.
Status write_commit(const fs::path& path, const std::string& text) {
  auto file = File::open(path, O_WRONLY | O_CREAT | O_EXCL);
  if (!file) return file.status();
  const std::string_view view = text;
  if (auto status = file->write(view.substr(0, view.size() / 2)); !status) return status;
  crash_point("commit_half_written");
  if (auto status = file->write(view.substr(view.size() / 2)); !status) return status;
  crash_point("commit_written");
  if (auto status = file->sync(); !status) return status;
  if (auto status = file->close(); !status) return status;
  if (auto status = sync_directory(path.parent_path()); !status) return status;
  crash_point("commit_synced");
  return {};
}

}  // namespace

fs::path Store::epoch_path(std::uint64_t epoch) const {
  return directory_ / epoch_directory_name(epoch);
}

fs::path Store::temporary_path(std::uint64_t epoch) const {
  return directory_ / (std::string{temporary_prefix} + epoch_directory_name(epoch));
}

Status Store::prepare(const Job& job, bool retiring) const {
  if (auto status = make_private_directory(directory_); !status) return status;
  if (auto status = check_writable(directory_); !status) return status;
  remove_leftovers(directory_, temporary_prefix);
  if (!retiring) remove_leftovers(directory_, removed_prefix);
  const fs::path path = directory_ / job_file;
  std::error_code error;
  if (fs::exists(path, error)) return {};
  return write_atomically(path, seal(job_to_json(job)));
}

Result<Job> Store::read_job() const {
  const fs::path path = directory_ / job_file;
  const auto document = read_sealed(path);
  if (!document) return document.status();
  Job job;
  const auto command = document->find("command");
  bool good = get(*document, "application", job.application) && get(*document, "uuid", job.uuid) &&
              get(*document, "ranks", job.ranks) && command != document->end() &&
              command->is_array();
  for (std::size_t i = 0; good && i < command->size(); ++i) {
    good = (*command)[i].is_string();
    if (good) job.command.push_back((*command)[i].get<std::string>());
  }
  if (!good) {
    return Status{Code::corruption,
                  fmt::format("{}: a field is missing or has another type", path.native())};
  }
  return job;
}

std::vector<std::uint64_t> Store::epochs() const {
  std::vector<std::uint64_t> epochs;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(directory_, error)) {
    const auto epoch = parse_epoch_directory_name(item.path().filename().native());
    std::error_code not_a_directory;
    if (epoch && item.is_directory(not_a_directory)) epochs.push_back(*epoch);
  }
  std::sort(epochs.begin(), epochs.end());
  return epochs;
}

Result<EpochInfo> Store::read_commit(std::uint64_t epoch) const {
  const auto record = read_commit_record(epoch_path(epoch));
  if (!record) return record.status();
  if (record->info.epoch != epoch) {
    return Status{Code::corruption,
                  fmt::format("{}: is of epoch {}: the directory was renamed",
                              (epoch_path(epoch) / commit_file).native(), record->info.epoch)};
  }
  return record->info;
}

Result<fs::path> Store::begin(std::uint64_t epoch) const {
  std::error_code error;
  if (fs::exists(fs::symlink_status(epoch_path(epoch), error))) {
    return Status{Code::invalid_argument, fmt::format("{}: exists already and is never replaced",
                                                      epoch_path(epoch).native())};
  }
  const fs::path path = temporary_path(epoch);
  fs::remove_all(path, error);  // of a checkpoint that was given up
  if (::mkdir(path.c_str(), 0700) != 0) {
    const Status status = errno_status(path, "can't create it");
    return Status{Code::io_error, status.message()};
  }
  crash_point("directory_created");
  return path;
}

Result<EpochInfo> Store::commit(const EpochInfo& info) const {
  const fs::path directory = temporary_path(info.epoch);
  auto state = scan_state(directory / state_file);
  if (!state) return state.status();
  CommitRecord record{info, std::move(*state), {}};
  std::error_code error;
  for (std::uint64_t i = 0; fs::exists(directory / node_file_name(i), error); ++i) {
    auto node = scan_node(directory / node_file_name(i));
    if (!node) return node.status();
    record.nodes.push_back(std::move(*node));
  }
  return publish(std::move(record));
}

Result<EpochInfo> Store::commit(const EpochInfo& info, const WrittenFiles& files) const {
  auto state = index_state(temporary_path(info.epoch) / state_file, files.state);
  if (!state) return state.status();
  return publish({info, std::move(*state), files.nodes});
}

/// Whether all that an epoch builds on is there.
Status Store::check_parents(const EpochInfo& info) const {
  EpochInfo child = info;
  while (child.parent) {
    auto parent = read_commit(*child.parent);
    const bool gone = !parent && parent.status().code() == Code::not_found;
    if (!parent && !gone) return parent.status();
    if (gone || parent->id != child.parent_id || parent->epoch >= child.epoch) {
      return {Code::corruption, fmt::format("epoch {}, which epoch {} builds on, is gone",
                                            *child.parent, child.epoch)};
    }
    child = std::move(*parent);
  }
  return {};
}

Result<EpochInfo> Store::publish(CommitRecord record) const {
  if (auto status = check_parents(record.info); !status) return status;
  const fs::path temporary = temporary_path(record.info.epoch);
  record.info.bytes = record.state.bytes;
  for (const StateIndex& node : record.nodes) record.info.bytes += node.bytes;
  record.info.id = random_id();
  record.info.committed_at = utc_now();
  record.info.messages_in_flight = message_count(record.state);
  const fs::path commit_path = temporary / commit_file;
  if (auto status = write_commit(commit_path, format_commit(record)); !status) return status;
  const fs::path path = epoch_path(record.info.epoch);
  if (auto status = rename_directory(temporary, path); !status) return status;
  crash_point("renamed");
  if (auto status = sync_directory(directory_); !status) {
    // Not durable, hence not committed: back to what discard() removes.
    std::rename(path.c_str(), temporary.c_str());
    return status;
  }
  crash_point("parent_synced");
  return record.info;
}

void Store::discard(std::uint64_t epoch) const {
  std::error_code error;
  fs::remove_all(temporary_path(epoch), error);
}

void Store::append_history(const std::string& json_line) const {
  auto file = File::open(directory_ / history_file, O_WRONLY | O_APPEND | O_CREAT);
  if (!file) return;
  // In one write, so that lines are never mixed; a lost line only makes an estimate worse.
  if (const auto status = file->write(json_line + "\n"); !status) {
    log::debug("{}", status.message());
  }
}

}  // namespace cairn::io
