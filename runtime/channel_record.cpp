#include "runtime/channel_record.hpp"

namespace cairn {

std::vector<io::ChannelCounter> channel_counters(mpi::ChannelLayer& layer) {
  std::vector<io::ChannelCounter> counters;
  for (const auto& count : layer.counts()) {
    counters.push_back({count.communicator, count.peer, count.sent, count.received});
  }
  return counters;
}

std::vector<io::Communicator> led_communicators(mpi::ChannelLayer& layer, int rank) {
  std::vector<io::Communicator> led;
  for (const auto& [id, communicator] : layer.communicators()) {
    if (communicator->freed || communicator->rank != 0 ||
        (communicator->label == "self" && rank != 0))
      continue;
    led.push_back({id, communicator->label.substr(0, io::max_label_bytes),
                   static_cast<std::uint32_t>(communicator->size)});
  }
  return led;
}

std::vector<io::Message> recorded_messages(mpi::ChannelLayer& layer, int rank) {
  const auto recorded = layer.window().take_recorded();
  std::vector<io::Message> messages;
  messages.reserve(recorded.size());
  for (const auto& message : recorded) {
    messages.push_back(
        {message->communicator, message->source, rank, message->tag, message->payload->bytes});
  }
  return messages;
}

}  // namespace cairn
