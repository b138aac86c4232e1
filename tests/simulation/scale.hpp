// The protocol at scale: one epoch of the real engine (protocol::Epochs) on up to a million
// simulated ranks, which talk to their neighbours in a grid.
#pragma once

#include <cstdint>

namespace cairn::scale_simulation {

/// A machine and a program, in microseconds. Messages take `latency` and a random part more;
/// reductions and barriers of n ranks take 2 and 1 times ceil(log2 n) latencies from the last rank
/// that joins, and cost each rank as many messages. Ranks notice what has arrived in their MPI
/// calls, which come every `call_period`.
struct Machine {
  double latency = 2;
  double call_period = 10;
  double skew = 100;         ///< the ranks come to their cuts within so much time
  double late_message = 50;  ///< a message sent before a cut is under way for up to so long after
};

struct Job {
  int ranks = 1;
  int dimensions = 2;       ///< of the (periodic) grid: each rank has 2 neighbours in each
  bool marker_cut = false;  ///< rank 0 begins, others cut when they hear of it; else all at a time
};

struct Result {
  // Messages of the protocol's own that a rank sends: the mean, and the largest number.
  double markers = 0;        ///< to its neighbours; each is acknowledged
  double announcements = 0;  ///< of the flood
  double collectives = 0;    ///< for the barrier and the closing reduction
  int most_messages = 0;     ///< of all kinds
  // From a rank's cut:
  double window = 0;  ///< until its late messages are in, and it knows it; mean
  double longest_window = 0;
  double closed = 0;  ///< from the first cut until all know that all windows are closed
};

Result run(const Job& job, const Machine& machine, std::uint64_t seed);

}  // namespace cairn::scale_simulation
