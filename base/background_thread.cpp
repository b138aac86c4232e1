#include "base/background_thread.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <csignal>
#include <exception>
#include <utility>

namespace cairn {
namespace {

/// A thread inherits its creator's signal mask. Faults stay as they are: they belong to the thread
/// that causes them, and a program may handle them to provide its memory.
class NoSignals {
 public:
  NoSignals() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&all, fault);
    pthread_sigmask(SIG_BLOCK, &all, &saved_);
  }
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;

 private:
  sigset_t saved_{};
};

}  // namespace

BackgroundThread::~BackgroundThread() { cancel(); }

void BackgroundThread::start() {
  const NoSignals no_signals;
  thread_ = std::jthread{[this](const std::stop_token& ended) { run(ended); }};
}

void BackgroundThread::post(Job job) {
  const std::lock_guard lock{mutex_};
  if (!status_) return;
  try {
    if (!thread_.joinable()) start();
    jobs_.push_back(std::move(job));
    idle_ = false;
    work_.notify_one();
  } catch (const std::exception& error) {
    status_ = {Code::io_error, fmt::format("can't start a thread: {}", error.what())};
  }
}

void BackgroundThread::cancel() {
  const std::lock_guard lock{mutex_};
  jobs_.clear();
  cancelled_.request_stop();
  cancelled_ = std::stop_source{};
  if (running_) return;
  // The thread has not seen the job, and now never will.
  idle_.store(true, std::memory_order_release);
  idled_.notify_all();
}

void BackgroundThread::wait(std::chrono::microseconds longest) {
  std::unique_lock lock{mutex_};
  idled_.wait_for(lock, longest, [this] { return idle_.load(); });
}

Status BackgroundThread::take_status() {
  const std::lock_guard lock{mutex_};
  return std::exchange(status_, Status{});
}

double BackgroundThread::busy_seconds() const {
  const std::lock_guard lock{mutex_};
  return std::chrono::duration<double>(busy_).count();
}

void BackgroundThread::run(const std::stop_token& ended) {
  std::unique_lock lock{mutex_};
  while (true) {
    if (jobs_.empty()) {
      idle_.store(true, std::memory_order_release);
      idled_.notify_all();
    }
    if (!work_.wait(lock, ended, [this] { return !jobs_.empty(); })) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    const std::stop_token cancelled = cancelled_.get_token();
    running_ = true;
    lock.unlock();
    const auto begin = std::chrono::steady_clock::now();
    Status status = run_job(job, cancelled);
    lock.lock();
    running_ = false;
    busy_ += std::chrono::steady_clock::now() - begin;
    if (!status) {
      jobs_.clear();
      if (status_) status_ = std::move(status);
    }
  }
}

Status BackgroundThread::run_job(const Job& job, const std::stop_token& cancelled) {
  try {
    return job(cancelled);
  } catch (const std::exception& error) {  // no memory
    return {Code::io_error, fmt::format("work in the background failed: {}", error.what())};
  }
}

}  // namespace cairn
