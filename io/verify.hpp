// Checks an epoch offline: every checksum, and the proof that it is a consistent global state.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/store.hpp"

namespace cairn::io {

struct VerifyReport {
  std::uint64_t epoch = 0;
  bool good = false;
  std::vector<std::string> problems;  ///< one line each; empty when good
  std::uint64_t bytes_checked = 0;
  std::uint64_t channels_checked = 0;
  std::uint64_t messages_checked = 0;
};

/// Verifies each epoch at most once: one that builds on another is as good as that.
class Verifier {
 public:
  explicit Verifier(const Store& store) : store_(store) {}
  const VerifyReport& report(std::uint64_t epoch);

 private:
  const Store& store_;
  std::map<std::uint64_t, VerifyReport> reports_;
};

/// Reads the whole epoch, and all that it builds on. Consistent means: for every channel
/// (communicator, source, destination) received at the receiver's cut ≤ sent at the sender's cut
/// (Chandy and Lamport 1985: no orphan), and the difference is exactly the number of messages
/// stored for that channel (nothing lost, nothing twice).
VerifyReport verify_epoch(const Store& store, std::uint64_t epoch);

}  // namespace cairn::io
