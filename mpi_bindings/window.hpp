// Matching in the window after a cut: until all late messages are in, Cairn matches receives
// itself. The rules M1–M8 of PROTOCOL.md. Knows no MPI: what it needs of it is the interface Wire.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "mpi_bindings/communicator.hpp"
#include "mpi_bindings/flat_map.hpp"

namespace cairn::mpi {

/// A message in flight at the cut of a captured epoch.
struct RecordedMessage {
  std::uint64_t communicator = 0;
  int source = 0;  ///< rank of MPI_COMM_WORLD
  int tag = 0;
  std::shared_ptr<Payload> payload;
};

/// A receive of the program, from its posting until the program sees it complete.
struct Receive {
  enum class State : std::uint8_t {
    inactive,  ///< persistent, not started
    in_mpi,    ///< a request of MPI's stands for it, and completes when it does
    held,      ///< waits for Cairn to match it or to post it again
    assigned,  ///< matched with a stored message whose bytes are not all here yet
  };
  State state = State::inactive;
  bool counted = false;      ///< its message has been counted on the wire already (C1)
  std::uint8_t colour = 0;   ///< in_mpi: the colour it was posted in
  int peer = MPI_PROC_NULL;  ///< as given: may be MPI_ANY_SOURCE
  int tag = MPI_ANY_TAG;     ///< as given: may be MPI_ANY_TAG
  std::uint64_t stamp = 0;   ///< order of posting
  Communicator* communicator = nullptr;
};

struct Envelope {
  int source = 0;
  int tag = 0;
};

/// What the matching needs of MPI. Nothing blocks.
class Wire {
 public:
  virtual ~Wire() = default;
  /// Takes a receive back. `under_way`: matched, but from whom is not known before resolved().
  enum class Outcome { cancelled, matched, under_way };
  virtual Outcome cancel(Receive& receive, int& source) = 0;
  virtual bool resolved(Receive& receive, int& source) = 0;
  /// Posts a receive in `colour`.
  virtual void post(Receive& receive, int colour) = 0;
  /// Starts to take the next message of `colour` off MPI; false when none has arrived.
  virtual bool pull(Communicator& communicator, int colour, StoredMessage& message) = 0;
  /// Whether a message has arrived (MPI_Iprobe).
  virtual bool probe(Communicator& communicator, int colour, int source, int tag,
                     Envelope& envelope) = 0;
  /// Matches a receive with the first arrived message of this envelope; there is one.
  virtual void take(Receive& receive, int colour, const Envelope& envelope) = 0;
  /// Gives a stored message to a receive.
  virtual void deliver(Receive& receive, StoredMessage&& message) = 0;
  /// An epoch records the message that a receive had got at the cut: it is filled in when the
  /// program's call has it.
  virtual void keep(Receive& receive, std::shared_ptr<RecordedMessage> recorded) = 0;
};

/// Number of messages sent to a peer in the colour interval that a cut has ended.
struct SentCount {
  std::uint64_t communicator = 0;
  std::uint64_t messages = 0;
};

class Window {
 public:
  using Communicators = std::map<std::uint64_t, std::unique_ptr<Communicator>>;

  Window(Wire& wire, Communicators& communicators, int world_rank)
      : wire_(wire), communicators_(communicators), world_rank_(world_rank) {}

  int colour() const { return colour_; }
  /// Changes whenever what stands for a receive in MPI may have changed.
  std::uint64_t generation() const { return generation_; }
  /// From the cut until all late messages are in and no receive is held any more.
  bool open() const { return open_; }

  // ---- The cut.
  /// Ends the colour interval. `pending`: receives that MPI or Cairn has yet to complete, or the
  /// program to see complete, in any order. Returns, per peer (rank of MPI_COMM_WORLD), what this
  /// rank has sent to it in the interval.
  /// `record`: keeps all messages in flight at this cut, until take_recorded().
  std::map<int, std::vector<SentCount>> cut(std::vector<Receive*> pending, bool record = false);
  /// A peer's marker: all it sent to this rank in the old colour.
  void marker(int source_world_rank, const std::vector<SentCount>& counts);
  /// No more markers will come (M3).
  void no_more_markers() { markers_over_ = true; }
  /// Whether a peer still has to be told, ahead of the first message to it in the new colour, that
  /// nothing is under way to it (E3). Answers true once per peer.
  bool unannounced(int world_rank);
  /// Makes what progress is possible; true when the window is closed.
  bool advance();
  /// Markers may have named a communicator before it was made here (B2).
  void communicator_made() { resolve_markers(); }
  /// Whether a marker still names a communicator that this rank does not have.
  bool has_unresolved_markers() const { return !unresolved_.empty(); }

