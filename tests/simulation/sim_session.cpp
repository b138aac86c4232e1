// SimRank's session: the same steps as runtime/session_impl.cpp and runtime/epoch_writer.cpp.
#include <algorithm>

#include "base/checksum.hpp"
#include "runtime/protocol/drain.hpp"
#include "tests/simulation/sim_rank.hpp"

namespace cairn::simulation {
namespace {

constexpr int max_retries = 16;
constexpr int max_backoff = 32;

}  // namespace

using Kind = IntervalSettings::Kind;
using Verdict = protocol::Agreement::Verdict;

bool SimRank::wishes() {
  if (world_.settings.interval.kind != Kind::seconds || rank_ != 0) return false;
  return transport_.now() >= due_;
}

bool SimRank::ready() {
  if (world_.defect == Defect::pending_ignored) return true;
  return requests_.empty() && !held_ && !forbidden_ &&
         channels.stored() < world_.settings.store_limit;
}

std::uint64_t SimRank::collective_fingerprint() {
  if (world_.defect == Defect::collectives_ignored) return 0;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < world_.program.communicators.size(); ++i) {
    const auto& members = world_.program.communicators[i];
    const int communicator = static_cast<int>(i);
    if (!world_.collectives.member(communicator, rank_)) continue;
    const std::uint64_t hash = mix(i, world_.collectives.count(communicator, rank_));
    sum += members.front() == rank_ ? (members.size() - 1) * hash : -hash;
  }
  return sum;
}

void SimRank::schedule_next(double seconds) { due_ = transport_.now() + seconds; }

bool SimRank::due_here() const {
  if (world_.settings.interval.kind != Kind::every) return false;
  return safe_point_index % world_.settings.interval.every == 0 || safe_point_index == retry_at_;
}

void SimRank::note_verdict(Verdict verdict) {
  if (verdict == Verdict::none) return;
  const bool cut = verdict == Verdict::cut;
  transport_.wish_seen = false;
  attempts.push_back({cut, !cut && agreement_.refusal().retry, world_.ranks_leaving > 0});
  trace(cut ? "cut at safe point " + std::to_string(safe_point_index)
            : "refused: " + agreement_.refusal().why);
}

void SimRank::poll() {
  world_.control.rounds.touch(rank_);
  if (agreement_.idle()) return;
  const Verdict verdict = agreement_.poll();
  note_verdict(verdict);
  if (verdict == Verdict::cut) throw Failure("a cut away from a safe point");
  if (verdict == Verdict::refused) note_refusal(false);
}

Task SimRank::pass_safe_point(bool pinned) {
  ++safe_point_index;
  doing = "at safe point " + std::to_string(safe_point_index);
  trace(doing + (pinned ? " (explicit)" : ""));
  const bool pin = pinned || due_here();
  if (!pin && world_.settings.interval.kind != Kind::seconds && agreement_.idle()) co_return;

  agreement_.arrive(world_.defect == Defect::index_forgotten ? 1 : safe_point_index, pin);
  Verdict verdict = poll_here(pinned);
  const bool passes = world_.defect == Defect::cut_not_awaited;
  if (verdict == Verdict::none && agreement_.must_wait() && !passes) {
    const double begin = kernel_.now();
    ++waits;
    if (!pin && !transport_.wish_seen) ++waits_without_reason;
    do {
      co_await pause();
      if (world_.defect != Defect::waiting_without_pull) {
        channels.pull(channels.colour(), world_.settings.store_limit);
      }
      verdict = poll_here(pinned);
    } while (verdict == Verdict::none && agreement_.must_wait());
    longest_wait = std::max(longest_wait, kernel_.now() - begin);
  }
  bool committed = false;
  if (verdict == Verdict::cut) co_await take_epoch(committed);
  agreement_.depart();
}

/// Notes a refusal; the rank may have to go on waiting for another attempt.
Verdict SimRank::poll_here(bool pinned) {
  const Verdict verdict = agreement_.poll();
  note_verdict(verdict);
  if (verdict != Verdict::refused) return verdict;
  note_refusal(pinned);
  return Verdict::none;
}

void SimRank::note_refusal(bool pinned) {
  const protocol::Refusal& refusal = agreement_.refusal();
  ++refusals_;
  const bool give_up = !refusal.retry || pinned || refusals_ % max_retries == 0;
  if (!give_up) {
    retry_at_ = safe_point_index + 1;
    return;
  }
  retry_at_ = 0;
  schedule_next(world_.settings.interval.seconds *
                std::min(1 << std::min(refusals_, 5), max_backoff));
}

Task SimRank::take_epoch(bool& committed) {
  doing = "taking epoch " + std::to_string(next_epoch_);
  retry_at_ = 0;
  CutRecord& record = cuts.emplace_back();
  record.epoch = next_epoch_;
  record.safe_point = safe_point_index;
  record.could_be_captured = requests_.empty() && !held_ && !forbidden_;
  const int communicators = static_cast<int>(world_.program.communicators.size());
  for (int i = 0; i < communicators; ++i) {
    record.collectives.push_back(world_.collectives.count(i, rank_));
  }

  protocol::Drain drain{transport_, channels};
  ++cuts_made_;
  drain.start(next_epoch_);
  while (!drain.poll()) co_await pause();
  auto drained = world_.collectives.call(communicators, rank_, CollectiveKind::all, any,
                                         drain.sound() ? 0 : 1);
  const bool sound = co_await drained == 0;

  record.state.next_op = next_op_;
  record.state.digest = digest;
  record.state.counts = channels.counts();
  for (const Message* message : channels.messages()) {
    record.recorded.push_back(message);
    record.state.messages.push_back(*message);
  }
  co_await Sleep{kernel_, kernel_.random.delay(1)};  // writing
  const bool written = rank_ != 0 || !kernel_.random.chance(world_.settings.failed_writes);
  auto vote = world_.collectives.call(communicators, rank_, CollectiveKind::all, any,
                                      sound && written ? 0 : 1);
  committed = co_await vote == 0;
  record.committed = committed;
  trace("epoch " + std::to_string(next_epoch_) + (committed ? " committed, " : " aborted, ") +
        std::to_string(record.recorded.size()) + " messages in flight");
  if (!committed) {
    ++refusals_;
    schedule_next(world_.settings.interval.seconds *
                  std::min(1 << std::min(refusals_, 5), max_backoff));
    co_return;
  }
  refusals_ = 0;
  epoch_ = next_epoch_++;
  schedule_next(world_.settings.interval.seconds);
}

Task SimRank::finalize() {
  doing = "in MPI_Finalize";
  trace(doing);
  ++world_.ranks_leaving;
  agreement_.depart();
  agreement_.leave();
  while (!agreement_.stopped()) {
    const Verdict verdict = agreement_.poll();
    note_verdict(verdict);
    if (verdict == Verdict::cut) throw Failure("a cut in MPI_Finalize");
    if (!agreement_.stopped()) co_await pause();
  }
  world_.control.rounds.touch(rank_, true);
  stopped = true;
  ++world_.ranks_stopped;
}

}  // namespace cairn::simulation
