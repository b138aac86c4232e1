// One reduction of the agreement: what each rank contributes, and how contributions combine.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cairn::protocol {

/// Contributions are added lane by lane, but for the lanes of maxima. All lanes are 64-bit, so
/// that a Round is an array to the transport; sums of fingerprints wrap around.
struct Round {
  // Sums.
  std::uint64_t wishes = 0;       ///< ranks that want a checkpoint
  std::uint64_t leaving = 0;      ///< ranks in MPI_Finalize
  std::uint64_t ready = 0;        ///< ranks that are at the cut and can be captured
  std::uint64_t put_off = 0;      ///< ranks that are at the cut and can't be captured now
  std::uint64_t gone = 0;         ///< ranks that won't come to the cut, or gave up waiting there
  std::uint64_t missed = 0;       ///< ranks that passed their bound before the cut was known
  std::uint64_t superseded = 0;   ///< ranks that insist on a cut at a safe point before it
  std::uint64_t held = 0;         ///< ranks that forbid a cut, since they insist on another
  std::uint64_t collectives = 0;  ///< 0 when collective counts agree (I8, E4)
  std::uint64_t program = 0;      ///< 0 when safe-point index and protected names agree
  std::uint64_t messages = 0;     ///< in flight at the cut
  std::uint64_t memory = 0;       ///< ranks without the memory for a copy of their state
  // Maxima.
  std::uint64_t bound = 0;       ///< safe-point index before which the rank will not cut
  std::uint64_t blocked_ns = 0;  ///< how long the cut has kept the program
  std::uint64_t pinned = 0;      ///< 1 + the index at which the rank insists on the cut, or 0

  static constexpr int sums = 12;
  static constexpr int lanes = 15;

  void combine(const Round& other) {
    wishes += other.wishes;
    leaving += other.leaving;
    ready += other.ready;
    put_off += other.put_off;
    gone += other.gone;
    missed += other.missed;
    superseded += other.superseded;
    held += other.held;
    messages += other.messages;
    memory += other.memory;
    collectives += other.collectives;
    program += other.program;
    bound = std::max(bound, other.bound);
    blocked_ns = std::max(blocked_ns, other.blocked_ns);
    pinned = std::max(pinned, other.pinned);
  }
};
static_assert(sizeof(Round) == Round::lanes * sizeof(std::uint64_t));

}  // namespace cairn::protocol
