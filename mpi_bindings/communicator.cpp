#include "mpi_bindings/communicator.hpp"

#include <algorithm>
#include <numeric>

namespace cairn::mpi {
namespace {

/// A group that is freed when it goes out of scope.
class Group {
 public:
  using Get = int (*)(MPI_Comm, MPI_Group*);
  Group(Get get, MPI_Comm communicator) { get(communicator, &group_); }
  ~Group() { PMPI_Group_free(&group_); }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  operator MPI_Group() const { return group_; }

 private:
  MPI_Group group_ = MPI_GROUP_NULL;
};

std::vector<int> translate(MPI_Group from, const std::vector<int>& ranks, MPI_Group to) {
  std::vector<int> translated(ranks.size());
  PMPI_Group_translate_ranks(from, static_cast<int>(ranks.size()), ranks.data(), to,
                             translated.data());
  return translated;
}

/// The group that a communicator's peers are in.
Group::Get peers(const Communicator& communicator) {
  return communicator.inter ? &PMPI_Comm_remote_group : &PMPI_Comm_group;
}

}  // namespace

std::vector<int> world_ranks(MPI_Group group) {
  int size = 0;
  PMPI_Group_size(group, &size);
  std::vector<int> own(static_cast<std::size_t>(size));
  std::iota(own.begin(), own.end(), 0);
  return translate(group, own, Group{PMPI_Comm_group, MPI_COMM_WORLD});
}

std::vector<int> world_ranks(MPI_Comm communicator) {
  std::vector<int> members = world_ranks(Group{PMPI_Comm_group, communicator});
  int inter = 0;
  PMPI_Comm_test_inter(communicator, &inter);
  if (inter == 0) return members;
  std::vector<int> remote = world_ranks(Group{PMPI_Comm_remote_group, communicator});
  if (remote.front() < members.front()) members.swap(remote);
  members.insert(members.end(), remote.begin(), remote.end());
  return members;
}

int Communicator::world_rank_of(int peer) const {
  return translate(Group{peers(*this), colours[0]}, {peer}, Group{PMPI_Comm_group, MPI_COMM_WORLD})
      .front();
}

int Communicator::rank_of_world(int world_rank) const {
  return translate(Group{PMPI_Comm_group, MPI_COMM_WORLD}, {world_rank},
                   Group{peers(*this), colours[0]})
      .front();
}

Channel& Communicator::find_channel(int peer) {
  Channel*& found = by_peer_[static_cast<std::uint64_t>(static_cast<std::uint32_t>(peer))];
  if (found == nullptr) {
    found = &channels_.emplace_back();
    found->peer = peer;
    found->world_rank = world_rank_of(peer);
  }
  recent_[place_of(peer)] = found;
  return *found;
}

std::list<StoredMessage>::iterator find_stored(Communicator& communicator, int source, int tag) {
  return std::find_if(communicator.store.begin(), communicator.store.end(),
                      [&](const StoredMessage& message) {
                        return accepts(source, tag, message.source, message.tag);
                      });
}

}  // namespace cairn::mpi
