#include "tests/simulation/window_network.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "mpi_bindings/communicator.hpp"

namespace cairn::window_simulation {

Message& Network::send(Message message) {
  ++now_;
  message.number = messages_.size() + 1;
  message.sequence = sequences_[{message.sender, message.receiver, message.context.communicator}]++;
  message.sent = !message.rendezvous;
  Message& made = messages_.emplace_back(std::move(message));
  const auto [found, is_new] =
      channels_.try_emplace({made.sender, made.receiver, made.context}, Channel{});
  Channel& channel = found->second;
  if (is_new) {
    channel.speed = random_.pick({1.0, 1.0, 0.3, 0.1, 0.03});
    if (made.context.communicator == 0) channel.speed *= pace_.control;
  }
  if (channel.under_way.empty()) busy_.push_back(&channel);
  channel.under_way.push_back(&made);
  return made;
}

Message& Network::restore(Message message) {
  message.number = messages_.size() + 1;
  message.epoch = 0;
  message.sent = message.matched = message.restored = true;
  message.matched_at = 0;
  message.received_in.reset();
  return messages_.emplace_back(std::move(message));
}

void Network::transfer(Reception& reception) {
  std::memcpy(reception.buffer, &reception.message->number, sizeof(std::uint64_t));
  reception.complete = true;
}

void Network::join(Reception& reception, Message& message) {
  message.matched = true;
  message.matched_at = ++now_;
  reception.message = &message;
  if (!message.rendezvous) {
    transfer(reception);
    return;
  }
  later([this, &reception] { transfer(reception); });
  later([&message] { message.sent = true; });
}

void Network::arrive(Channel& channel) {
  Message& message = *channel.under_way.front();
  channel.under_way.pop_front();
  if (channel.under_way.empty()) std::erase(busy_, &channel);
  End& there = end(message.receiver, message.context);
  const auto first =
      std::find_if(there.posted.begin(), there.posted.end(), [&](const Reception* reception) {
        return mpi::accepts(reception->source, reception->tag, message.source, message.tag);
      });
  if (first == there.posted.end()) {
    there.arrived.push_back(&message);
    return;
  }
  Reception& reception = **first;
  there.posted.erase(first);
  join(reception, message);
}

Message* Network::find(int rank, Context context, int source, int tag) {
  for (Message* message : end(rank, context).arrived) {
    if (mpi::accepts(source, tag, message->source, message->tag)) return message;
  }
  return nullptr;
}

Message* Network::match(int rank, Context context, int source, int tag) {
  Message* message = find(rank, context, source, tag);
  if (message == nullptr) return nullptr;
  std::erase(end(rank, context).arrived, message);
  message->matched = true;
  message->matched_at = ++now_;
  return message;
}

Reception& Network::receive_matched(Message& message, std::byte* buffer) {
  Reception& reception = receptions_.emplace_back();
  reception.buffer = buffer;
  const std::uint64_t matched_at = message.matched_at;
  join(reception, message);
  message.matched_at = matched_at;
  return reception;
}

Reception& Network::receive(int rank, Context context, int source, int tag, std::byte* buffer) {
  ++now_;
  Reception& reception = receptions_.emplace_back();
  reception = {rank, context, source, tag, buffer, nullptr, false, false};
  if (Message* message = match(rank, context, source, tag)) {
    join(reception, *message);
  } else {
    end(rank, context).posted.push_back(&reception);
  }
  return reception;
}

void Network::cancel(Reception& reception) {
  if (reception.message != nullptr || reception.complete) return;
  ++now_;
  std::erase(end(reception.rank, reception.context).posted, &reception);
  reception.cancelled = true;
  reception.complete = true;
}

void Network::later(std::function<void()> what, double speed) {
  ++now_;
  later_.push_back({std::move(what), speed});
}

bool Network::step() {
  const std::size_t choices = busy_.size() + later_.size();
  if (choices == 0) return false;
  const auto chosen = static_cast<std::size_t>(random_.below(static_cast<int>(choices)));
  if (chosen < busy_.size()) {
    Channel& channel = *busy_[chosen];
    if (!random_.chance(channel.speed)) return true;
    ++now_;
    do {
      arrive(channel);
    } while (!channel.under_way.empty() && random_.chance(pace_.batching));
    return true;
  }
  const auto place = later_.begin() + static_cast<std::ptrdiff_t>(chosen - busy_.size());
  if (!random_.chance(place->speed)) return true;
  ++now_;
  const std::function<void()> what = std::move(place->what);
  later_.erase(place);
  what();
  return true;
}

}  // namespace cairn::window_simulation
