// The simulated MPI: point-to-point matching in two colours, and blocking collectives.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "tests/simulation/sim_kernel.hpp"

namespace cairn::simulation {

constexpr int any = -1;

/// A message of the program. It lives as long as the network; the checks look at it afterwards.
struct Message {
  int source = 0;
  int destination = 0;
  int communicator = 0;
  int tag = 0;
  std::uint64_t sequence = 0;  ///< number on its channel (communicator, source, destination)
  std::uint64_t payload = 0;
  bool rendezvous = false;
  int colour = 0;
  int sent_in = 0;          ///< cuts that the sender had made when it sent the message
  int received_in = -1;     ///< cuts that the receiver had made when the program received it
  bool matched = false;     ///< by a receive, or taken off MPI by Cairn
  double complete_at = -1;  ///< a rendezvous send is complete; -1: not known yet
};

/// A receive that MPI knows of.
struct Receive {
  int source = any;
  int tag = any;
  Message* message = nullptr;
  double complete_at = 0;  ///< when `message` is set
};

inline bool matches(int source, int tag, const Message& message) {
  return (source == any || source == message.source) && (tag == any || tag == message.tag);
}

/// How fast things are in one run.
struct Pace {
  double message = 0.5;  ///< mean delay of a message
  double control = 0.3;  ///< mean delay of a round, marker or acknowledgment
  double poll = 0.4;     ///< longest pause between two polls
  double collective = 0.3;
};

/// Point-to-point messages. Channels are first in, first out for each colour by itself.
class Network {
 public:
  Network(Kernel& kernel, Pace pace, int ranks, int communicators);

  Message* send(const Message& message);
  /// A message that is in nobody's hands yet (from a checkpoint).
  Message* adopt(const Message& message) { return &messages_.emplace_back(message); }
  void post(int rank, int communicator, int colour, Receive& receive);
  /// Cancels a posted receive.
  void withdraw(int rank, int communicator, int colour, Receive& receive);
  /// Improbe and Mrecv with wildcards: the first message that no receive waits for, or null.
  Message* take(int rank, int communicator, int colour);

  const std::deque<Message>& messages() const { return messages_; }

 private:
  struct Mailbox {
    std::list<Message*> unexpected;
    std::list<Receive*> posted;
  };

  Mailbox& mailbox(int rank, int communicator, int colour);
  void arrive(Message& message);
  void match(Receive& receive, Message& message);

  Kernel& kernel_;
  Pace pace_;
  int ranks_;
  int communicators_;
  std::deque<Message> messages_;
  std::vector<Mailbox> mailboxes_;
  std::vector<double> last_arrival_;  ///< per channel and colour
  std::vector<double> slowness_;
};

enum class CollectiveKind { all, broadcast, reduce };

/// Blocking collectives: a rank in one is deaf until it may leave. Not all of them synchronise.
class Collectives {
 public:
  Collectives(Kernel& kernel, Pace pace, std::vector<std::vector<int>> members, int ranks);

  /// co_await: the sum of what the ranks that this one depends on have contributed.
  struct Call {
    Collectives& collectives;
    int communicator;
    int rank;
    CollectiveKind kind;
    int root;
    std::uint64_t value;
    std::uint64_t result = 0;
    std::coroutine_handle<> handle;
    bool leaving = false;

    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> caller) {
      handle = caller;
      collectives.enter(*this);
    }
    std::uint64_t await_resume() const { return result; }
  };
  Call call(int communicator, int rank, CollectiveKind kind, int root, std::uint64_t value) {
    return {*this, communicator, rank, kind, root, value, 0, nullptr, false};
  }
  /// Calls that a rank has made.
  std::uint64_t count(int communicator, int rank) const {
    return counts_.at(static_cast<std::size_t>(communicator * ranks_ + rank));
  }
  bool member(int communicator, int rank) const;

 private:
  struct Instance {
    std::size_t entered = 0;
    bool root_entered = false;
    std::uint64_t root_value = 0;
    std::uint64_t sum = 0;
    CollectiveKind kind = CollectiveKind::all;
    int root = 0;
    std::vector<Call*> waiting;
  };
  void enter(Call& call);

  Kernel& kernel_;
  Pace pace_;
  std::vector<std::vector<int>> members_;
  int ranks_;
  std::vector<std::uint64_t> counts_;
  std::vector<std::map<std::uint64_t, Instance>> instances_;
};

}  // namespace cairn::simulation
