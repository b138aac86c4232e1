#include "tests/simulation/sim_scenarios.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace cairn::simulation {
namespace {

using Kind = IntervalSettings::Kind;

Pace random_pace(Random& random) {
  Pace pace;
  pace.message = random.pick({0.1, 0.5, 3.0});
  pace.control = random.pick({0.05, 0.3, 2.0});
  pace.poll = random.pick({0.1, 0.4, 1.5});
  pace.collective = random.pick({0.1, 0.5});
  return pace;
}

Scenario basic(Random& random) {
  Scenario scenario;
  scenario.pace = random_pace(random);
  scenario.weak_progress = random.chance(0.3);
  scenario.shape.ranks = random.chance(0.03) ? 1 : random.between(2, 7);
  scenario.shape.slots = random.between(10, 70);
  scenario.shape.safe_points = random.between(1, 8);
  scenario.shape.computation = random.pick({0.3, 1.0, 3.0});
  // Far longer than anything takes, when all is well.
  scenario.settings.agreement.patience_seconds = 3000;
  scenario.settings.agreement.slack = random.pick({1U, 1U, 1U, 2U, 5U});
  scenario.settings.agreement.wish_period_seconds = 0;
  return scenario;
}

void with_timer(Random& random, Scenario& scenario) {
  scenario.settings.interval.kind = Kind::seconds;
  scenario.settings.interval.seconds = random.pick({3.0, 10.0, 30.0});
  scenario.settings.agreement.wish_period_seconds = random.pick({0.1, 1.0, 3.0});
}

void make_lively(Scenario& scenario) {
  scenario.lively = true;
  scenario.settings.interval.seconds = 10;
  scenario.settings.agreement.wish_period_seconds = 0.5;
  scenario.pace.control = 0.05;
  scenario.pace.poll = 0.2;
  scenario.pace.message = 0.1;
  scenario.shape.computation = 1;
  scenario.shape.loop = true;
  scenario.shape.slots = 80;
  scenario.shape.safe_points = 40;
}

void with_every(Random& random, Scenario& scenario) {
  scenario.settings.interval.kind = random.chance(0.2) ? Kind::off : Kind::every;
  scenario.settings.interval.every = static_cast<std::uint64_t>(random.between(1, 4));
  scenario.shape.explicit_checkpoints = random.pick({0.0, 0.3});
  if (scenario.settings.interval.kind == Kind::off) scenario.shape.explicit_checkpoints = 0.6;
}

void with_obstacles(Random& random, Scenario& scenario) {
  scenario.well_behaved = false;
  scenario.shape.requests = random.chance(0.7);
  scenario.shape.obstacles = random.pick({0.0, 0.3});
  scenario.settings.failed_writes = random.pick({0.0, 0.3});
  if (random.chance(0.2))
    scenario.settings.store_limit = static_cast<std::size_t>(random.between(1, 4));
  scenario.settings.agreement.patience_seconds = random.pick({20.0, 100.0});
}

std::string describe(Family family, std::uint64_t seed) {
  return fmt::format(
      "family {}, seed {} (CAIRN_SIM_FAMILY={} CAIRN_SIM_SEED={} shows its schedule)",
      static_cast<int>(family), seed, static_cast<int>(family), seed);
}

bool traced(Family family, std::uint64_t seed) {
  const char* wanted = std::getenv("CAIRN_SIM_SEED");
  const char* kind = std::getenv("CAIRN_SIM_FAMILY");
  return wanted != nullptr && kind != nullptr && std::stoull(wanted) == seed &&
         std::stoi(kind) == static_cast<int>(family);
}

}  // namespace

