// The simulated machine: virtual time, randomness, what happens next, and coroutines that run in
// it.
#pragma once

#include <cmath>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <queue>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cairn::simulation {

/// A property that does not hold; the message says which.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// xoshiro-like generator: the same numbers with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U + 0x1234567) {}

  std::uint64_t next() {  // splitmix64
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  /// In [0, 1).
  double real() { return static_cast<double>(next() >> 11U) * 0x1p-53; }
  /// In [0, bound).
  int below(int bound) { return static_cast<int>(next() % static_cast<std::uint64_t>(bound)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  bool chance(double probability) { return real() < probability; }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[below(static_cast<int>(values.size()))];
  }
  /// Exponential, now and then ten times as long.
  double delay(double mean) {
    const double value = -std::log(1 - real()) * mean;
    return chance(0.04) ? 10 * value : value;
  }

 private:
  std::uint64_t state_;
};

/// Runs events in the order of their virtual times; all delays are random, so the seed decides what
/// runs next.
class Kernel {
 public:
  explicit Kernel(std::uint64_t seed) : random(seed) {}

  double now() const { return now_; }
  /// As a program sees the clock: it moves between two looks, at times by a lot (preemption).
  double read_clock() {
    now_ += random.chance(0.02) ? 0.5 * random.real() : 1e-6;
    return now_;
  }
  void after(double seconds, std::function<void()> what) {
    events_.push({now_ + seconds, order_++, std::move(what)});
  }
  /// False when nothing can ever happen again.
  bool run_next() {
    if (events_.empty()) return false;
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = std::max(now_, event.time);
    event.what();
    return true;
  }
  std::uint64_t events_scheduled() const { return order_; }

  Random random;
  bool trace = false;

 private:
  struct Event {
    double time;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Event& other) const {
      return time != other.time ? time > other.time : order > other.order;
    }
  };

  double now_ = 0;
  std::uint64_t order_ = 0;
  std::priority_queue<Event> events_;
};

/// A coroutine that another one, or start(), runs to its end.
class Task {
 public:
  struct promise_type {
    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::exception_ptr error;

    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> done) noexcept {
        return done.promise().continuation;
      }
      void await_resume() noexcept {}
    };

    Task get_return_object() {
      return Task{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    Final final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { error = std::current_exception(); }
  };

  Task() = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  void start() { handle_.resume(); }

  bool await_ready() const { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) {
    handle_.promise().continuation = caller;
    return handle_;
  }
  void await_resume() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

/// co_await Sleep{kernel, seconds}
struct Sleep {
  Kernel& kernel;
  double seconds;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    kernel.after(seconds, [handle] { handle.resume(); });
  }
  void await_resume() {}
};

}  // namespace cairn::simulation
