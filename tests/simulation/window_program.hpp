// Random programs for the simulated ranks. They end whatever the timing, if MPI keeps its promises.
#pragma once

#include <vector>

#include "tests/simulation/sim_kernel.hpp"

namespace cairn::window_simulation {

struct Op {
  enum class Kind {
    send,           ///< blocking
    isend,          ///< request in `slot`
    receive,        ///< blocking
    irecv,          ///< request in `slot`
    probe_receive,  ///< probes, and receives what was found
    mprobe,         ///< matched message in `slot`
    mrecv,          ///< receives it
    wait,           ///< until the requests in `slots` are complete, in one of four ways
    free_request,   ///< MPI_Request_free on the receive in `slot`
    cancel,         ///< of the receive in `slot`; receives again when that succeeds
    barrier,        ///< of the communicator's members
    make,           ///< makes `communicator`; collective over all ranks
    begin_make,     ///< likewise, in the background
    end_make,       ///< waits for that
    free,           ///< frees `communicator`
    safe_point,     ///< of all ranks at the same place in the one sequence of operations
  };
  enum class Wait { all, some, any, test };

  Kind kind = Kind::send;
  int communicator = 1;
  int peer = 0;  ///< rank in the communicator, or any
  int tag = 0;
  bool large = false;  ///< rendezvous
  int slot = -1;
  Wait how = Wait::all;
  std::vector<int> slots;
};

struct Program {
  int ranks = 1;
  /// Ranks of the job, by communicator; 0 is the protocol's own, 1 has all.
  std::vector<std::vector<int>> members;
  int made_before = 1;  ///< communicators from 1 on that are there from the start
  int slots = 0;
  std::vector<std::vector<Op>> ops;  ///< by rank
};

Program make_program(simulation::Random& random);

}  // namespace cairn::window_simulation
