// Stands in for communicator.cpp, which asks MPI for the members of a communicator.
#include "tests/simulation/window_communicator.hpp"

#include <algorithm>

namespace cairn::window_simulation {
namespace {

const std::vector<std::vector<int>>* members_by_id = nullptr;

}  // namespace

void set_members(const std::vector<std::vector<int>>& members) { members_by_id = &members; }

}  // namespace cairn::window_simulation

namespace cairn::mpi {

int Communicator::world_rank_of(int peer) const {
  return window_simulation::members_by_id->at(id).at(static_cast<std::size_t>(peer));
}

int Communicator::rank_of_world(int world_rank) const {
  const auto& members = window_simulation::members_by_id->at(id);
  const auto found = std::find(members.begin(), members.end(), world_rank);
  return found == members.end() ? MPI_UNDEFINED : static_cast<int>(found - members.begin());
}

Channel& Communicator::find_channel(int peer) {
  for (Channel& channel : channels_) {
    if (channel.peer == peer) return channel;
  }
  Channel& made = channels_.emplace_back();
  made.peer = peer;
  made.world_rank = world_rank_of(peer);
  return made;
}

std::list<StoredMessage>::iterator find_stored(Communicator& communicator, int source, int tag) {
  return std::find_if(communicator.store.begin(), communicator.store.end(),
                      [&](const StoredMessage& message) {
                        return accepts(source, tag, message.source, message.tag);
                      });
}

}  // namespace cairn::mpi
