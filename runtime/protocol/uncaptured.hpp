// Epochs without capture, at any MPI call: the colours flip, windows open and close, and nothing is
// saved. What a stress test needs of Chandy and Lamport's algorithm.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/protocol/drain.hpp"
#include "runtime/protocol/transport.hpp"

namespace cairn::protocol {

/// Any rank may start an epoch. The others hear of it through a flood of a fixed tree (E2), or
/// through a marker, and cut at once. A rank's window is closed when its late messages are in and
/// no receive is held; a closing reduction tells when all windows are (E1), and only then may the
/// next epoch begin.
class UncapturedEpochs {
 public:
  /// `leaving` is for leave() alone: its rounds must not mix with the closing reductions.
  UncapturedEpochs(Transport& transport, Transport& leaving, Channels& channels)
      : transport_(transport), leaving_(leaving), drain_(transport, channels) {}

  /// Whether this rank may start an epoch: it knows of none under way.
  bool may_start() const { return may_cut() && heard_ == epoch_ && phase_ == Leaving::no; }
  void start();
  /// Makes what progress is possible. Call from every polled MPI call.
  void poll();
  /// A message is about to go to a peer that has had no marker: sends it one (E3).
  void announce_to(int peer);

  /// The rank is in MPI_Finalize. Poll until left() (E9).
  void leave();
  bool left() const { return phase_ == Leaving::gone; }

  std::uint64_t epochs() const { return epoch_; }

 private:
  /// Until all are leaving; until all know the last epoch; until it is closed here and nothing is
  /// under way from here; until that is so everywhere.
  enum class Leaving { no, gathering, counting, settling, quieting, gone };

  bool may_cut() const;
  void receive();
  void cut();
  void take_in(const Marker& marker);
  void poll_window();
  void poll_leaving();

  Transport& transport_;
  Transport& leaving_;
  Drain drain_;
  std::uint64_t epoch_ = 0;    ///< cuts that this rank has made
  std::uint64_t closed_ = 0;   ///< the newest epoch that all windows are closed of
  std::uint64_t heard_ = 0;    ///< the newest that this rank has heard of
  std::vector<Marker> early_;  ///< of the next epoch: it has been heard of before its time
  bool closing_ = false;       ///< has joined the closing reduction
  Leaving phase_ = Leaving::no;
  std::uint64_t last_epoch_ = 0;
};

}  // namespace cairn::protocol
