#include "tests/simulation/window_protocol.hpp"

#include "base/checksum.hpp"
#include "tests/simulation/window_layer.hpp"

namespace cairn::window_simulation {
namespace {

/// As SessionImpl: then the attempt counts as failed.
constexpr int most_put_offs = 4;

protocol::SnapshotSettings snapshot_settings(const Checkpoints& checkpoints) {
  const double wish_period = checkpoints.kind == Checkpoints::Kind::wish ? 5 : 0;
  return {checkpoints.kind == Checkpoints::Kind::marker, wish_period, checkpoints.patience};
}

}  // namespace

// ---- The stress mode

StressMode::StressMode(World& world, Controls& controls, SimLayer& layer, int rank)
    : world_(world),
      rank_(rank),
      transport_(world, controls.epochs, rank),
      leaving_(world, controls.leaving, rank),
      epochs_(transport_, leaving_, layer, *this) {
  transport_.epoch_expected = [&layer] { return layer.epoch_expected(); };
}

void StressMode::called() {
  if (epochs_.may_begin() && epochs_.epochs() < world_.settings.epochs &&
      world_.random.chance(world_.settings.start)) {
    world_.log(rank_, "starts epoch {}", epochs_.epochs() + 1);
    epochs_.cut(false);
  }
  epochs_.poll();
}

// ---- Checkpoints

SimSession::SimSession(World& world, Controls& controls, SimLayer& layer, SimProgram& program,
                       int rank, std::uint64_t safe_points)
    : world_(world),
      layer_(layer),
      program_(program),
      rank_(rank),
      wishes_(world, controls.wishes, rank),
      transport_(world, controls.epochs, rank),
      leaving_(world, controls.leaving, rank),
      snapshot_(wishes_, transport_, leaving_, layer, *this,
                snapshot_settings(world.settings.checkpoints)),
      safe_points_(safe_points) {
  transport_.epoch_expected = [&layer] { return layer.epoch_expected(); };
}

bool SimSession::wishes() {
  using Kind = Checkpoints::Kind;
  const Kind kind = world_.settings.checkpoints.kind;
  const bool asks = kind == Kind::marker || (kind == Kind::wish && rank_ == 0);
  return asks && snapshot_.cuts() < world_.settings.epochs &&
         world_.random.chance(world_.settings.start);
}

bool SimSession::ready() {
  reason_ = program_.obstacle();
  return reason_.empty();
}

std::uint64_t SimSession::collective_fingerprint() {
  std::uint64_t sum = 0;
  for (const auto& [id, communicator] : layer_.communicators()) {
    if (communicator->freed) continue;
    const std::uint64_t hash = mix(id, communicator->collectives);
    const auto others = static_cast<std::uint64_t>(communicator->size - 1);
    sum += communicator->rank == 0 ? others * hash : -hash;
  }
  return sum;
}

bool SimSession::due_here() const {
  const Checkpoints& checkpoints = world_.settings.checkpoints;
  return checkpoints.kind == Checkpoints::Kind::every &&
         (safe_points_ + 1) % checkpoints.every == 0;
}

bool SimSession::must_wait() { return due_here() && !snapshot_.over(); }

void SimSession::pass_safe_point() {
  const bool cut_here = due_here();
  snapshot_.pass_safe_point(++safe_points_, cut_here);
}

void SimSession::capture(Status& why_not, bool& no_memory) {
  state_.reset();
  if (why_not && world_.random.chance(world_.settings.checkpoints.no_memory)) {
    why_not = {Code::busy, "no memory"};
    no_memory = true;
  }
  if (!why_not) {
    world_.log(rank_, "cuts without capture: {}", why_not.message());
    return;
  }
  state_ = program_.capture();
  state_->safe_points = safe_points_;
  world_.log(rank_, "is captured at call {}", state_->at);
}

void SimSession::begin(const Status& /*why_not*/) {
  Checkpoint& checkpoint = epoch();
  const auto size = static_cast<std::size_t>(world_.program.ranks);
  checkpoint.ranks.resize(size);
  checkpoint.told.resize(size);
  checkpoint.outcomes.resize(size);
}

void SimSession::finish(const protocol::Round& /*votes*/, const Status& judgement) {
  Checkpoint& checkpoint = epoch();
  const auto recorded = layer_.window().take_recorded();
  if (checkpoint.judged_good.value_or(judgement.ok()) != judgement.ok()) {
    throw Failure("ranks judge an epoch differently");
  }
  checkpoint.judged_good = judgement.ok();
  if (judgement && !state_) throw Failure("a rank that was not captured is to be committed");
  const bool bad = world_.random.chance(world_.settings.checkpoints.bad_write);
  if (!judgement || bad) checkpoint.failed = true;
  if (judgement && !bad) {
    for (const auto& message : recorded) {
      state_->in_flight.push_back(world_.network.messages().at(number_of(*message->payload) - 1));
    }
    checkpoint.ranks[static_cast<std::size_t>(rank_)] = std::move(state_);
  }
  world_.log(rank_, "finishes epoch {}: {}", snapshot_.cuts(),
             judgement ? fmt::format("{} messages in flight{}", recorded.size(),
                                     bad ? ", but can't write" : "")
                       : judgement.message());
  if (++checkpoint.written < world_.program.ranks) return;
  if (!checkpoint.failed) check_consistency(world_, snapshot_.cuts(), checkpoint);
  for (std::size_t rank = 0; rank < checkpoint.told.size(); ++rank) {
    world_.network.later([&checkpoint, rank] { checkpoint.told[rank] = true; },
                         world_.random.pick({1.0, 0.1}));
  }
}

bool SimSession::written(Status& status) {
  const Checkpoint& checkpoint = epoch();
  if (!checkpoint.told[static_cast<std::size_t>(rank_)]) return false;
  status = checkpoint.failed ? Status{Code::io_error, "not committed"} : Status{};
  return true;
}

/// The same decisions on every rank.
bool SimSession::over(const protocol::EpochOutcome& outcome) {
  epoch().outcomes[static_cast<std::size_t>(rank_)] = outcome.status.ok();
  for (const auto& other : epoch().outcomes) {
    if (other && *other != outcome.status.ok()) throw Failure("ranks differ in how an epoch ended");
  }
  world_.log(rank_, "epoch {} is {}", snapshot_.cuts(), outcome.status ? "committed" : "aborted");
  if (snapshot_.cuts() >= world_.settings.epochs) return false;
  if (outcome.missed) return true;
  if (outcome.passing && ++put_offs_ < most_put_offs) return true;
  put_offs_ = 0;
  return false;
}

}  // namespace cairn::window_simulation
