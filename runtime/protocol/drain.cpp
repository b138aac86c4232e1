#include "runtime/protocol/drain.hpp"

namespace cairn::protocol {

void Drain::start(std::uint64_t epoch, bool record) {
  epoch_ = epoch;
  barrier_started_ = false;
  markers_over_ = false;
  sound_ = true;
  for (Marker& marker : channels_.flip(record)) {
    marker.epoch = epoch;
    transport_.send_marker(marker);
  }
}

void Drain::take_in(const Marker& marker) {
  sound_ = marker.epoch == epoch_ && channels_.expect(marker) && sound_;
}

bool Drain::poll() {
  return poll([&] {
    while (auto marker = transport_.receive_marker()) take_in(*marker);
  });
}

bool Drain::poll(const std::function<void()>& receive) {
  if (!markers_over_) {
    // The barrier is looked at first: when it is done, all markers are here to be received.
    const bool over = barrier_started_ && transport_.barrier_done();
    receive();
    if (!barrier_started_ && transport_.markers_received()) {
      transport_.start_barrier();
      barrier_started_ = true;
    }
    markers_over_ = over;
    if (over) channels_.no_more_markers();
  }
  // Late messages are taken in even before their marker: a peer may be stuck in a rendezvous.
  channels_.pull_late();
  return markers_over_ && channels_.drained();
}

}  // namespace cairn::protocol
