#include "base/log.hpp"

#include <gtest/gtest.h>

#include <string>

namespace cairn::log {
namespace {

class Log : public testing::Test {
 protected:
  ~Log() override {
    set_level(Level::warning);
    set_rank(-1);
  }

  static std::string printed_by(void (*print)()) {
    testing::internal::CaptureStderr();
    print();
    return testing::internal::GetCapturedStderr();
  }

  static void print_all() {
    error("no space in {}", "cairn");
    warning("epoch {} is damaged", 3);
    info("epoch {} committed", 4);
    debug("marker from {}", 5);
  }
};

TEST_F(Log, PrintsWarningsAndErrorsByDefault) {
  EXPECT_EQ(printed_by(print_all),
            "cairn: error: no space in cairn\n"
            "cairn: warning: epoch 3 is damaged\n");
}

TEST_F(Log, PrintsEverythingAtDebug) {
  set_level(Level::debug);
  EXPECT_EQ(printed_by(print_all),
            "cairn: error: no space in cairn\n"
            "cairn: warning: epoch 3 is damaged\n"
            "cairn: epoch 4 committed\n"
            "cairn: marker from 5\n");
}

TEST_F(Log, PrintsNothingWhenOff) {
  set_level(Level::off);
  EXPECT_EQ(printed_by(print_all), "");
}

TEST_F(Log, NamesTheRankUnlessItIsZero) {
  const auto print = [] { error("cut off"); };
  set_rank(0);
  EXPECT_EQ(printed_by(print), "cairn: error: cut off\n");
  set_rank(3);
  EXPECT_EQ(printed_by(print), "cairn: rank 3: error: cut off\n");
}

TEST_F(Log, ParsesTheNamesOfLevels) {
  Level level = Level::debug;
  EXPECT_TRUE(parse_level("off", level));
  EXPECT_EQ(level, Level::off);
  EXPECT_TRUE(parse_level("error", level));
  EXPECT_EQ(level, Level::error);
  EXPECT_TRUE(parse_level("warning", level));
  EXPECT_EQ(level, Level::warning);
  EXPECT_TRUE(parse_level("info", level));
  EXPECT_EQ(level, Level::info);
  EXPECT_TRUE(parse_level("debug", level));
  EXPECT_EQ(level, Level::debug);
}

TEST_F(Log, LeavesTheLevelAloneWhenANameIsWrong) {
  for (const char* text : {"", "warn", "WARNING", "debug ", "1"}) {
    Level level = Level::info;
    EXPECT_FALSE(parse_level(text, level)) << '"' << text << '"';
    EXPECT_EQ(level, Level::info);
  }
}

}  // namespace
}  // namespace cairn::log
