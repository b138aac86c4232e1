#include "base/crash_point.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

namespace cairn {
namespace {

// CAIRN_CRASH_AT is read once, when the program starts, so each case runs this test binary anew
// (the "threadsafe" style of death tests), and sets the variable for it.
class CrashPoint : public testing::Test {
 protected:
  CrashPoint() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  ~CrashPoint() override { unsetenv("CAIRN_CRASH_AT"); }

  static void crash_at(const char* value) { setenv("CAIRN_CRASH_AT", value, 1); }

  // Passes the point `times` times as rank `rank`, then ends the process with status 7.
  static void pass(std::string_view point, int times, int rank = 0) {
    set_crash_point_rank(rank);
    for (int i = 0; i < times; ++i) crash_point(point);
    std::_Exit(7);
  }
};

using CrashPointDeathTest = CrashPoint;
const testing::KilledBySignal killed{SIGKILL};
const testing::ExitedWithCode survived{7};

TEST_F(CrashPoint, NamesAreUnique) {
  const std::set<std::string_view> names{crash_points().begin(), crash_points().end()};
  EXPECT_EQ(names.size(), crash_points().size());
  EXPECT_FALSE(names.contains(""));
}

TEST_F(CrashPoint, EveryStepOfACommitHasOneInOrder) {
  constexpr std::array<std::string_view, 6> steps = {"data_synced",    "commit_half_written",
                                                     "commit_written", "commit_synced",
                                                     "renamed",        "parent_synced"};
  auto position = crash_points().begin();
  for (const auto step : steps) {
    position = std::find(position, crash_points().end(), step);
    ASSERT_NE(position, crash_points().end()) << step;
  }
}

TEST_F(CrashPointDeathTest, NothingHappensWhenTheVariableIsNotSet) {
  EXPECT_EXIT(pass("renamed", 3), survived, "");
  crash_at("");
  EXPECT_EXIT(pass("renamed", 3), survived, "");
}

TEST_F(CrashPointDeathTest, KillsAtTheNamedPointOnly) {
  crash_at("renamed");
  EXPECT_EXIT(pass("renamed", 1), killed, "");
  EXPECT_EXIT(pass("written", 9), survived, "");
}

TEST_F(CrashPointDeathTest, CountsHits) {
  crash_at("renamed:3");
  EXPECT_EXIT(pass("renamed", 2), survived, "");
  EXPECT_EXIT(pass("renamed", 3), killed, "");
}

TEST_F(CrashPointDeathTest, ComparesTheRank) {
  crash_at("renamed:1:2");
  EXPECT_EXIT(pass("renamed", 1, 0), survived, "");
  EXPECT_EXIT(pass("renamed", 1, 2), killed, "");
}

TEST_F(CrashPointDeathTest, KillsAtEveryPoint) {
  for (const auto point : crash_points()) {
    crash_at(std::string{point}.c_str());
    EXPECT_EXIT(pass(point, 1), killed, "") << point;
  }
}

}  // namespace
}  // namespace cairn
