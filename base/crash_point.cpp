#include "base/crash_point.hpp"

#include <array>
#include <cassert>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>

namespace cairn {
namespace {

using namespace std::string_view_literals;

constexpr std::array points = {
    "cut_agreed"sv,            // all ranks are at the cut; nothing has been changed yet
    "flipped"sv,               // the colour has been flipped, markers not yet sent
    "drained"sv,               // all late messages are in the store
    "directory_created"sv,     // rank 0: the temporary directory exists
    "file_created"sv,          // the file for the data exists and is open, nothing written
    "half_written"sv,          // some regions are written
    "written"sv,               // all data and tables are written, not yet synced
    "data_synced"sv,           // the files have been fsynced
    "closed"sv,                // the files are closed
    "prepared"sv,              // every rank has voted to commit
    "commit_half_written"sv,   // rank 0: COMMIT.json has half of its bytes
    "commit_written"sv,        // rank 0: COMMIT.json is written, not synced
    "commit_synced"sv,         // rank 0: COMMIT.json and its directory are synced
    "renamed"sv,               // rank 0: the epoch has its final name
    "parent_synced"sv,         // rank 0: the checkpoint directory is synced
    "committed"sv,             // every rank knows of the commit
    "retention_begun"sv,       // rank 0: an old epoch is about to be removed
    "retention_renamed"sv,     // rank 0: an old epoch has been renamed away, not yet removed
    "retention_done"sv,        // rank 0: old epochs have been removed
    "restart_chosen"sv,        // the epoch to restart from is known, nothing read
    "restart_half_read"sv,     // some regions are restored
    "restart_done"sv,          // everything is restored
    "compact_half_written"sv,  // `cairn compact`: the file that is to replace the others is begun
    "compact_written"sv,       // it is complete and synced, and COMMIT.json names the others
    "compact_committed"sv,     // COMMIT.json names it, and the others are still there
};

struct Target {
  std::string point;
  int hit = 1;
  std::optional<int> rank;
};

std::optional<Target> parse(const char* text) {
  if (text == nullptr || *text == '\0') return std::nullopt;
  Target target;
  const std::string value = text;
  const auto first = value.find(':');
  target.point = value.substr(0, first);
  if (first == std::string::npos) return target;
  const auto second = value.find(':', first + 1);
  target.hit = std::atoi(value.substr(first + 1, second - first - 1).c_str());
  if (second != std::string::npos) target.rank = std::atoi(value.substr(second + 1).c_str());
  return target;
}

std::optional<Target> target = parse(std::getenv("CAIRN_CRASH_AT"));
int my_rank = 0;
int hits = 0;

}  // namespace

std::span<const std::string_view> crash_points() { return points; }

void set_crash_point_rank(int rank) { my_rank = rank; }

void crash_point(std::string_view point) {
  if (!target) [[likely]]
    return;
  if (target->point != point) return;
  if (target->rank && *target->rank != my_rank) return;
  if (++hits == target->hit) std::raise(SIGKILL);
}

}  // namespace cairn
