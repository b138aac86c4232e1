// The MPI below a simulated window: point-to-point matching, in which things happen one by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "runtime/protocol/transport.hpp"
#include "tests/simulation/sim_kernel.hpp"

namespace cairn::window_simulation {

using simulation::Failure;
using simulation::Random;

/// One colour of a communicator. Communicator 0 is the protocol's own.
struct Context {
  int communicator = 0;
  int colour = 0;
  auto operator<=>(const Context&) const = default;
};

/// It lives as long as the network; the checks look at it afterwards.
struct Message {
  std::uint64_t number = 0;  ///< unique, and its content; 0 is no message's
  int sender = 0;            ///< rank of the job
  int receiver = 0;          ///< rank of the job
  Context context;
  int source = 0;  ///< rank of the sender in the communicator
  int tag = 0;
  bool rendezvous = false;     ///< the send is complete only after a receive has been matched
  std::uint64_t epoch = 0;     ///< cuts that the sender had made
  std::uint64_t sequence = 0;  ///< on its channel, over both colours
  protocol::Marker marker;     ///< communicator 0
  bool restored = false;       ///< from a checkpoint: has never been in this network

  bool sent = false;  ///< the send is complete
  bool matched = false;
  std::uint64_t matched_at = 0;
  std::optional<std::uint64_t> received_in;  ///< cuts that the program's rank had made
};

/// A receive request of MPI's.
struct Reception {
  int rank = 0;
  Context context;
  int source = 0;
  int tag = 0;
  std::byte* buffer = nullptr;  ///< gets the message's number when the receive is complete
  Message* message = nullptr;   ///< matched
  bool complete = false;
  bool cancelled = false;
};

/// Channels (two ranks, one context) are first in, first out; otherwise anything may happen at any
/// time: messages arrive, bytes of a rendezvous get there, sends become complete.
class Network {
 public:
  struct Pace {
    double control = 1;   ///< relative speed of the protocol's own messages
    double batching = 0;  ///< chance that a channel's next message arrives together with one
  };

  Network(Random& random, int ranks, const Pace& pace)
      : random_(random), pace_(pace), ends_(static_cast<std::size_t>(ranks)) {}

  Message& send(Message message);
  /// One that was in flight in an earlier run of the program.
  Message& restore(Message message);
  /// The number of the next message on that channel of an earlier run.
  void continue_channel(int sender, int receiver, int communicator, std::uint64_t sequence) {
    sequences_[{sender, receiver, communicator}] = sequence;
  }
  Reception& receive(int rank, Context context, int source, int tag, std::byte* buffer);
  /// Succeeds when no message has been matched.
  void cancel(Reception& reception);
  /// The first message that has arrived and that no receive was waiting for (MPI_Iprobe).
  Message* find(int rank, Context context, int source, int tag);
  /// Likewise, and takes it (MPI_Improbe).
  Message* match(int rank, Context context, int source, int tag);
  /// MPI_Imrecv.
  Reception& receive_matched(Message& message, std::byte* buffer);
  /// A receive that this network does not complete: the caller does.
  Reception& foreign() { return receptions_.emplace_back(); }

  /// Something that will happen some time; the sooner the higher its speed, in (0, 1].
  void later(std::function<void()> what, double speed = 1);
  /// Something that is under way may happen; false when nothing is.
  bool step();
  bool idle() const { return busy_.empty() && later_.empty(); }

  /// Moves on with everything that happens here, and by tick().
  std::uint64_t now() const { return now_; }
  void tick() { ++now_; }

  std::deque<Message>& messages() { return messages_; }
  const std::deque<Message>& messages() const { return messages_; }

 private:
  struct Channel {
    std::deque<Message*> under_way;
    double speed = 1;
  };
  struct Event {
    std::function<void()> what;
    double speed = 1;
  };
  /// What waits at a rank, per context.
  struct End {
    std::list<Reception*> posted;
    std::list<Message*> arrived;
  };

  End& end(int rank, Context context) { return ends_[static_cast<std::size_t>(rank)][context]; }
  void arrive(Channel& channel);
  void join(Reception& reception, Message& message);
  void transfer(Reception& reception);

  Random& random_;
  Pace pace_;
  std::deque<Message> messages_;
  std::deque<Reception> receptions_;
  std::map<std::tuple<int, int, Context>, Channel> channels_;
  std::map<std::tuple<int, int, int>, std::uint64_t> sequences_;
  std::vector<Channel*> busy_;
  std::vector<Event> later_;
  std::vector<std::map<Context, End>> ends_;
  std::uint64_t now_ = 0;
};

}  // namespace cairn::window_simulation
