#include "io/channel_proof.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace cairn::io {

void ChannelProof::add(int rank, const std::vector<ChannelCounter>& counters) {
  for (const ChannelCounter& counter : counters) {
    // Without a count there is no need for the other side's row.
    terms_.push_back({counter.communicator, rank, counter.peer, counter.sent, 0, 0, 1, 0});
    terms_.push_back({counter.communicator, counter.peer, rank, 0, counter.received, 0, 0, 1});
  }
}

void ChannelProof::add(const std::vector<Message>& messages) {
  for (const Message& message : messages) {
    terms_.push_back({message.communicator, message.source, message.destination, 0, 0, 1, 0, 0});
  }
}

void ChannelProof::set_communicators(const std::vector<Communicator>& communicators) {
  communicators_ = communicators;
}

/// One term per channel.
void ChannelProof::sum_up() {
  const auto key = [](const Term& term) {
    return std::tuple{term.communicator, term.source, term.destination};
  };
  std::sort(terms_.begin(), terms_.end(),
            [&key](const Term& a, const Term& b) { return key(a) < key(b); });
  std::vector<Term> channels;
  for (const Term& term : terms_) {
    if (channels.empty() || key(channels.back()) != key(term)) {
      channels.push_back(term);
      continue;
    }
    Term& channel = channels.back();
    channel.sent += term.sent;
    channel.received += term.received;
    channel.stored += term.stored;
    channel.senders += term.senders;
    channel.receivers += term.receivers;
  }
  terms_ = std::move(channels);
  channels_ = terms_.size();
}

std::string ChannelProof::label(std::uint64_t communicator) const {
  for (const Communicator& known : communicators_) {
    if (known.id == communicator && !known.label.empty()) return known.label;
  }
  return fmt::format("communicator {:#x}", communicator);
}

std::string ChannelProof::problem(const Term& channel) const {
  const std::string name =
      fmt::format("{} {} -> {}", label(channel.communicator), channel.source, channel.destination);
  const auto exists = [this](int rank) { return rank >= 0 && rank < ranks_; };
  if (!exists(channel.source) || !exists(channel.destination)) {
    return fmt::format("damaged: {}: there is no such rank", name);
  }
  if (channel.senders > 1 || channel.receivers > 1) {
    return fmt::format("damaged: {}: counted more than once", name);
  }
  if (channel.received > channel.sent) {
    return fmt::format("orphan message: {}: {} received but only {} sent", name, channel.received,
                       channel.sent);
  }
  const std::uint64_t in_flight = channel.sent - channel.received;
  if (channel.stored < in_flight) {
    return fmt::format("lost message: {}: {} sent, {} received, and {} stored instead of {}", name,
                       channel.sent, channel.received, channel.stored, in_flight);
  }
  if (channel.stored > in_flight) {
    return fmt::format("duplicate message: {}: {} sent, {} received, and {} stored instead of {}",
                       name, channel.sent, channel.received, channel.stored, in_flight);
  }
  return {};
}

std::vector<std::string> ChannelProof::problems(std::size_t limit) {
  sum_up();
  std::vector<std::string> lines;
  std::size_t more = 0;
  for (const Term& channel : terms_) {
    std::string line = problem(channel);
    if (line.empty()) continue;
    if (lines.size() < limit) {
      lines.push_back(std::move(line));
    } else {
      ++more;
    }
  }
  if (more > 0) lines.push_back(fmt::format("and {} more channels like these", more));
  return lines;
}

}  // namespace cairn::io
