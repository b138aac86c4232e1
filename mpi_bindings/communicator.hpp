// A communicator of the program as Cairn sees it: its two colours, its channels, its store.
#pragma once

#include <mpi.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mpi_bindings/flat_map.hpp"

namespace cairn::mpi {

struct Receive;

/// One rank's end of the channels to and from one peer, in one communicator. Rules C1, M7. The
/// program counters are the only ones that are touched per message; the wire counters of a colour
/// interval are their growth since the last cut, corrected by what Cairn takes off MPI itself.
struct Channel {
  int peer = MPI_PROC_NULL;        ///< rank in the communicator (its remote group)
  int world_rank = MPI_PROC_NULL;  ///< the peer in MPI_COMM_WORLD
  // Program counters: what the program has sent, and received, since the job's first start.
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  // At the last cut.
  std::uint64_t sent_before = 0;
  std::uint64_t received_before = 0;
  /// Taken off MPI in this interval and not received by the program in it, less the reverse.
  std::int64_t ahead = 0;
  // The interval before the last cut: taken off so far, and what the peer's marker announced.
  std::uint64_t old_taken = 0;
  std::uint64_t old_expected = 0;

  std::uint64_t wire_sent() const { return sent - sent_before; }
  std::uint64_t wire_received() const {
    return received - received_before + static_cast<std::uint64_t>(ahead);
  }
};

/// What a message carries. Never changes once it has arrived.
struct Payload {
  std::vector<std::byte> bytes;             ///< as MPI_PACKED
  MPI_Request arriving = MPI_REQUEST_NULL;  ///< not null: the bytes are still on their way
  bool awaited = false;                     ///< a receive of the program gets them first
};

/// A message that Cairn has taken off MPI, or read from a checkpoint, and the program has not
/// received yet.
struct StoredMessage {
  int source = 0;  ///< rank in the communicator
  int tag = 0;
  std::shared_ptr<Payload> payload = std::make_shared<Payload>();  ///< an epoch may record it, too
};

/// Whether a receive or probe for `source` and `tag` (or the wildcards) accepts a message.
inline bool accepts(int source, int tag, int message_source, int message_tag) {
  return (source == MPI_ANY_SOURCE || source == message_source) &&
         (tag == MPI_ANY_TAG || tag == message_tag);
}

/// A managed communicator. Created and freed by ChannelLayer.
struct Communicator {
  Communicator() { recent_.fill(&none_); }
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  MPI_Comm colours[2] = {MPI_COMM_NULL, MPI_COMM_NULL};  ///< [0] is the program's own handle
  std::uint64_t id = 0;  ///< the same on all members and in every run of the program
  std::string label;     ///< for people: "world", "world.2" (the second made from world), …
  int rank = 0;
  int size = 0;                   ///< of the local group
  int remote_size = 0;            ///< number of possible peers: of the remote group, or size
  bool inter = false;             ///< an intercommunicator: peers are ranks of the remote group
  bool freed = false;             ///< by the program; kept for what is still in flight on it
  std::uint64_t collectives = 0;  ///< collective calls made so far (I8)
  std::uint32_t children = 0;     ///< communicators made from this one so far, by all members
  int duplications = 0;           ///< MPI_Comm_idup of it that the program has yet to complete
  std::map<std::uint64_t, std::uint32_t> groups;  ///< likewise by some members, by group
  std::list<StoredMessage> store;                 ///< in order of arrival (M4)
  std::vector<Receive*> held;  ///< receives that wait for Cairn's matching, as posted (M2)

  /// The channel to and from `peer`, made when it is new. Stays where it is.
  Channel& channel(int peer) {
    Channel& recent = recent_channel(peer);
    if (recent.peer == peer) [[likely]]
      return recent;
    return find_channel(peer);
  }
  /// That channel, if it was used lately; else another one.
  Channel& recent_channel(int peer) { return *recent_[place_of(peer)]; }
  template <class Visit>
  void for_each_channel(Visit&& visit) {
    for (auto& channel : channels_) visit(channel);
  }

  int world_rank_of(int peer) const;
  /// Rank as a peer of a rank of MPI_COMM_WORLD; MPI_UNDEFINED when it is none.
  int rank_of_world(int world_rank) const;

 private:
  Channel& find_channel(int peer);

  // Fibonacci hashing: the ranks of neighbours in a grid differ by powers of two, often.
  static unsigned place_of(int peer) { return static_cast<unsigned>(peer) * 0x9E3779B1U >> 28; }
  Channel none_{.peer = MPI_UNDEFINED};
  std::array<Channel*, 16> recent_;
  FlatMap<Channel*> by_peer_;
  std::deque<Channel> channels_;  ///< only peers talked to
};

/// Ranks of MPI_COMM_WORLD of a communicator's members, in its order; of both groups, the one with
/// the smaller first rank first, when it is an intercommunicator. Local.
std::vector<int> world_ranks(MPI_Comm communicator);
/// Likewise, of a group's members.
std::vector<int> world_ranks(MPI_Group group);

/// First message in the store that a receive from `source` (or MPI_ANY_SOURCE) with `tag` (or
/// MPI_ANY_TAG) matches; store.end() when there is none.
std::list<StoredMessage>::iterator find_stored(Communicator& communicator, int source, int tag);

}  // namespace cairn::mpi
