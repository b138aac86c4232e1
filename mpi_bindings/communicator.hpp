// A communicator of the program as Cairn sees it: its two colours, its channels, its store.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "mpi_bindings/flat_map.hpp"

namespace cairn::mpi {

/// One rank's end of the channels to and from one peer, in one communicator. Rules C1, M7.
struct Channel {
  int world_rank = MPI_PROC_NULL;  ///< the peer in MPI_COMM_WORLD
  // Program counters: what the program has sent, and received, since the job's first start.
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  // Wire counters: messages given to and taken off MPI in the current colour interval.
  std::uint64_t wire_sent = 0;
  std::uint64_t wire_received = 0;
  // The interval before the last flip: taken off so far, and what the peer's marker announced.
  std::uint64_t old_wire_received = 0;
  std::uint64_t old_wire_expected = 0;
};

/// A message that Cairn has taken off MPI, or read from a checkpoint, and the program has not
/// received yet.
struct StoredMessage {
  int source = 0;  ///< rank in the communicator
  int tag = 0;
  std::vector<std::byte> bytes;  ///< as MPI_PACKED
};

/// A managed communicator. Created and freed by ChannelLayer.
struct Communicator {
  MPI_Comm colours[2] = {MPI_COMM_NULL, MPI_COMM_NULL};  ///< [0] is the program's own handle
  std::uint64_t id = 0;  ///< the same on all members and in every run of the program
  std::string label;     ///< for people: "world", "world.2" (the second made from world), …
  int rank = 0;
  int size = 0;
  std::uint64_t collectives = 0;   ///< collective calls made so far (I8)
  std::uint32_t children = 0;      ///< communicators made from this one so far
  FlatMap<Channel> channels;       ///< by peer's rank in this communicator; only peers talked to
  std::list<StoredMessage> store;  ///< in order of arrival (M4)

  /// The channel to `peer`, made when it is new.
  Channel& channel(int peer) {
    Channel& found = channels[static_cast<std::uint64_t>(static_cast<std::uint32_t>(peer))];
    if (found.world_rank == MPI_PROC_NULL) [[unlikely]]
      found.world_rank = world_rank_of(peer);
    return found;
  }

  int world_rank_of(int peer) const;
  /// Rank in this communicator of a rank of MPI_COMM_WORLD; MPI_UNDEFINED when it is no member.
  int rank_of_world(int world_rank) const;
};

/// Ranks of MPI_COMM_WORLD of a communicator's members, in its order. Local.
std::vector<int> world_ranks(MPI_Comm communicator);

/// Rank in `to` of rank `rank` of `from`; MPI_UNDEFINED when it is no member.
int translate_rank(MPI_Comm from, int rank, MPI_Comm to);

/// First message in the store that a receive from `source` (or MPI_ANY_SOURCE) with `tag` (or
/// MPI_ANY_TAG) matches; store.end() when there is none.
std::list<StoredMessage>::iterator find_stored(Communicator& communicator, int source, int tag);

}  // namespace cairn::mpi
