#include "tests/simulation/sim_network.hpp"

#include <algorithm>

namespace cairn::simulation {

Network::Network(Kernel& kernel, Pace pace, int ranks, int communicators)
    : kernel_(kernel), pace_(pace), ranks_(ranks), communicators_(communicators) {
  const auto mailboxes = static_cast<std::size_t>(ranks * communicators * 2);
  mailboxes_.resize(mailboxes);
  last_arrival_.resize(mailboxes * static_cast<std::size_t>(ranks));
  for (std::size_t i = 0; i < last_arrival_.size(); ++i) {
    slowness_.push_back(kernel_.random.pick({1.0, 1.0, 1.0, 3.0, 8.0, 0.1}));
  }
}

Network::Mailbox& Network::mailbox(int rank, int communicator, int colour) {
  return mailboxes_.at(
      static_cast<std::size_t>((rank * communicators_ + communicator) * 2 + colour));
}

Message* Network::send(const Message& message) {
  Message& sent = messages_.emplace_back(message);
  const int box = (sent.destination * communicators_ + sent.communicator) * 2 + sent.colour;
  const auto channel = static_cast<std::size_t>(box * ranks_ + sent.source);
  double& last = last_arrival_.at(channel);
  last = std::max(last + 1e-9,
                  kernel_.now() + kernel_.random.delay(pace_.message * slowness_.at(channel)));
  kernel_.after(last - kernel_.now(), [this, &sent] { arrive(sent); });
  return &sent;
}

void Network::arrive(Message& message) {
  Mailbox& box = mailbox(message.destination, message.communicator, message.colour);
  const auto receive = std::find_if(box.posted.begin(), box.posted.end(), [&](Receive* posted) {
    return matches(posted->source, posted->tag, message);
  });
  if (receive == box.posted.end()) {
    box.unexpected.push_back(&message);
    return;
  }
  match(**receive, message);
  box.posted.erase(receive);
}

void Network::post(int rank, int communicator, int colour, Receive& receive) {
  Mailbox& box = mailbox(rank, communicator, colour);
  const auto message = std::find_if(
      box.unexpected.begin(), box.unexpected.end(),
      [&](Message* arrived) { return matches(receive.source, receive.tag, *arrived); });
  if (message == box.unexpected.end()) {
    box.posted.push_back(&receive);
    return;
  }
  match(receive, **message);
  box.unexpected.erase(message);
}

void Network::withdraw(int rank, int communicator, int colour, Receive& receive) {
  mailbox(rank, communicator, colour).posted.remove(&receive);
}

void Network::match(Receive& receive, Message& message) {
  message.matched = true;
  receive.message = &message;
  receive.complete_at = kernel_.now();
  if (!message.rendezvous) return;
  receive.complete_at += kernel_.random.delay(pace_.message);
  message.complete_at = kernel_.now() + kernel_.random.delay(pace_.message);
}

Message* Network::take(int rank, int communicator, int colour) {
  Mailbox& box = mailbox(rank, communicator, colour);
  if (box.unexpected.empty()) return nullptr;
  Message* message = box.unexpected.front();
  box.unexpected.pop_front();
  message->matched = true;
  message->complete_at = kernel_.now();
  return message;
}

Collectives::Collectives(Kernel& kernel, Pace pace, std::vector<std::vector<int>> members,
                         int ranks)
    : kernel_(kernel), pace_(pace), members_(std::move(members)), ranks_(ranks) {
  counts_.resize(members_.size() * static_cast<std::size_t>(ranks));
  instances_.resize(members_.size());
}

bool Collectives::member(int communicator, int rank) const {
  const auto& ranks = members_.at(static_cast<std::size_t>(communicator));
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

void Collectives::enter(Call& call) {
  const auto communicator = static_cast<std::size_t>(call.communicator);
  const std::uint64_t number = counts_.at(communicator * static_cast<std::size_t>(ranks_) +
                                          static_cast<std::size_t>(call.rank))++;
  Instance& instance = instances_.at(communicator)[number];
  if (instance.entered == 0) {
    instance.kind = call.kind;
    instance.root = call.root;
  } else if (instance.kind != call.kind || instance.root != call.root) {
    throw Failure("collective calls do not match: some ranks are at another one");
  }
  ++instance.entered;
  instance.sum += call.value;
  if (call.rank == call.root) {
    instance.root_entered = true;
    instance.root_value = call.value;
  }
  instance.waiting.push_back(&call);
  const bool complete = instance.entered == members_.at(communicator).size();
  std::vector<Call*> stay;
  for (Call* waiting : instance.waiting) {
    const bool is_root = waiting->rank == instance.root;
    const bool may_leave = complete ||
                           (instance.kind == CollectiveKind::broadcast && instance.root_entered) ||
                           (instance.kind == CollectiveKind::reduce && !is_root);
    if (!may_leave) {
      stay.push_back(waiting);
      continue;
    }
    if (instance.kind == CollectiveKind::all) waiting->result = instance.sum;
    if (instance.kind == CollectiveKind::broadcast) waiting->result = instance.root_value;
    if (instance.kind == CollectiveKind::reduce) waiting->result = is_root ? instance.sum : 0;
    kernel_.after(kernel_.random.delay(pace_.collective), [waiting] { waiting->handle.resume(); });
  }
  instance.waiting = std::move(stay);
}

}  // namespace cairn::simulation
