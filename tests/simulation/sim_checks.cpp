// What must hold of every run, whatever the program, the settings and the schedule.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tests/simulation/sim_job.hpp"

namespace cairn::simulation {
namespace {

using Ranks = std::vector<std::unique_ptr<SimRank>>;
using Problem = std::optional<std::string>;

/// All ranks see the same sequence of attempts, and cut at the same place for the same epoch.
Problem check_agreement(const Ranks& ranks) {
  const SimRank& first = *ranks.front();
  for (std::size_t r = 1; r < ranks.size(); ++r) {
    const SimRank& other = *ranks[r];
    if (other.attempts != first.attempts) {
      return fmt::format("rank {} saw other verdicts or retry flags than rank 0", r);
    }
    if (other.cuts.size() != first.cuts.size()) {
      return fmt::format("rank {} made {} cuts, rank 0 {}", r, other.cuts.size(),
                         first.cuts.size());
    }
    for (std::size_t i = 0; i < first.cuts.size(); ++i) {
      const CutRecord& a = first.cuts[i];
      const CutRecord& b = other.cuts[i];
      if (a.epoch == b.epoch && a.safe_point == b.safe_point && a.committed == b.committed) {
        continue;
      }
      return fmt::format("epoch {} was cut at safe point {} on rank 0, epoch {} at {} on rank {}",
                         a.epoch, a.safe_point, b.epoch, b.safe_point, r);
    }
  }
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    for (const auto& cut : ranks[r]->cuts) {
      if (!cut.could_be_captured) {
        return fmt::format("rank {} was cut where it could not be captured", r);
      }
    }
  }
  return {};
}

/// I8: at every cut, all members have made the same number of calls.
Problem check_collectives(const Program& program, const Ranks& ranks) {
  for (std::size_t i = 0; i < ranks.front()->cuts.size(); ++i) {
    for (std::size_t c = 0; c < program.communicators.size(); ++c) {
      std::set<std::uint64_t> counts;
      for (const int member : program.communicators[c]) {
        counts.insert(ranks[static_cast<std::size_t>(member)]->cuts[i].collectives[c]);
      }
      if (counts.size() != 1) return fmt::format("a collective crosses cut {} (I8)", i + 1);
    }
  }
  return {};
}

/// I1, I4: the late messages of a cut, and nothing else, have been recorded, once, in order.
Problem check_recorded(const World& world, const Ranks& ranks) {
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    for (std::size_t i = 0; i < ranks[r]->cuts.size(); ++i) {
      const int cut = static_cast<int>(i) + 1;
      std::set<const Message*> late;
      for (const Message& message : world.network.messages()) {
        if (message.destination == static_cast<int>(r) && message.sent_in < cut &&
            (message.received_in >= cut || message.received_in < 0)) {
          late.insert(&message);
        }
      }
      const auto& recorded = ranks[r]->cuts[i].recorded;
      if (std::set<const Message*>(recorded.begin(), recorded.end()) != late ||
          recorded.size() != late.size()) {
        return fmt::format("cut {} on rank {}: {} messages are late, {} were recorded", cut, r,
                           late.size(), recorded.size());
      }
      for (const Message* message : recorded) {
        for (const Message* next : recorded) {
          if (message == next) break;
          if (next->source == message->source && next->communicator == message->communicator &&
              next->sequence >= message->sequence) {
            return fmt::format("cut {} on rank {}: messages of a channel in a wrong order", cut, r);
          }
        }
      }
    }
  }
  return {};
}

/// For every channel: sent(cut) − received(cut) = recorded.
Problem check_counts(const Program& program, const Ranks& ranks) {
  const auto size = ranks.size();
  for (std::size_t i = 0; i < ranks.front()->cuts.size(); ++i) {
    for (std::size_t c = 0; c < program.communicators.size(); ++c) {
      for (std::size_t s = 0; s < size; ++s) {
        for (std::size_t d = 0; d < size; ++d) {
          const auto sent = ranks[s]->cuts[i].state.counts[c * size + d].sent;
          const auto received = ranks[d]->cuts[i].state.counts[c * size + s].received;
          const auto& recorded = ranks[d]->cuts[i].recorded;
          const auto stored = std::count_if(recorded.begin(), recorded.end(), [&](auto* message) {
            return message->source == static_cast<int>(s) &&
                   message->communicator == static_cast<int>(c);
          });
          if (sent - received == static_cast<std::uint64_t>(stored)) continue;
          return fmt::format("cut {}, channel {}->{} on {}: sent {}, received {}, stored {}", i + 1,
                             s, d, c, sent, received, stored);
        }
      }
    }
  }
  return {};
}

/// At the end nothing is in flight: every message was received (observe() sees to "once").
Problem check_end(const World& world, const Ranks& ranks) {
  for (const Message& message : world.network.messages()) {
    if (message.received_in >= 0) continue;
    return fmt::format("message {} of {}->{} was lost", message.sequence, message.source,
                       message.destination);
  }
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (ranks[r]->channels.stored() > 0) return fmt::format("rank {}: the store is not empty", r);
  }
  return {};
}

/// Nobody waits without a reason, or for long.
Problem check_waits(const Scenario& scenario, const Program& program, const Ranks& ranks) {
  // The last round of an attempt completes by itself, but not at once; when rounds only get ahead
  // in MPI calls, after others' computations.
  double bound = scenario.settings.agreement.patience_seconds + 20 + 100 * scenario.pace.control;
  if (scenario.weak_progress) bound += 4 * program.longest_computation;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (ranks[r]->waits_without_reason > 0) {
      return fmt::format("rank {} waited although nobody wanted a checkpoint", r);
    }
    if (ranks[r]->longest_wait > bound) {
      return fmt::format("rank {} waited for {:.1f} s", r, ranks[r]->longest_wait);
    }
  }
  return {};
}

/// Where programs are as they should be, checkpoints are only refused at their end.
Problem check_liveness(const Scenario& scenario, const World& world, const Ranks& ranks) {
  const Program& program = world.program;
  if (!scenario.well_behaved) return {};
  const SimRank& first = *ranks.front();
  for (const auto& rank : ranks) {
    for (const auto& attempt : rank->attempts) {
      if (!attempt.cut && !attempt.someone_was_leaving) return "refused in a well-behaved program";
    }
  }
  const auto& interval = scenario.settings.interval;
  for (std::uint64_t index = 1; index <= static_cast<std::uint64_t>(program.safe_points); ++index) {
    const bool due = interval.kind == IntervalSettings::Kind::every && index % interval.every == 0;
    const bool wanted =
        !scenario.settings.ignore_checkpoints &&
        std::count(program.checkpoints.begin(), program.checkpoints.end(), index) > 0;
    if ((!due && !wanted) || index <= world.restarted_at) continue;
    const auto at = [&](const CutRecord& cut) { return cut.safe_point == index; };
    if (std::none_of(first.cuts.begin(), first.cuts.end(), at)) {
      return fmt::format("no checkpoint at safe point {}, where one is due", index);
    }
  }
  return {};
}

}  // namespace

std::optional<std::string> check(const Scenario& scenario, const World& world, const Ranks& ranks) {
  if (auto problem = check_agreement(ranks)) return problem;
  if (auto problem = check_collectives(world.program, ranks)) return problem;
  if (auto problem = check_recorded(world, ranks)) return problem;
  if (auto problem = check_counts(world.program, ranks)) return problem;
  if (auto problem = check_end(world, ranks)) return problem;
  if (auto problem = check_waits(scenario, world.program, ranks)) return problem;
  return check_liveness(scenario, world, ranks);
}

}  // namespace cairn::simulation
