// Draining: after a cut, every message of the old colour is found and stored.
#pragma once

#include <cstdint>
#include <functional>

#include "runtime/protocol/transport.hpp"

namespace cairn::protocol {

/// Markers tell each peer how many messages of the old colour are on their way to it. They are
/// sparse: sent in synchronous mode, and a non-blocking barrier that each rank joins when its own
/// have been received tells everybody that no more will come (NBX: Hoefler, Siebert, Lumsdaine,
/// "Scalable communication protocols for dynamic sparse data exchange", PPoPP 2010).
class Drain {
 public:
  Drain(Transport& transport, Channels& channels) : transport_(transport), channels_(channels) {}

  /// The cut: flips the colour and sends the markers. All ranks, for the same epoch.
  void start(std::uint64_t epoch, bool record = false);
  /// Makes progress; true when no late message is missing any more.
  bool poll();
  /// Likewise, for an engine that reads the control messages itself: `receive()` takes all that
  /// have arrived, and gives the markers of this epoch to take_in().
  bool poll(const std::function<void()>& receive);
  void take_in(const Marker& marker);
  /// False when a marker could not be understood: the epoch must not be committed.
  bool sound() const { return sound_; }

 private:
  Transport& transport_;
  Channels& channels_;
  std::uint64_t epoch_ = 0;
  bool barrier_started_ = false;
  bool markers_over_ = false;  ///< every marker for this rank is in
  bool sound_ = true;
};

}  // namespace cairn::protocol
