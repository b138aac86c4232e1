// The rules of the channel protocol (PROTOCOL.md) that a simulation can remove, one at a time, to
// see that each is needed. Everywhere else all hold, and this compiles to nothing.
#pragma once

namespace cairn {

enum class Rule {
  none,
  m1_newest_first,  ///< the cut takes the newest receive back first
  m2_complete,      ///< a receive goes to MPI only when its sources are complete
  m2_overlap,       ///< … and no earlier held receive overlaps it
  m3_unknown,       ///< a source without a marker is unknown, not silent
  m5_first,         ///< the first held receive that accepts a message gets it
  m5_complete,      ///< new messages are matched of complete sources only
  m6_claimed,       ///< a probe does not return what a held receive accepts
  m7_count,         ///< a source is complete when all it has announced is in
  m7_self,          ///< the channel to oneself is completed without a marker
  m8_stop,          ///< the old colour is left alone once it is drained
  c1_once,          ///< what Cairn has taken off MPI is not counted again when it is received
  c2_matched,       ///< an epoch records what receives had got that the program had not seen
  c2_again,         ///< … and what an earlier one has recorded and is still here
  e4_collectives,   ///< an epoch with a collective across its cut is not committed
  e5_all,           ///< … nor one that some rank was not captured in
  e5_vote,          ///< an abort is a vote: who hears of one later goes by the votes
  e1_closed,        ///< the next cut waits until all windows are known to be closed
  e2_flood,         ///< an epoch is announced to everybody
};

#ifdef CAIRN_WITHOUT_RULES
extern Rule removed_rule;
inline bool rule_removed(Rule rule) { return rule == removed_rule; }
#else
constexpr bool rule_removed(Rule) { return false; }
#endif

}  // namespace cairn