Case make_case(Family family, std::uint64_t seed) {
  Random random{seed ^ static_cast<std::uint64_t>(family) << 40U};
  Scenario scenario = basic(random);
  scenario.well_behaved = true;
  switch (family) {
    case Family::every: with_every(random, scenario); break;
    case Family::timer:
    case Family::quiet:
      with_timer(random, scenario);
      scenario.shape.safe_points = random.between(10, 40);
      scenario.shape.explicit_checkpoints = random.pick({0.0, 0.0, 0.1});
      if (family == Family::timer) {
        if (random.chance(0.5)) make_lively(scenario);
        break;
      }
      scenario.settings.interval.seconds = 1e9;
      scenario.shape.explicit_checkpoints = 0;
      break;
    case Family::obstacles:
      if (random.chance(0.5)) {
        with_timer(random, scenario);
      } else {
        with_every(random, scenario);
      }
      with_obstacles(random, scenario);
      break;
    case Family::misaligned:
      if (random.chance(0.5)) {
        with_timer(random, scenario);
        scenario.shape.explicit_checkpoints = random.pick({0.0, 0.2});
      } else {
        with_every(random, scenario);
      }
      if (random.chance(0.5)) {
        with_obstacles(random, scenario);
      }
      scenario.well_behaved = false;
      scenario.shape.aligned = random.chance(0.3);
      scenario.shape.leave_early = random.chance(0.4);
      scenario.shape.slow = random.pick({0.0, 0.01, 0.03});
      scenario.settings.agreement.patience_seconds = random.pick({5.0, 20.0, 60.0});
      scenario.shape.slow_seconds = scenario.settings.agreement.patience_seconds;
      break;
  }
  return {make_program(random, scenario.shape), scenario};
}

std::optional<std::string> run_seed(Family family, std::uint64_t seed, Totals& totals,
                                    Defect defect) {
  const bool trace = traced(family, seed);
  Case made = make_case(family, seed);
  const auto fail = [&](const std::string& what) {
    return fmt::format("{}: {}", describe(family, seed), what);
  };

  Scenario undisturbed = made.scenario;
  undisturbed.settings.interval.kind = Kind::off;
  undisturbed.settings.ignore_checkpoints = true;
  undisturbed.settings.agreement.wish_period_seconds = 0;
  const Outcome reference = run_job(undisturbed, made.program, seed);
  if (reference.failure) return fail("without checkpoints: " + *reference.failure);
  if (reference.waits > 0) return fail("without checkpoints: a rank waited at a safe point");

  // Long enough: at least three intervals.
  made.scenario.lively =
      made.scenario.lively && reference.seconds > 3 * made.scenario.settings.interval.seconds;
  made.scenario.defect = defect;
  if (trace) std::printf("---- %s\n", describe(family, seed).c_str());
  const Outcome run = run_job(made.scenario, made.program, seed + 1, nullptr, trace);
  if (run.failure) return fail(*run.failure);
  if (run.digests != reference.digests) return fail("the result is not that of an undisturbed run");
  if (family == Family::quiet && run.waits > 0) return fail("a wait although nobody has a wish");
  ++totals.runs;
  totals.committed += static_cast<int>(run.committed.size());
  totals.refused += run.refused;
  totals.retries += run.retries;
  totals.aborted += run.aborted;
  totals.waits += run.waits;
  totals.late_messages += run.late_messages;
  totals.messages += run.messages;
  totals.events += run.events + reference.events;
  totals.longest_wait = std::max(totals.longest_wait, run.longest_wait);
  if (made.scenario.lively && run.committed.empty()) {
    return fail("no checkpoint was ever taken");
  }
  if (run.committed.empty()) return {};

  const auto chosen = static_cast<std::size_t>(seed % run.committed.size());
  if (trace) {
    std::printf("---- restarts from epoch %llu\n",
                static_cast<unsigned long long>(run.committed[chosen].epoch));
  }
  const Outcome restarted =
      run_job(made.scenario, made.program, seed + 2, &run.committed[chosen], trace);
  if (restarted.failure) return fail("after a restart: " + *restarted.failure);
  if (restarted.digests != reference.digests) {
    return fail("after a restart the result is not that of an undisturbed run");
  }
  ++totals.restarts;
  totals.events += restarted.events;
  return {};
}

}  // namespace cairn::simulation
