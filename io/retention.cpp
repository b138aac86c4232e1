// Store::retain: which epochs go, and how they go.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/crash_point.hpp"
#include "io/files.hpp"
#include "io/names.hpp"
#include "io/store.hpp"

namespace cairn::io {
namespace fs = std::filesystem;
namespace {

/// What is known of the epochs of a directory.
class Epochs {
 public:
  explicit Epochs(const Store& store) {
    for (const std::uint64_t epoch : store.epochs()) {
      auto info = store.read_commit(epoch);
      const Code code = info.status().code();
      if (info.ok()) {
        infos_.emplace(epoch, std::move(*info));
      } else if (code == Code::corruption || code == Code::not_found) {
        damaged_.insert(epoch);
      } else {
        unknown_.insert(epoch);  // no permission, a newer format
      }
    }
    for (const auto& [epoch, info] : infos_) judge(info);
  }

  /// Which go when the newest `keep` stay that a restart can use, and all that they build on.
  /// Ascending.
  std::vector<std::uint64_t> leaving(int keep) const;

 private:
  void judge(const EpochInfo& info);
  void add_with_parents(std::uint64_t epoch, std::set<std::uint64_t>& kept) const;

  std::map<std::uint64_t, EpochInfo> infos_;
  std::set<std::uint64_t> damaged_;  // or building on one that is, or is gone
  std::set<std::uint64_t> unknown_;
  std::set<std::uint64_t> usable_;
  std::uint64_t doubtful_ = 0;  // nothing older goes: what builds on it can't be judged
};

void Epochs::judge(const EpochInfo& info) {
  const EpochInfo* child = &info;
  while (child->parent) {
    const auto parent = infos_.find(*child->parent);
    if (unknown_.contains(*child->parent)) {
      doubtful_ = std::max(doubtful_, info.epoch);
      return;
    }
    // Parents have smaller numbers, so there is an end.
    if (parent == infos_.end() || parent->second.id != child->parent_id) {
      damaged_.insert(info.epoch);
      return;
    }
    child = &parent->second;
  }
  usable_.insert(info.epoch);
}

void Epochs::add_with_parents(std::uint64_t epoch, std::set<std::uint64_t>& kept) const {
  kept.insert(epoch);
  while (const auto parent = infos_.at(epoch).parent) kept.insert(epoch = *parent);
}

std::vector<std::uint64_t> Epochs::leaving(int keep) const {
  std::vector<std::uint64_t> leaving;
  if (usable_.empty()) return leaving;
  std::set<std::uint64_t> kept;
  for (auto epoch = usable_.rbegin(); epoch != usable_.rend() && keep > 0; ++epoch, --keep) {
    add_with_parents(*epoch, kept);
  }
  for (const std::uint64_t epoch : usable_) {
    if (!kept.contains(epoch) && epoch >= doubtful_) leaving.push_back(epoch);
  }
  for (const std::uint64_t epoch : damaged_) {
    if (epoch < *kept.begin() && epoch >= doubtful_) leaving.push_back(epoch);
  }
  std::sort(leaving.begin(), leaving.end());
  return leaving;
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
  const std::vector<std::uint64_t> leaving = Epochs{*this}.leaving(keep);
  // The newest first: whatever is left when this is interrupted has all that it builds on.
  for (auto epoch = leaving.rbegin(); epoch != leaving.rend(); ++epoch) {
    if (auto status = remove_epoch(*this, *epoch); !status) return status;
  }
  crash_point("retention_done");
  return {};
}

}  // namespace cairn::io
