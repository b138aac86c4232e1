#include "runtime/snapshot.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/checksum.hpp"
#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "io/names.hpp"
#include "mpi_bindings/native.hpp"
#include "runtime/channel_record.hpp"
#include "runtime/session_impl.hpp"

namespace cairn {

using Action = protocol::AlignedCut::Action;

namespace {

int ranks_on_node() {
  MPI_Comm node = MPI_COMM_NULL;
  mpi::native.Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int ranks = 1;
  PMPI_Comm_size(node, &ranks);
  mpi::native.Comm_free(&node);
  return ranks;
}

}  // namespace

Snapshot::Snapshot(mpi::ChannelLayer& layer, SnapshotHost& host, double wish_period_seconds,
                   bool marker_cut, std::uint64_t staging_limit_bytes)
    : layer_(layer),
      host_(host),
      comms_{private_world(), private_world(), private_world(), private_world()},
      wishes_(comms_[0]),
      transport_(comms_[1]),
      leaving_(comms_[2]),
      channels_(layer),
      aligned_(wishes_, {marker_cut ? 0 : wish_period_seconds, 1}),
      epochs_(transport_, leaving_, channels_, *this),
      staging_(staging_limit_bytes, ranks_on_node()),
      marker_cut_(marker_cut) {
  layer_.poll_collectives(marker_cut || layer_.stress());
}

Snapshot::~Snapshot() = default;

void Snapshot::pass_safe_point(std::uint64_t index, bool cut_here) {
  const mpi::WithoutPolling without_polling;
  index_ = index;
  at_safe_point_ = true;
  if (marker_cut_) {
    if (cut_here) wait_until_over();
    if (epochs_.may_begin() && !busy() && (cut_here || host_.wishes())) cut({});
  } else if (cut_here) {
    wait_until_over();
    aligned_.arrive(index);
    cut({});
  } else {
    act(aligned_.arrive(index));
  }
  // Safe points may be microseconds apart. Who is idle can only miss that others, which have agreed
  // with nobody, have begun an epoch.
  if (marker_cut_ || !idle() || index % 16 == 0) {
    poll();
  } else {
    act(aligned_.poll(host_.wishes()));
  }
  aligned_.depart();
  at_safe_point_ = false;
}

/// When it fails, the first cut will say so.
void Snapshot::reserve() {
  if (busy()) return;
  [[maybe_unused]] const Status early = staging_.reserve(host_.context().registry.staged_bytes());
}

void Snapshot::poll() {
  act(aligned_.poll(!marker_cut_ && host_.wishes()));
  if (leaving_now_ && aligned_.target()) act(Action::missed);
  if (marker_cut_ && epochs_.may_begin() && !busy() && may_cut_in_region() && host_.wishes()) {
    cut({});
  }
  epochs_.poll();
  poll_write();
  lose_patience();
}

/// I9. Time that this rank itself was away from MPI is not spent waiting for others.
void Snapshot::lose_patience() {
  if (!epochs_.open() || aborted_) return;
  const double now = transport_.now();
  const double patience = host_.context().options.patience_seconds;
  const double away = now - std::exchange(polled_at_, now);
  if (away > patience / 4) waited_since_ += away;
  if (now - waited_since_ < patience) return;
  aborted_ = true;
  epochs_.abort();
}

bool Snapshot::idle() const { return aligned_.idle() && epochs_.idle() && write_ == nullptr; }

void Snapshot::act(Action action) {
  if (action == Action::none) return;
  if (busy()) wait_until_over();
  if (action == Action::cut) {
    cut({});
  } else {
    missed_ = true;
    cut({Code::busy, fmt::format("safe point {}, where the cut was to be, had been passed",
                                 aligned_.target().value_or(0))});
  }
}

/// Whoever waits also drains, so that a peer in a rendezvous send can come here (I5).
void Snapshot::wait_until_over() {
  const mpi::WithoutPolling without_polling;
  while (busy()) {
    layer_.pull_current(host_.context().options.store_limit_mib << 20);
    poll();
  }
}

/// An epoch that this rank does not come to by itself.
void Snapshot::heard() {
  if (write_ != nullptr) return;  // the one before is not over here
  if (epochs_.aborted()) {
    cut({Code::busy, "the cut was not reached in time"});
  } else if (leaving_now_) {
    cut({Code::busy, "the program is in MPI_Finalize"});
  } else if (marker_cut_ && (at_safe_point_ || may_cut_in_region())) {
    cut({});
  } else if (hopeless()) {
    hopeless_ = true;
    cut({Code::busy, fmt::format("{} waits for a message that is sent after the sender's cut",
                                 describe(layer_.current_call()))});
  }
}

bool Snapshot::may_cut_in_region() const {
  return regions_ > 0 && layer_.in_repeatable_call() && host_.ready();
}

/// E6: this rank can't come to its cut, since what it waits for is held back until it has cut.
bool Snapshot::hopeless() {
  const auto awaited = layer_.awaited_channel();
  if (!awaited) return false;
  for (const auto& marker : epochs_.early_markers()) {
    if (marker.peer != awaited->source) continue;
    std::uint64_t sent = 0;
    for (const auto& count : marker.counts) {
      if (count.communicator == awaited->communicator) sent = count.messages;
    }
    return sent == awaited->wire_received;
  }
  return false;
}

void Snapshot::cut(Status why_not) {
  const EpochContext context = host_.context();
  const double begin = transport_.now();
  waited_since_ = polled_at_ = begin;
  crash_point("cut_agreed");
  info_ = {};
  info_.epoch = host_.number();
  info_.protocol = "chandy-lamport";
  info_.safe_point = index_;
  info_.ranks = transport_.size();
  info_.application = context.job.application;
  info_.uuid = context.job.uuid;
  written_ = aborted_ = false;

  capture::Capture state;
  if (why_not && !host_.ready()) why_not = {Code::busy, host_.reason()};
  if (why_not) {
    auto captured = context.registry.capture();
    why_not = captured ? Status{} : captured.status();
    if (captured) state = std::move(*captured);
  }
  if (why_not) {
    why_not = staging_.reserve(context.registry.staged_bytes());
    if (why_not) why_not = staging_.copy(state);
    no_memory_ = !why_not;
  }
  const bool captured = why_not.ok();
  collectives_ = host_.collective_fingerprint();
  program_ = mix(host_.program_fingerprint(), marker_cut_ ? 0 : index_);
  counters_ = channel_counters(layer_);
  communicators_ = led_communicators(layer_, transport_.rank());
  epochs_.cut(captured);
  crash_point("flipped");
  write_ = std::make_unique<io::StateWrite>(
      comms_[3], context.store.temporary_path(info_.epoch) / io::state_file, info_,
      publishing(context));
  if (captured) {
    write_->begin(std::move(state.entries), std::move(state.slabs));
  } else {
    write_->fail(why_not);
  }
  objects_ = std::move(state.objects);
  why_not_ = std::move(why_not);
  aligned_.taken();
  blocked_seconds_ = transport_.now() - begin;
}

/// What rank 0's thread does around the writing.
io::StateWrite::Options Snapshot::publishing(const EpochContext& context) {
  io::StateWrite::Options options;
  options.prepare = [store = context.store, job = context.job, epoch = info_.epoch] {
    const Status prepared = store.prepare(job);
    if (!prepared) return prepared;
    const auto begun = store.begin(epoch);
    return begun ? Status{} : begun.status();
  };
  // What it knows of the epoch is read when all is over.
  options.publish = [this, store = context.store,
                     keep = context.options.keep](const io::Datasets& datasets) {
    auto committed = store.commit(info_, datasets);
    if (!committed) return committed.status();
    info_ = std::move(*committed);
    const Status retained = store.retain(keep);
    if (!retained) log::warning("old checkpoints are still there: {}", retained.message());
    return Status{};
  };
  return options;
}

/// A number that adds up to 0 over all ranks when all contribute the same value.
std::uint64_t Snapshot::spread(std::uint64_t value) const {
  const auto others = static_cast<std::uint64_t>(transport_.size() - 1);
  return transport_.rank() == 0 ? others * value : -value;
}

protocol::Round Snapshot::vote() {
  crash_point("drained");
  protocol::Round vote;
  if (why_not_ && !aborted_ && !epochs_.aborting()) {
    vote.ready = 1;
  } else if (no_memory_) {
    vote.memory = 1;
  } else if (missed_) {
    vote.missed = 1;
  } else if (!why_not_ && why_not_.code() == Code::busy && !leaving_now_ && !hopeless_ &&
             !epochs_.aborting()) {
    vote.put_off = 1;
  } else {
    vote.gone = 1;
  }
  vote.collectives = collectives_;
  vote.program = spread(program_);
  vote.messages = layer_.window().recorded().size();
  vote.blocked_ns = static_cast<std::uint64_t>(blocked_seconds_ * 1e9);
  return vote;
}

/// The same on every rank.
Status Snapshot::judge(const protocol::Round& votes) const {
  const auto size = static_cast<std::uint64_t>(transport_.size());
  if (votes.ready < size) {
    return {Code::busy,
            fmt::format("{} of {} ranks did not come to the cut within {} s (CAIRN_PATIENCE), or "
                        "were in MPI_Finalize",
                        size - votes.ready, size, host_.context().options.patience_seconds)};
  }
  if (votes.collectives != 0) {
    return {Code::invalid_argument,
            fmt::format("a collective call crosses the cut at safe point {}: the ranks have made "
                        "different numbers of them; put the safe point where all ranks are between "
                        "the same two collectives",
                        index_)};
  }
  if (votes.program != 0) {
    return {Code::invalid_argument,
            "the ranks do not protect the same names, or have passed different numbers of safe "
            "points"};
  }
  return {};
}

void Snapshot::closed(const protocol::Round& votes) {
  votes_ = votes;
  info_.messages_in_flight = votes.messages;
  info_.blocked_seconds = static_cast<double>(votes.blocked_ns) * 1e-9;
  auto recorded = layer_.window().take_recorded();
  if (written_) return;  // it has failed
  if (Status status = judge(votes); !status) {
    write_->fail(std::move(status));
    return;
  }
  std::vector<io::Message> messages;
  messages.reserve(recorded.size());
  for (auto& message : recorded) {
    messages.push_back({message->communicator, message->source, transport_.rank(), message->tag,
                        message->payload->bytes});
  }
  crash_point("prepared");
  write_->finish(std::move(counters_), std::move(messages), std::move(communicators_));
}

void Snapshot::poll_write() {
  if (write_ == nullptr) return;
  written_ = written_ || write_->poll();
  if (written_ && !epochs_.open()) conclude(write_->status());
}

void Snapshot::conclude(Status status) {
  const EpochContext context = host_.context();
  if (transport_.rank() == 0 && !status) context.store.discard(info_.epoch);
  if (status) crash_point("committed");
  write_.reset();
  written_ = missed_ = hopeless_ = no_memory_ = false;
  objects_.clear();
  EpochOutcome outcome;
  outcome.epoch = info_.epoch;
  outcome.memory = !status && votes_.memory > 0;
  outcome.passing =
      !status && !outcome.memory && votes_.gone == 0 && votes_.put_off + votes_.missed > 0;
  outcome.missed = outcome.passing && votes_.put_off == 0;
  outcome.status = std::move(status);
  outcome.info = info_;
  const bool again = host_.over(outcome);
  aligned_.finished(votes_.missed > 0, again);
}

void Snapshot::hold() {
  const mpi::WithoutPolling without_polling;
  aligned_.hold();
  while (!aligned_.settled() || busy()) {
    layer_.pull_current(host_.context().options.store_limit_mib << 20);
    poll();
  }
}

void Snapshot::finalize() {
  leaving_now_ = true;
  aligned_.leave();
  while (!aligned_.stopped() || busy()) layer_.poll();
  epochs_.leave();
  while (!epochs_.left() || busy()) layer_.poll();
  for (MPI_Comm& comm : comms_) mpi::native.Comm_free(&comm);
}

}  // namespace cairn
