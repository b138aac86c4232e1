// Chandy and Lamport's algorithm ("Distributed snapshots", 1985) on two colours: cuts, markers,
// windows. Not what is saved at a cut, nor where a rank may cut: that is its owner's.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/protocol/drain.hpp"
#include "runtime/protocol/transport.hpp"

namespace cairn::protocol {

class EpochOwner {
 public:
  virtual ~EpochOwner() = default;
  /// An epoch is under way that this rank has yet to cut for: told again and again until it does.
  virtual void heard() = 0;
  /// This rank's window of the newest epoch is closed: what it says of the epoch.
  virtual Round vote() = 0;
  /// All windows of the newest epoch are closed: what all ranks together have said of it.
  virtual void closed(const Round& votes) = 0;
};

/// Any rank may begin an epoch. The others hear of it through a flood of a fixed tree (E2), or
/// through a marker, and cut when their owners let them. A rank's window is closed when its late
/// messages are in and no receive is held; a closing reduction tells when all windows are (E1), and
/// only then may the next epoch begin. It carries each rank's vote on the epoch, so that an abort
/// can't race with a commit (E5).
class Epochs {
 public:
  /// `leaving` is for leave() alone: its rounds must not mix with the closing reductions.
  Epochs(Transport& transport, Transport& leaving, Channels& channels, EpochOwner& owner)
      : transport_(transport), leaving_(leaving), drain_(transport, channels), owner_(owner) {}

  /// Whether this rank may begin an epoch: it knows of none under way.
  bool may_begin() const { return may_cut() && heard_ == epoch_ && phase_ == Leaving::no; }
  /// This rank's cut for the epoch that it has heard of, or that it begins. Only when none of its
  /// windows is open. `record`: the channels keep what is in flight.
  void cut(bool record);
  /// Makes what progress is possible. Call from every polled MPI call.
  void poll();
  /// A message is about to go to a peer that has had no marker: sends it one (E3).
  void announce_to(int peer);

  /// The epoch that is under way can't complete (I9): tells the others. Ranks that have not cut do
  /// so without capture, and their votes count.
  void abort();
  /// Whether the epoch that this rank has yet to cut for has been aborted.
  bool aborted() const { return aborted_ > epoch_; }
  /// Whether the newest epoch that this rank has cut for has been aborted.
  bool aborting() const { return aborted_ == epoch_; }
  /// From this rank's cut until closed().
  bool open() const { return closed_ < epoch_; }
  /// Whether poll() has nothing to do until the rank itself or a message begins something.
  bool idle() const { return !open() && heard_ == epoch_ && phase_ == Leaving::no; }
  /// Markers of the epoch that this rank has yet to cut for.
  const std::vector<Marker>& early_markers() const { return early_; }

  /// The rank is in MPI_Finalize. Poll until left() (E9). Its owner has to cut when it hears of an
  /// epoch.
  void leave();
  bool left() const { return phase_ == Leaving::gone; }

  /// Cuts that this rank has made.
  std::uint64_t epochs() const { return epoch_; }

 private:
  /// Until all are leaving; until all know the last epoch; until it is closed here and nothing is
  /// under way from here; until that is so everywhere.
  enum class Leaving { no, gathering, counting, settling, quieting, gone };

  bool may_cut() const;
  void receive();
  void flood(std::uint64_t& told, std::uint64_t epoch, bool abort);
  void take_in(const Marker& marker);
  void poll_window();
  void poll_leaving();

  Transport& transport_;
  Transport& leaving_;
  Drain drain_;
  EpochOwner& owner_;
  std::uint64_t epoch_ = 0;       ///< cuts that this rank has made
  std::uint64_t closed_ = 0;      ///< the newest epoch that all windows are closed of
  std::uint64_t heard_ = 0;       ///< the newest that this rank has heard of
  std::uint64_t aborted_ = 0;     ///< the newest that this rank has heard to be aborted
  std::uint64_t told_ = 0;        ///< the newest that this rank has told its neighbours of
  std::uint64_t told_abort_ = 0;  ///< likewise, that it is aborted
  std::vector<Marker> early_;     ///< of the next epoch: it has been heard of before its time
  bool voted_ = false;            ///< has joined the closing reduction
  Leaving phase_ = Leaving::no;
  std::uint64_t last_epoch_ = 0;
};

}  // namespace cairn::protocol
