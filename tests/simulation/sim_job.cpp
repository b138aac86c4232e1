#include "tests/simulation/sim_job.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace cairn::simulation {
namespace {

using Ranks = std::vector<std::unique_ptr<SimRank>>;

/// Some hundred times what a run takes.
constexpr std::uint64_t most_events = 1'000'000;

/// Virtual time by which every program must have ended, however often patience runs out.
double time_limit(const Scenario& scenario, const Program& program) {
  double seconds = 1000;
  std::size_t safe_points = 0;
  for (const auto& ops : program.ops) {
    for (const auto& op : ops) {
      seconds += 20 + op.seconds;
      if (op.kind == Op::Kind::safe_point || op.kind == Op::Kind::checkpoint) ++safe_points;
    }
  }
  const auto stops = static_cast<double>(safe_points);
  return 3 * seconds + stops * (4 * scenario.settings.agreement.patience_seconds + 100);
}

std::string where(const Ranks& ranks) {
  std::string text;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    text += fmt::format("\n  rank {}: {} after safe point {}{}", rank, ranks[rank]->doing,
                        ranks[rank]->safe_point_index, ranks[rank]->stopped ? ", stopped" : "");
  }
  return text;
}

void run_to_end(const Scenario& scenario, World& world, const Ranks& ranks) {
  const double limit = time_limit(scenario, world.program);
  const int all = world.program.ranks;
  while (world.ranks_stopped < all && !world.failure) {
    if (!world.kernel.run_next()) {
      world.failure = "hang: nothing can happen any more" + where(ranks);
    } else if (world.kernel.now() > limit || world.kernel.events_scheduled() > most_events) {
      world.failure =
          fmt::format("hang: not over after {:.0f} s", world.kernel.now()) + where(ranks);
    }
  }
}

void summarise(const Ranks& ranks, Outcome& outcome) {
  for (const auto& rank : ranks) {
    outcome.digests.push_back(rank->digest);
    outcome.waits += rank->waits;
    outcome.longest_wait = std::max(outcome.longest_wait, rank->longest_wait);
    for (const auto& cut : rank->cuts) outcome.late_messages += cut.recorded.size();
  }
  const SimRank& first = *ranks.front();
  for (const auto& attempt : first.attempts) {
    outcome.refused += attempt.cut ? 0 : 1;
    outcome.retries += attempt.retry ? 1 : 0;
  }
  if (outcome.failure) return;
  for (std::size_t i = 0; i < first.cuts.size(); ++i) {
    const CutRecord& cut = first.cuts[i];
    if (!cut.committed) {
      ++outcome.aborted;
      continue;
    }
    outcome.cut_at.push_back(cut.safe_point);
    Checkpoint& checkpoint = outcome.committed.emplace_back();
    checkpoint.epoch = cut.epoch;
    checkpoint.safe_point = cut.safe_point;
    for (const auto& rank : ranks) checkpoint.ranks.push_back(rank->cuts[i].state);
  }
}

}  // namespace

Outcome run_job(const Scenario& scenario, const Program& program, std::uint64_t seed,
                const Checkpoint* from, bool trace) {
  Kernel kernel{seed};
  kernel.trace = trace;
  auto members = program.communicators;
  const int communicators = static_cast<int>(members.size());
  members.push_back(members.front());  // Cairn's own
  Network network{kernel, scenario.pace, program.ranks, communicators};
  Collectives collectives{kernel, scenario.pace, members, program.ranks};
  ControlNetwork control{kernel, scenario.pace, program.ranks, scenario.weak_progress,
                         scenario.defect};
  World world{kernel,          program, scenario.settings, scenario.pace,
              scenario.defect, network, collectives,       control};
  if (from != nullptr) world.restarted_at = from->safe_point;
  Ranks ranks;
  for (int rank = 0; rank < program.ranks; ++rank) {
    ranks.push_back(std::make_unique<SimRank>(world, rank));
    if (from != nullptr) {
      ranks.back()->restore(from->ranks.at(static_cast<std::size_t>(rank)), from->epoch,
                            from->safe_point);
    }
  }
  for (const auto& rank : ranks) rank->start();
  run_to_end(scenario, world, ranks);

  Outcome outcome;
  outcome.failure = world.failure ? world.failure : check(scenario, world, ranks);
  outcome.messages = network.messages().size();
  outcome.seconds = kernel.now();
  outcome.events = kernel.events_scheduled();
  summarise(ranks, outcome);
  return outcome;
}

}  // namespace cairn::simulation
