// Random programs that end by themselves: no deadlock when nobody takes a checkpoint.
#pragma once

#include <vector>

#include "tests/simulation/sim_kernel.hpp"
#include "tests/simulation/sim_network.hpp"

namespace cairn::simulation {

struct Op {
  enum class Kind {
    send,     ///< blocking; `rendezvous`: until it is matched
    receive,  ///< blocking
    isend,
    irecv,
    wait,  ///< for the request in `slot`
    collective,
    safe_point,
    checkpoint,  ///< an explicit one, here
    hold,        ///< from here on the rank can't be captured …
    release,     ///< … until here
    forbid,      ///< from here on the rank can't be captured any more
    compute,
  };
  Kind kind = Kind::compute;
  int peer = any;
  int communicator = 0;
  int tag = any;
  bool rendezvous = false;
  bool folds_in_any_order = false;
  int slot = 0;
  CollectiveKind collective = CollectiveKind::all;
  double seconds = 0;
};

struct Program {
  int ranks = 1;
  std::vector<std::vector<int>> communicators;  ///< their members; the first is all ranks
  std::vector<std::vector<Op>> ops;             ///< by rank
  int safe_points = 0;                          ///< on each rank, when they are aligned
  std::vector<int> checkpoints;                 ///< indices of explicit ones, when aligned
  double longest_computation = 0;
};

/// What kind of programs to make.
struct Shape {
  int ranks = 4;
  int slots = 40;  ///< messages, exchanges and collectives
  int safe_points = 4;
  bool aligned = true;  ///< safe points are consistent cuts: no message or collective goes backward
  bool requests = false;            ///< requests may be pending at safe points
  double explicit_checkpoints = 0;  ///< share of safe points
  double obstacles = 0;             ///< holds and forbids, per rank
  double slow = 0;                  ///< probability of a computation of `slow_seconds` or more
  double slow_seconds = 0;
  double computation = 1;  ///< mean
  bool loop = false;  ///< safe points in every second slot, barriers between: ranks keep together
  bool leave_early = false;
};

Program make_program(Random& random, const Shape& shape);

}  // namespace cairn::simulation
