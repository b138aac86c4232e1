#include "base/background_thread.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <future>
#include <stdexcept>
#include <string>

namespace cairn {
namespace {

/// Waits at most a minute.
bool becomes_idle(BackgroundThread& thread) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!thread.idle() && std::chrono::steady_clock::now() < deadline) {
    thread.wait(std::chrono::milliseconds(10));
  }
  return thread.idle();
}

/// A job that runs until it is cancelled, and one that waits to be let go.
Status until_cancelled(const std::stop_token& cancelled) {
  while (!cancelled.stop_requested()) std::this_thread::yield();
  return {};
}

TEST(BackgroundThread, RunsJobsInOrderInOneOtherThread) {
  BackgroundThread thread;
  EXPECT_TRUE(thread.idle());
  std::string order;
  std::vector<std::thread::id> threads;
  for (const char c : {'a', 'b', 'c'}) {
    thread.post([&, c](const auto&) {
      order += c;
      threads.push_back(std::this_thread::get_id());
      return Status{};
    });
  }
  ASSERT_TRUE(becomes_idle(thread));
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(threads[0], threads[2]);
  EXPECT_NE(threads[0], std::this_thread::get_id());
  EXPECT_TRUE(thread.take_status().ok());
  EXPECT_GT(thread.busy_seconds(), 0.0);
}

TEST(BackgroundThread, DropsTheRestAfterAFailure) {
  BackgroundThread thread;
  bool more = false;
  std::promise<void> posted;
  thread.post([&](const auto&) {
    posted.get_future().wait();
    return Status{Code::io_error, "first"};
  });
  thread.post([&](const auto&) {
    more = true;
    return Status{};
  });
  posted.set_value();
  ASSERT_TRUE(becomes_idle(thread));
  thread.post([&](const auto&) {
    more = true;
    return Status{};
  });
  ASSERT_TRUE(becomes_idle(thread));
  EXPECT_FALSE(more);
  EXPECT_EQ(thread.take_status().message(), "first");
  EXPECT_TRUE(thread.take_status().ok());
  thread.post([&](const auto&) {
    more = true;
    return Status{};
  });
  ASSERT_TRUE(becomes_idle(thread));
  EXPECT_TRUE(more);
}

TEST(BackgroundThread, TurnsExceptionsIntoFailures) {
  BackgroundThread thread;
  thread.post([](const auto&) -> Status { throw std::runtime_error{"oops"}; });
  ASSERT_TRUE(becomes_idle(thread));
  const Status status = thread.take_status();
  EXPECT_EQ(status.code(), Code::io_error);
  EXPECT_NE(status.message().find("oops"), std::string::npos);
}

TEST(BackgroundThread, CancelsWhatRunsAndWhatWaitsButNotWhatComesLater) {
  BackgroundThread thread;
  bool waiting_ran = false;
  bool later_was_cancelled = true;
  thread.post(until_cancelled);
  thread.post([&](const auto&) {
    waiting_ran = true;
    return Status{};
  });
  thread.cancel();
  thread.post([&](const std::stop_token& cancelled) {
    later_was_cancelled = cancelled.stop_requested();
    return Status{};
  });
  ASSERT_TRUE(becomes_idle(thread));
  EXPECT_FALSE(waiting_ran);
  EXPECT_FALSE(later_was_cancelled);
  thread.post(until_cancelled);  // the destructor ends it
}

volatile sig_atomic_t handled = 0;

/// The program's handlers run in its own threads: a signal that these block stays pending.
TEST(BackgroundThread, LeavesSignalsToTheProgram) {
  struct sigaction action {};
  action.sa_handler = [](int) { handled = 1; };
  sigaction(SIGUSR1, &action, nullptr);
  BackgroundThread thread;
  std::promise<void> checked;
  thread.post([&](const auto&) {
    checked.get_future().wait();
    return Status{};
  });
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  kill(getpid(), SIGUSR1);
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGUSR1), 1);
  EXPECT_EQ(handled, 0);
  checked.set_value();
  ASSERT_TRUE(becomes_idle(thread));
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  EXPECT_EQ(handled, 1);
}

/// A job that is dropped before the thread has seen it leaves nothing to wait for.
TEST(BackgroundThread, IsIdleAfterCancelWhateverTheThreadHasSeen) {
  BackgroundThread thread;
  for (int i = 0; i < 2000; ++i) {
    thread.post([](const std::stop_token&) { return Status{}; });
    thread.cancel();
    for (int k = 0; k < 100 && !thread.idle(); ++k) thread.wait(std::chrono::milliseconds{100});
    ASSERT_TRUE(thread.idle()) << i;
  }
}

}  // namespace
}  // namespace cairn
