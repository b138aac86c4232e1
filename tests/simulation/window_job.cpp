#include "tests/simulation/window_job.hpp"

#include <algorithm>

#include "tests/simulation/window_communicator.hpp"

namespace cairn::window_simulation {
namespace {

/// Far more than a run takes.
constexpr std::uint64_t most_steps = 2'000'000;

Settings random_settings(Random& random, Defect defect) {
  Settings settings;
  settings.interleaving = random.pick({0.02, 0.1, 0.3, 0.5});
  settings.network = random.pick({0.15, 0.4, 0.7});
  settings.start = random.pick({0.02, 0.1, 0.5});
  settings.epochs = static_cast<std::uint64_t>(random.between(1, 6));
  settings.pace.control = random.pick({1.0, 1.0, 0.1});
  settings.pace.batching = random.pick({0.0, 0.3, 0.7});
  settings.pull_current = random.pick({0.0, 0.0, 0.1});
  settings.defect = defect;
  return settings;
}

std::string where(const Ranks& ranks) {
  std::string text;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    text += fmt::format("\n  rank {}: {}", rank, ranks[rank]->doing());
  }
  return text;
}

std::uint64_t run_to_end(World& world, const Ranks& ranks) {
  const auto all_left = [&] {
    return std::all_of(ranks.begin(), ranks.end(), [](const auto& rank) { return rank->finished; });
  };
  std::uint64_t steps = 0;
  while (!all_left() && !world.failure) {
    if (!world.step() && !all_left())
      world.fail("hang: nothing can happen any more" + where(ranks));
    if (++steps > most_steps) world.fail("hang: this takes too long" + where(ranks));
  }
  while (!world.failure && world.network.step()) {
  }
  return steps;
}

void check_all(World& world, const Ranks& ranks) {
  if (world.failure) return;
  try {
    for (const auto& rank : ranks) rank->layer.reap_freed();
    check(world, ranks);
  } catch (const Failure& failure) {
    world.fail(failure.what());
  }
}

}  // namespace

Outcome run_seed(std::uint64_t seed, Defect defect, bool traced) {
  Random random{seed};
  const Settings settings = random_settings(random, defect);
  const Program program = make_program(random);
  set_members(program.members);
  World world{random.next(), program, settings, traced};
  ControlNetwork control{world, program.ranks, 0};
  ControlNetwork leaving{world, program.ranks, 1};
  Ranks ranks;
  for (int rank = 0; rank < program.ranks; ++rank) {
    ranks.push_back(std::make_unique<SimRank>(world, control, leaving, rank));
    ranks.back()->speed = world.random.pick({1.0, 1.0, 1.0, 0.3, 0.03});
    world.actors.push_back(ranks.back().get());
  }
  for (const auto& rank : ranks) rank->start();
  Outcome outcome;
  outcome.steps = run_to_end(world, ranks);
  check_all(world, ranks);
  outcome.failure = world.failure;
  outcome.schedule = std::move(world.schedule);
  outcome.epochs = ranks.front()->layer.epochs();
  outcome.messages = world.network.messages().size();
  for (const auto& rank : ranks) {
    outcome.late_messages += rank->layer.window().late_messages();
    outcome.reposted_receives += rank->layer.window().reposted_receives();
  }
  return outcome;
}

void Totals::add(const Outcome& outcome) {
  ++runs;
  epochs += outcome.epochs;
  messages += outcome.messages;
  late_messages += outcome.late_messages;
  reposted_receives += outcome.reposted_receives;
  steps += outcome.steps;
}

std::string Totals::describe() const {
  return fmt::format(
      "{} runs, {} epochs, {} messages and markers, {} late messages, {} receives taken from MPI "
      "and "
      "matched later, {} steps",
      runs, epochs, messages, late_messages, reposted_receives, steps);
}

}  // namespace cairn::window_simulation
