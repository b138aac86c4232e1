#include "mpi_bindings/channel_layer.hpp"

#include <fmt/format.h>

#include <span>

#include "base/checksum.hpp"
#include "mpi_bindings/packed_bytes.hpp"

namespace cairn::mpi {

ChannelLayer* layer = nullptr;
const char* layer_missing_because = "";

namespace {

constexpr std::uint64_t world_id = 1;
constexpr std::uint64_t self_id = 2;

/// A communicator with the same ranks, and none of the attributes, topology and hints of
/// `original`.
MPI_Comm make_twin(MPI_Comm original) {
  MPI_Group group = MPI_GROUP_NULL;
  MPI_Comm twin = MPI_COMM_NULL;
  PMPI_Comm_group(original, &group);
  PMPI_Comm_create(original, group, &twin);
  PMPI_Group_free(&group);
  return twin;
}

}  // namespace

std::string describe(const Call& call) {
  if (call.name == nullptr) return "no MPI call";
  if (call.communicator == nullptr) return call.name;
  const std::string where = fmt::format("communicator {}", call.communicator->label);
  if (call.peer == MPI_PROC_NULL) return fmt::format("{} ({})", call.name, where);
  const std::string peer = call.peer == MPI_ANY_SOURCE ? "any" : std::to_string(call.peer);
  const std::string tag = call.tag == MPI_ANY_TAG ? "any" : std::to_string(call.tag);
  return fmt::format("{} (peer {}, tag {}, {})", call.name, peer, tag, where);
}

ChannelLayer::ChannelLayer() {
  manage(MPI_COMM_WORLD, world_id, "world");
  manage(MPI_COMM_SELF, self_id, "self");
  PMPI_Comm_dup(MPI_COMM_SELF, &self_);
  PMPI_Comm_set_errhandler(self_, MPI_ERRORS_RETURN);
}

ChannelLayer::~ChannelLayer() {
  for (auto& send : self_sends_) PMPI_Wait(&send.request, MPI_STATUS_IGNORE);
  PMPI_Comm_free(&self_);
  // Freeing is collective: only what every rank has for sure is freed, MPI_Finalize does the rest.
  for (const std::uint64_t id : {world_id, self_id}) PMPI_Comm_free(&by_id_.at(id)->colours[1]);
}

void ChannelLayer::manage(MPI_Comm handle, std::uint64_t id, std::string label) {
  auto made = std::make_unique<Communicator>();
  made->colours[0] = handle;
  made->colours[1] = make_twin(handle);
  made->id = id;
  made->label = std::move(label);
  PMPI_Comm_rank(handle, &made->rank);
  PMPI_Comm_size(handle, &made->size);
  by_handle_[handle_key(handle)] = made.get();
  by_id_[id] = std::move(made);
}

Communicator* ChannelLayer::find_slowly(MPI_Comm handle) {
  Communicator** found = by_handle_.find(handle_key(handle));
  if (found == nullptr) return nullptr;
  last_handle_ = handle;
  last_ = *found;
  return *found;
}

void ChannelLayer::adopt(MPI_Comm handle, Communicator& parent) {
  // Creating a communicator is collective over its parent, so all members count alike. Groups
  // that one call makes are told apart by their members, and so is a group that has other members
  // in a restarted run (ranks that share a node, say).
  const std::uint32_t child = ++parent.children;
  if (handle == MPI_COMM_NULL) return;
  const std::vector<int> members = world_ranks(handle);
  std::string label = fmt::format("{}.{}", parent.label, child);
  if (members.size() != static_cast<std::size_t>(parent.size)) {
    label += fmt::format("@{}", members.front());
  }
  const std::uint64_t group = checksum(std::as_bytes(std::span{members}));
  manage(handle, mix(mix(parent.id, child), group), std::move(label));
}

void ChannelLayer::release(Communicator& communicator) {
  PMPI_Comm_free(&communicator.colours[1]);
  for (const auto& message : communicator.store) stored_bytes_ -= message.bytes.size();
  if (last_ == &communicator) {
    last_handle_ = MPI_COMM_NULL;
    last_ = nullptr;
  }
  by_handle_.erase(handle_key(communicator.colours[0]));
  const auto owner = by_id_.find(communicator.id);
  if (requests_.size() > 0) freed_.push_back(std::move(owner->second));
  by_id_.erase(owner);
}

int ChannelLayer::deliver(Communicator& communicator, std::list<StoredMessage>::iterator message,
                          void* buffer, int count, MPI_Datatype type, MPI_Request* request) {
  reap_self_sends();
  stored_bytes_ -= message->bytes.size();
  SelfSend& send = self_sends_.emplace_back();
  send.bytes = std::move(message->bytes);
  const PackedBytes packed{send.bytes.size()};
  // The send comes first: a receive that is posted before it would hide a truncation (B4).
  PMPI_Isend(send.bytes.data(), packed.count(), packed.type(), 0, 0, self_, &send.request);
  const int error = PMPI_Irecv(buffer, count, type, 0, 0, self_, request);
  if (error == MPI_SUCCESS) {
    RequestRecord record;
    record.kind = RequestRecord::Kind::delivery;
    record.peer = message->source;
    record.tag = message->tag;
    record.communicator = &communicator;
    record.call = "MPI_Irecv";
    requests_.add(*request, record);
  }
  communicator.store.erase(message);
  return error;
}

void ChannelLayer::reap_self_sends() {
  for (auto it = self_sends_.begin(); it != self_sends_.end();) {
    int done = 0;
    PMPI_Test(&it->request, &done, MPI_STATUS_IGNORE);
    it = done != 0 ? self_sends_.erase(it) : std::next(it);
  }
}

void ChannelLayer::refuse_for_good(const char* call) {
  if (uncovered_call_ == nullptr) uncovered_call_ = call;
}

void ChannelLayer::count_open(const char* what, int change) { open_[what] += change; }

std::optional<std::string> ChannelLayer::refusal() {
  if (uncovered_call_ != nullptr) {
    return fmt::format("the program has called {}, which Cairn does not cover yet",
                       uncovered_call_);
  }
  for (const auto& [what, count] : open_) {
    if (count > 0) return fmt::format("an {} of the program is open", what);
  }
  if (const RequestRecord* pending = requests_.any()) {
    const Call call{pending->call, pending->communicator, pending->peer, pending->tag};
    return fmt::format(
        "the request of {} is pending and would be lost by a restart; complete it before the safe "
        "point",
        describe(call));
  }
  return std::nullopt;
}

}  // namespace cairn::mpi
