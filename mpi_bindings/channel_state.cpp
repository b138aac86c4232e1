// ChannelLayer: the cut, draining, and the channel state that is saved and restored.
#include <algorithm>
#include <utility>

#include "base/checksum.hpp"
#include "mpi_bindings/channel_layer.hpp"
#include "mpi_bindings/packed_bytes.hpp"

namespace cairn::mpi {
namespace {

/// Takes one message off MPI, if one has arrived.
bool pull_one(Communicator& communicator, int colour, StoredMessage& message) {
  int arrived = 0;
  MPI_Message handle = MPI_MESSAGE_NULL;
  MPI_Status status;
  PMPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator.colours[colour], &arrived, &handle,
               &status);
  if (arrived == 0) return false;
  MPI_Count bytes = 0;
  PMPI_Get_elements_x(&status, MPI_PACKED, &bytes);
  message.source = status.MPI_SOURCE;
  message.tag = status.MPI_TAG;
  message.bytes.resize(static_cast<std::size_t>(bytes));
  const PackedBytes packed{message.bytes.size()};
  PMPI_Mrecv(message.bytes.data(), packed.count(), packed.type(), &handle, MPI_STATUS_IGNORE);
  return true;
}

}  // namespace

void ChannelLayer::pull(int colour, std::size_t limit_bytes) {
  for (auto& [id, communicator] : by_id_) {
    StoredMessage message;
    while (stored_bytes_ < limit_bytes && pull_one(*communicator, colour, message)) {
      Channel& channel = communicator->channel(message.source);
      ++(colour == colour_ ? channel.wire_received : channel.old_wire_received);
      stored_bytes_ += message.bytes.size();
      ++pulled_messages_;
      communicator->store.push_back(std::move(message));
      message = {};
    }
  }
}

std::map<int, std::vector<SentCount>> ChannelLayer::flip() {
  std::map<int, std::vector<SentCount>> markers;
  for (auto& item : by_id_) {
    const Communicator& communicator = *item.second;
    item.second->channels.for_each([&](std::uint64_t peer, Channel& channel) {
      const std::uint64_t sent = std::exchange(channel.wire_sent, 0);
      channel.old_wire_received = std::exchange(channel.wire_received, 0);
      // The channel to oneself needs no marker (M7).
      const bool to_self = static_cast<int>(peer) == communicator.rank;
      channel.old_wire_expected = to_self ? sent : 0;
      if (sent > 0 && !to_self) markers[channel.world_rank].push_back({communicator.id, sent});
    });
  }
  colour_ ^= 1;
  return markers;
}

bool ChannelLayer::expect(int source_world_rank, const SentCount& count) {
  const auto found = by_id_.find(count.communicator);
  if (found == by_id_.end()) return false;
  Communicator& communicator = *found->second;
  communicator.channel(communicator.rank_of_world(source_world_rank)).old_wire_expected =
      count.messages;
  return true;
}

bool ChannelLayer::drained() {
  bool complete = true;
  for (auto& [id, communicator] : by_id_) {
    communicator->channels.for_each([&](std::uint64_t, const Channel& channel) {
      complete = complete && channel.old_wire_received == channel.old_wire_expected;
    });
  }
  return complete;
}

std::uint64_t ChannelLayer::collective_fingerprint() {
  std::uint64_t sum = 0;
  for (const auto& [id, communicator] : by_id_) {
    const std::uint64_t hash = mix(id, communicator->collectives);
    const auto others = static_cast<std::uint64_t>(communicator->size - 1);
    sum += communicator->rank == 0 ? others * hash : -hash;
  }
  return sum;
}

std::vector<ChannelMessage> ChannelLayer::messages() {
  std::vector<ChannelMessage> all;
  for (const auto& [id, communicator] : by_id_) {
    for (const auto& message : communicator->store) {
      all.push_back(
          {id, communicator->channel(message.source).world_rank, message.tag, message.bytes});
    }
  }
  return all;
}

std::vector<ChannelCount> ChannelLayer::counts() {
  std::vector<ChannelCount> all;
  for (const auto& item : by_id_) {
    const std::uint64_t id = item.first;
    item.second->channels.for_each([&](std::uint64_t, const Channel& channel) {
      all.push_back({id, channel.world_rank, channel.sent, channel.received});
    });
  }
  std::sort(all.begin(), all.end(), [](const ChannelCount& a, const ChannelCount& b) {
    return std::pair{a.communicator, a.peer} < std::pair{b.communicator, b.peer};
  });
  return all;
}

std::int64_t ChannelLayer::balance() {
  std::uint64_t sum = 0;
  for (const auto& count : counts()) sum += count.sent - count.received;
  return static_cast<std::int64_t>(sum);
}

std::optional<std::uint64_t> ChannelLayer::restore(const std::vector<ChannelCount>& counts,
                                                   std::vector<ChannelMessage> messages) {
  for (const auto& message : messages) {
    if (!by_id_.contains(message.communicator)) return message.communicator;
  }
  for (auto& [id, communicator] : by_id_) {
    communicator->channels.for_each([](std::uint64_t, Channel& channel) {
      channel.sent = 0;
      channel.received = 0;
    });
  }
  for (const auto& count : counts) {
    const auto found = by_id_.find(count.communicator);
    if (found == by_id_.end()) continue;
    Channel& channel = found->second->channel(found->second->rank_of_world(count.peer));
    channel.sent = count.sent;
    channel.received = count.received;
  }
  for (auto& message : messages) {
    Communicator& communicator = *by_id_.at(message.communicator);
    stored_bytes_ += message.bytes.size();
    communicator.store.push_back(
        {communicator.rank_of_world(message.source), message.tag, std::move(message.bytes)});
  }
  return std::nullopt;
}

}  // namespace cairn::mpi