  /// I4: messages that were in the store at the cut, then the late ones, in the order in which they
  /// have to be delivered. All are in when the window is closed. A cut that does not record, and
  /// take_recorded(), drop them.
  const std::vector<std::shared_ptr<RecordedMessage>>& recorded() const { return recorded_; }
  std::vector<std::shared_ptr<RecordedMessage>> take_recorded();

  // ---- The program's calls.
  /// Posts a receive: it gets a stored message, or goes to MPI, or is held (M2, M4).
  void post(Receive& receive);
  /// A receive that was in MPI has got a message from `source`, and the program sees it.
  void received(Receive& receive, int source) {
    Channel& channel = receive.communicator->channel(source);
    ++channel.received;
    if (receive.counted || receive.colour != colour_) [[unlikely]]
      received_early(receive, channel);
  }
  /// The store's two ends.
  void store(Communicator& communicator, StoredMessage&& message);
  StoredMessage take_stored(Communicator& communicator, std::list<StoredMessage>::iterator which);
  /// Gives a receive a message that was in the store.
  void give(Receive& receive, StoredMessage&& message);
  /// Takes a held receive out, for a cancel.
  void withdraw(Receive& receive);
  /// A message that a probe may return: in the store, or in MPI in the present colour.
  struct Found {
    std::list<StoredMessage>::iterator stored;  ///< store.end() when it is in MPI
    Envelope envelope;
  };
  std::optional<Found> look(Communicator& communicator, int source, int tag);

  /// Takes what has arrived in the present colour into the store (I5), up to `limit` bytes.
  void pull_current(std::size_t limit_bytes);

  // ---- Statistics.
  std::uint64_t late_messages() const { return late_messages_; }
  std::uint64_t reposted_receives() const { return reposted_; }
  std::uint64_t pulled_messages() const { return pulled_; }
  std::size_t stored_bytes() const { return stored_bytes_; }
  std::size_t stored_messages() const { return stored_messages_; }

 private:
  void received_early(Receive& receive, Channel& channel);
  bool complete(const Channel& channel) const;
  bool all_complete(Communicator& communicator) const;
  bool may_post(const Receive& receive) const;
  void offer(Communicator& communicator, StoredMessage&& message);
  void pull_late(Communicator& communicator);
  void match_new(Communicator& communicator);
  bool match_first(Communicator& communicator);
  bool find_new(Communicator& communicator, int source, int tag, Envelope& found);
  void post_held(Communicator& communicator);
  void resolve_markers();
  bool closable() const;
  void note(Communicator& communicator, const StoredMessage& message);
  void note(Receive& receive);

  Wire& wire_;
  Communicators& communicators_;
  int world_rank_;
  int colour_ = 0;
  bool open_ = false;
  bool markers_over_ = false;
  std::uint64_t generation_ = 0;
  std::set<int> announced_;          ///< world ranks whose marker is in
  std::set<int> told_;               ///< world ranks that have got a marker from this rank
  std::vector<Receive*> under_way_;  ///< matched in the old colour, from whom is not known yet
  struct UnresolvedMarker {
    int source_world_rank;
    SentCount count;
  };
  std::vector<UnresolvedMarker> unresolved_;
  bool recording_ = false;
  std::vector<std::shared_ptr<RecordedMessage>> recorded_;
  std::uint64_t late_messages_ = 0;
  std::uint64_t reposted_ = 0;
  std::uint64_t pulled_ = 0;
  std::size_t stored_messages_ = 0;
  std::size_t stored_bytes_ = 0;
};

}  // namespace cairn::mpi
