// The proof that a checkpoint is a consistent global state, from its counters and messages.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/records.hpp"

namespace cairn::io {

/// Adds up, per channel (communicator, source, destination), what was sent, received and stored.
class ChannelProof {
 public:
  explicit ChannelProof(int ranks) : ranks_(ranks) {}
  void add(int rank, const std::vector<ChannelCounter>& counters);
  void add(const std::vector<Message>& messages);
  void set_communicators(const std::vector<Communicator>& communicators);

  /// One line for each channel with an orphan, a lost or a duplicate message, or counters that
  /// make no sense; at most `limit` and then how many more. Empty: consistent.
  std::vector<std::string> problems(std::size_t limit = 20);
  std::uint64_t channels() const { return channels_; }

 private:
  struct Term {
    std::uint64_t communicator;
    int source, destination;
    std::uint64_t sent, received, stored;
    int senders, receivers;  // rows that these counts come from
  };

  void sum_up();
  std::string problem(const Term& channel) const;
  std::string label(std::uint64_t communicator) const;

  int ranks_;
  std::vector<Term> terms_;
  std::vector<Communicator> communicators_;
  std::uint64_t channels_ = 0;
};

}  // namespace cairn::io
