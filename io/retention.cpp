// Store::retain: which epochs go, and how they go.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include "base/crash_point.hpp"
#include "io/files.hpp"
#include "io/names.hpp"
#include "io/store.hpp"

namespace cairn::io {
namespace fs = std::filesystem;
namespace {

struct Epochs {
  std::vector<EpochInfo> valid;        // ascending
  std::vector<std::uint64_t> damaged;  // ascending
};

/// Epochs that can't be judged (no permission, a newer format) are in neither list: they stay.
Epochs classify(const Store& store) {
  Epochs epochs;
  for (const std::uint64_t epoch : store.epochs()) {
    const auto info = store.read_commit(epoch);
    if (info.ok()) {
      epochs.valid.push_back(*info);
    } else if (info.status().code() == Code::corruption ||
               info.status().code() == Code::not_found) {
      epochs.damaged.push_back(epoch);
    }
  }
  return epochs;
}

/// The newest `keep` valid epochs and all that they build on.
std::set<std::uint64_t> kept_epochs(const std::vector<EpochInfo>& valid, int keep) {
  std::set<std::uint64_t> kept;
  for (std::size_t i = 0; i < valid.size(); ++i) {
    const EpochInfo& info = valid[valid.size() - 1 - i];  // a parent is older than its child
    if (i < static_cast<std::size_t>(keep)) kept.insert(info.epoch);
    if (kept.contains(info.epoch) && info.parent) kept.insert(*info.parent);
  }
  return kept;
}

/// First out of sight under another name: what is half removed must not look like an epoch.
Status remove_epoch(const Store& store, std::uint64_t epoch) {
  const fs::path path = store.epoch_path(epoch);
  const fs::path removed =
      store.directory() / (std::string{removed_prefix} + epoch_directory_name(epoch));
  std::error_code error;
  fs::remove_all(removed, error);
  crash_point("retention_begun");
  if (auto status = rename_directory(path, removed); !status) return status;
  if (auto status = sync_directory(store.directory()); !status) return status;
  crash_point("retention_renamed");
  fs::remove_all(removed, error);
  if (error) {
    return {Code::io_error, removed.native() + ": can't remove it: " + error.message()};
  }
  return {};
}

}  // namespace

Status Store::retain(int keep) const {
  if (keep < 1) return {Code::invalid_argument, "at least 1 checkpoint must be kept"};
  remove_leftovers(directory_, removed_prefix);
  const Epochs epochs = classify(*this);
  if (epochs.valid.empty()) return {};
  const std::set<std::uint64_t> kept = kept_epochs(epochs.valid, keep);
  std::vector<std::uint64_t> leaving;
  for (const EpochInfo& info : epochs.valid) {
    if (!kept.contains(info.epoch)) leaving.push_back(info.epoch);
  }
  for (const std::uint64_t epoch : epochs.damaged) {
    if (epoch < *kept.begin()) leaving.push_back(epoch);
  }
  // The newest first: whatever is left when this is interrupted has all that it builds on.
  std::sort(leaving.begin(), leaving.end(), std::greater{});
  for (const std::uint64_t epoch : leaving) {
    if (auto status = remove_epoch(*this, epoch); !status) return status;
  }
  crash_point("retention_done");
  return {};
}

}  // namespace cairn::io
