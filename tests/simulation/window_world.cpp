#include "tests/simulation/window_world.hpp"

#include <algorithm>

namespace cairn::window_simulation {
namespace {

/// Polls of every rank in which nothing happens, after which nothing ever will.
constexpr std::uint64_t hopeless = 20;
/// A rank that waits for others to cut counts its polls; more than these, it does not wait.
constexpr std::uint64_t longest_patience = 3000;
/// Far more calls of MPI's than an engine makes before it returns.
constexpr std::uint64_t most_calls = 100'000;

}  // namespace

void World::interleave() {
  if (++calls_ > most_calls) throw Failure("an engine does not return");
  while (!failure && random.chance(settings.interleaving)) {
    if (random.chance(0.7)) {
      network.step();
    } else {
      run_some_rank();
    }
  }
}

bool World::run_some_rank() {
  const auto chosen = static_cast<std::size_t>(random.below(static_cast<int>(actors.size())));
  Actor& actor = *actors[chosen];
  if (actor.running || actor.finished || !random.chance(actor.speed)) return false;
  actor.running = true;
  ++actor.quiet_steps;
  actor.resume();
  actor.running = false;
  return true;
}

bool World::step() {
  calls_ = 0;
  if (random.chance(settings.network)) {
    network.step();
  } else {
    run_some_rank();
  }
  if (network.now() != last_change_) {
    last_change_ = network.now();
    for (Actor* actor : actors) actor->quiet_steps = 0;
  }
  const bool patient = settings.checkpoints.kind != Checkpoints::Kind::none;
  const std::uint64_t limit = patient ? longest_patience : hopeless;
  return !network.idle() || std::any_of(actors.begin(), actors.end(), [&](const Actor* actor) {
    return !actor->finished && actor->quiet_steps < limit;
  });
}

void World::fail(const std::string& what) {
  if (!failure) failure = what;
}

void World::join(std::pair<int, int> key, const std::vector<int>& members) {
  Meeting& meeting = meetings_[key];
  if (meeting.over.empty()) {
    meeting.missing = static_cast<int>(members.size());
    meeting.over.resize(static_cast<std::size_t>(program.ranks));
  }
  network.tick();
  if (--meeting.missing > 0) return;
  for (const int member : members) {
    network.later([&meeting, member] { meeting.over[static_cast<std::size_t>(member)] = true; });
  }
}

}  // namespace cairn::window_simulation
