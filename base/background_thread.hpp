// A thread for what Cairn does while the program computes. It never calls MPI, nor HDF5.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include <cairn/status.hpp>

namespace cairn {

/// Runs jobs one after another in a thread of its own, which is started by the first one. All calls
/// are made by one thread, the owner; none but wait() and the destructor blocks. A job that fails,
/// or throws, drops those behind it. The program's asynchronous signals are never delivered to this
/// thread.
class BackgroundThread {
 public:
  /// Long jobs look at the token now and then, and return early (ok) when they are to stop.
  using Job = std::function<Status(const std::stop_token& cancelled)>;

  BackgroundThread() = default;
  BackgroundThread(const BackgroundThread&) = delete;
  BackgroundThread& operator=(const BackgroundThread&) = delete;
  /// Cancels, and waits for the job that is running.
  ~BackgroundThread();

  void post(Job job);
  /// Drops the jobs that have not begun, and asks the one that runs to stop.
  void cancel();
  /// True when all jobs are done.
  bool idle() const { return idle_.load(std::memory_order_acquire); }
  /// Returns when idle, or after `longest`.
  void wait(std::chrono::microseconds longest);
  /// Of the first job that has failed since the last call. Jobs run again afterwards.
  Status take_status();
  /// Time spent in jobs.
  double busy_seconds() const;

 private:
  void start();
  void run(const std::stop_token& ended);
  Status run_job(const Job& job, const std::stop_token& cancelled);

  mutable std::mutex mutex_;
  std::condition_variable_any work_;
  std::condition_variable idled_;
  std::deque<Job> jobs_;
  std::stop_source cancelled_;
  Status status_;
  bool running_ = false;  ///< a job
  std::atomic<bool> idle_ = true;
  std::chrono::nanoseconds busy_{0};
  std::jthread thread_;  // last: it is joined before the rest goes
};

}  // namespace cairn
