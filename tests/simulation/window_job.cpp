#include "tests/simulation/window_job.hpp"

#include <algorithm>

#include "tests/simulation/window_communicator.hpp"

namespace cairn::window_simulation {
namespace {

/// Far more than a run takes.
constexpr std::uint64_t most_steps = 2'000'000;

Checkpoints random_checkpoints(Random& random, bool wanted) {
  using Kind = Checkpoints::Kind;
  Checkpoints checkpoints;
  if (!wanted) return checkpoints;
  checkpoints.kind = random.pick({Kind::wish, Kind::every, Kind::marker, Kind::marker});
  checkpoints.every = static_cast<std::uint64_t>(random.between(1, 8));
  checkpoints.regions = random.pick({0.0, 0.5, 1.0});
  checkpoints.patience = random.pick({200.0, 2000.0});
  checkpoints.bad_write = random.pick({0.0, 0.0, 0.1});
  checkpoints.no_memory = random.pick({0.0, 0.0, 0.1});
  return checkpoints;
}

Settings random_settings(Random& random, Defect defect, bool captured) {
  Settings settings;
  settings.interleaving = random.pick({0.02, 0.1, 0.3, 0.5});
  settings.network = random.pick({0.15, 0.4, 0.7});
  settings.start = random.pick({0.02, 0.1, 0.5});
  settings.epochs = static_cast<std::uint64_t>(random.between(1, 6));
  settings.pace.control = random.pick({1.0, 1.0, 0.1});
  settings.pace.batching = random.pick({0.0, 0.3, 0.7});
  settings.pull_current = random.pick({0.0, 0.0, 0.1});
  settings.defect = defect;
  settings.checkpoints = random_checkpoints(random, captured);
  return settings;
}

std::string where(const Ranks& ranks) {
  std::string text;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    text += fmt::format("\n  rank {}: {}", rank, ranks[rank]->doing());
  }
  return text;
}

/// One life of the job: from its start to its end, or to its crash.
class Life {
 public:
  Life(std::uint64_t seed, const Program& program, const Settings& settings, bool traced,
       const Checkpoint* from)
      : world_(seed, program, settings, traced), controls_(world_, program.ranks) {
    const auto in_flight = restore_network(from);
    for (int rank = 0; rank < program.ranks; ++rank) {
      const auto i = static_cast<std::size_t>(rank);
      const RankState* state = from != nullptr ? &*from->ranks[i] : nullptr;
      ranks_.push_back(std::make_unique<SimRank>(world_, controls_, rank, state, in_flight[i]));
      ranks_.back()->speed = world_.random.pick({1.0, 1.0, 1.0, 0.3, 0.03});
      world_.actors.push_back(ranks_.back().get());
    }
  }

  /// Adds what happened to `outcome`. False: it has crashed, or something does not hold.
  bool run(Outcome& outcome) {
    for (const auto& rank : ranks_) rank->start();
    const bool ended = run_to_end(outcome.steps);
    if (ended) check_all();
    outcome.failure = world_.failure;
    outcome.schedule += world_.schedule;
    outcome.epochs += ranks_.front()->layer.epochs();
    outcome.messages += world_.network.messages().size();
    for (const auto& rank : ranks_) {
      outcome.late_messages += rank->layer.window().late_messages();
      outcome.reposted_receives += rank->layer.window().reposted_receives();
    }
    for (const auto& [epoch, checkpoint] : world_.checkpoints) {
      if (!checkpoint.committed(world_.program.ranks)) continue;
      ++outcome.committed;
      for (const auto& rank : checkpoint.ranks) outcome.recorded_messages += rank->in_flight.size();
    }
    return ended && !world_.failure;
  }

  /// A committed checkpoint, more likely the newest; nullptr when there is none.
  const Checkpoint* choose() {
    const Checkpoint* chosen = nullptr;
    for (const auto& [epoch, checkpoint] : world_.checkpoints) {
      if (!checkpoint.committed(world_.program.ranks)) continue;
      if (chosen == nullptr || world_.random.chance(0.7)) chosen = &checkpoint;
    }
    return chosen;
  }

 private:
  std::vector<std::vector<const Message*>> restore_network(const Checkpoint* from) {
    std::vector<std::vector<const Message*>> in_flight(
        static_cast<std::size_t>(world_.program.ranks));
    if (from == nullptr) return in_flight;
    for (std::size_t rank = 0; rank < in_flight.size(); ++rank) {
      for (const Message& message : from->ranks[rank]->in_flight) {
        in_flight[rank].push_back(&world_.network.restore(message));
      }
      for (const auto& [channel, sent] : from->ranks[rank]->counters.sent) {
        world_.network.continue_channel(static_cast<int>(rank), channel.second, channel.first,
                                        sent);
      }
    }
    return in_flight;
  }

  /// False when it has crashed.
  bool run_to_end(std::uint64_t& total) {
    const auto all_left = [&] {
      return std::all_of(ranks_.begin(), ranks_.end(),
                         [](const auto& rank) { return rank->finished; });
    };
    std::uint64_t steps = 0;
    while (!all_left() && !world_.failure) {
      if (!world_.step() && !all_left()) {
        world_.fail("hang: nothing can happen any more" + where(ranks_));
      }
      if (++steps > most_steps) world_.fail("hang: this takes too long" + where(ranks_));
      ++total;
      if (steps == world_.settings.crash_at) return false;
    }
    while (!world_.failure && world_.network.step()) {
    }
    return true;
  }

  void check_all() {
    if (world_.failure) return;
    try {
      for (const auto& rank : ranks_) rank->layer.reap_freed();
      check(world_, ranks_);
    } catch (const Failure& failure) {
      world_.fail(failure.what());
    }
  }

  World world_;
  Controls controls_;
  Ranks ranks_;
};

}  // namespace

Outcome run_seed(std::uint64_t seed, Defect defect, bool traced) {
  constexpr int most_lives = 4;
  Random random{seed};
  const bool captured = random.chance(0.7);
  const Program program = make_program(random);
  set_members(program.members);
  Outcome outcome;
  std::optional<Checkpoint> from;
  for (int life = 1; life <= most_lives; ++life) {
    Settings settings = random_settings(random, defect, captured);
    const bool crashes = captured && life < most_lives && random.chance(0.5);
    if (crashes) settings.crash_at = static_cast<std::uint64_t>(random.between(1, 4000));
    Life job{random.next(), program, settings, traced, from ? &*from : nullptr};
    const bool ended = job.run(outcome);
    // A job that has ended may be restarted from any of its checkpoints, too.
    if (outcome.failure || (ended && (from || !captured))) break;
    const Checkpoint* chosen = job.choose();
    if (chosen != nullptr) from = *chosen;
    if (ended && !from) break;
    if (from) ++outcome.restarts;
    if (traced) outcome.schedule += from ? "---- restart\n" : "---- start\n";
  }
  return outcome;
}

void Totals::add(const Outcome& outcome) {
  ++runs;
  epochs += outcome.epochs;
  committed += outcome.committed;
  recorded_messages += outcome.recorded_messages;
  restarts += outcome.restarts;
  messages += outcome.messages;
  late_messages += outcome.late_messages;
  reposted_receives += outcome.reposted_receives;
  steps += outcome.steps;
}

std::string Totals::describe() const {
  return fmt::format(
      "{} runs, {} epochs, {} checkpoints committed with {} messages in flight, {} restarts, {} "
      "messages and markers, {} late messages, {} receives taken from MPI and matched later, {} "
      "steps",
      runs, epochs, committed, recorded_messages, restarts, messages, late_messages,
      reposted_receives, steps);
}

}  // namespace cairn::window_simulation
