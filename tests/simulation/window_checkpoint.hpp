// A simulated checkpoint: what is captured of each rank, and how the writing of it goes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <cairn/status.hpp>

#include "tests/simulation/window_network.hpp"

namespace cairn::window_simulation {

/// The program's counters, by communicator and rank of the job.
struct Counters {
  std::map<std::pair<int, int>, std::uint64_t> sent;
  std::map<std::pair<int, int>, std::uint64_t> received;
};

/// What a restart needs of a rank.
struct RankState {
  std::size_t at = 0;  ///< place in the program
  std::uint64_t safe_points = 0;
  struct Pending {
    std::size_t slot = 0;
    bool is_send = false;  ///< its message is in flight: complete
    int communicator = 0;
    int peer = 0;
    int tag = 0;
    std::uint64_t stamp = 0;
  };
  std::vector<Pending> pending;    ///< the program's requests; receives in order of posting
  std::map<int, int> meetings;     ///< see SimRank
  std::vector<int> communicators;  ///< that it has made and not freed
  Counters counters;
  std::vector<Message> in_flight;  ///< in the order of delivery
};

/// One epoch.
struct Checkpoint {
  std::vector<std::optional<RankState>> ranks;  ///< captured
  int written = 0;                              ///< ranks that have written, or given up
  bool failed = false;
  std::vector<bool> told;                     ///< by rank: knows how it ended
  std::optional<bool> judged_good;            ///< by the votes: the same on all ranks
  std::vector<std::optional<bool>> outcomes;  ///< by rank: as the protocol says
  bool committed(int size) const { return written == size && !failed; }
};

}  // namespace cairn::window_simulation
