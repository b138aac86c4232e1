// What went wrong and what the caller can do about it: Status and Result<T>.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cairn {

/// What the caller can do: see each value.
enum class Code {
  ok,
  invalid_argument,  ///< the call or a setting is wrong: correct it
  not_found,         ///< there is nothing of that name
  corruption,        ///< stored data is damaged: use an older checkpoint
  io_error,          ///< the file system refused: free space, fix permissions, try again
  mpi_error,         ///< MPI reported an error
  unsupported,       ///< not possible with this checkpoint or this version
  busy,              ///< not now: try again at a later safe point
};

/// Lower-case name of a code, for messages.
constexpr std::string_view code_name(Code code) {
  switch (code) {
    case Code::ok: return "ok";
    case Code::invalid_argument: return "invalid argument";
    case Code::not_found: return "not found";
    case Code::corruption: return "corruption";
    case Code::io_error: return "i/o error";
    case Code::mpi_error: return "MPI error";
    case Code::unsupported: return "unsupported";
    case Code::busy: return "busy";
  }
  return "unknown";
}

/// Success, or a code with one line that names the thing and the remedy.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::ok; }
  explicit operator bool() const { return ok(); }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::ok;
  std::string message_;
};

/// A value, or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Status& status() const { return status_; }
  T& value() { return *value_; }
  const T& value() const { return *value_; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace cairn
