#include "runtime/snapshot.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/crash_point.hpp"
#include "io/names.hpp"
#include "mpi_bindings/native.hpp"
#include "runtime/channel_record.hpp"
#include "runtime/session_impl.hpp"

namespace cairn {

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

Snapshot::Snapshot(mpi::ChannelLayer& layer, SnapshotHost& host,
                   protocol::SnapshotSettings settings, std::uint64_t staging_limit_bytes)
    : layer_(layer),
      host_(host),
      comms_{private_world(), private_world(), private_world(), private_world()},
      wishes_(comms_[0]),
      transport_(comms_[1]),
      leaving_(comms_[2]),
      channels_(layer),
      protocol_(wishes_, transport_, leaving_, channels_, *this, settings),
      staging_(staging_limit_bytes, ranks_on_node()) {
  layer_.poll_collectives(settings.marker_cut || layer_.stress());
}

Snapshot::~Snapshot() = default;

void Snapshot::pass_safe_point(std::uint64_t index, bool cut_here) {
  const mpi::WithoutPolling without_polling;
  if (cut_here) wait_until_over();
  protocol_.pass_safe_point(index, cut_here);
}

/// When it fails, the first cut will say so.
void Snapshot::reserve() {
  if (!protocol_.over()) return;
  [[maybe_unused]] const Status early = staging_.reserve(host_.context().registry.staged_bytes());
}

void Snapshot::copy_ahead() {
  if (ahead_ || !protocol_.over()) return;
  ahead_ = true;
  const EpochContext context = host_.context();
  auto captured = context.registry.capture_regions();
  const bool delta = context.chain.next_parent().has_value();
  if (!captured) return;
  // Copies that nobody counts on any more must not be taken for those of later.
  if (!context.tracker.is_ahead()) staging_.drop_ahead();
  if (!context.tracker.select_ahead(*captured, delta)) return;
  if (staging_.reserve(capture::staged_bytes(*captured))) staging_.copy_ahead(*captured);
}

double Snapshot::seconds_ahead() const {
  constexpr double shortest = 0.05, bytes_per_second = 1e9;
  return shortest + static_cast<double>(staging_.reserved_bytes()) / bytes_per_second;
}

/// Whoever waits also drains, so that a peer in a rendezvous send can come here (I5).
void Snapshot::wait_for(bool (protocol::GlobalSnapshot::*test)() const) {
  const mpi::WithoutPolling without_polling;
  while (!(protocol_.*test)()) {
    layer_.pull_current(host_.context().options.store_limit_mib << 20);
    poll();
  }
}

void Snapshot::wait_until_over() { wait_for(&protocol::GlobalSnapshot::over); }

void Snapshot::hold() {
  protocol_.hold();
  wait_for(&protocol::GlobalSnapshot::held);
}

void Snapshot::finalize() {
  protocol_.leave();
  while (!protocol_.left()) layer_.poll();
  for (MPI_Comm& comm : comms_) mpi::native.Comm_free(&comm);
}

std::vector<protocol::AwaitedChannel> Snapshot::awaited_channels() {
  std::vector<protocol::AwaitedChannel> awaited;
  for (const auto& one : layer_.awaited_channels()) {
    awaited.push_back({one.communicator, one.source, one.wire_received, one.needed});
  }
  return awaited;
}

void Snapshot::capture(Status& why_not, bool& no_memory) {
  const EpochContext context = host_.context();
  cut_at_ = transport_.now();
  crash_point("cut_agreed");
  info_ = {};
  info_.epoch = host_.number();
  info_.protocol = "chandy-lamport";
  info_.safe_point = protocol_.safe_point();
  info_.ranks = transport_.size();
  info_.application = context.job.application;
  info_.uuid = context.job.uuid;
  state_ = {};
  ahead_ = false;
  if (why_not) why_not = copy(context, no_memory);
  counters_ = channel_counters(layer_);
  communicators_ = led_communicators(layer_, transport_.rank());
}

Status Snapshot::copy(const EpochContext& context, bool& no_memory) {
  auto captured = context.registry.capture();
  if (!captured) return captured.status();
  state_ = std::move(*captured);
  info_.parent = context.tracker.on() ? context.chain.next_parent() : std::nullopt;
  info_.parent_id = context.chain.parent_id();
  context.tracker.select(state_, info_.parent.has_value());
  Status status = staging_.reserve(capture::staged_bytes(state_));
  if (status) status = staging_.copy(state_);
  no_memory = !status;
  return status;
}

void Snapshot::begin(const Status& why_not) {
  const EpochContext context = host_.context();
  crash_point("flipped");
  write_ = std::make_unique<io::StateWrite>(
      comms_[3], context.store.temporary_path(info_.epoch) / io::state_file, info_,
      publishing(context));
  finished_ = false;
  if (why_not) {
    auto find_changes = context.tracker.finder(state_);
    write_->begin(std::move(state_.entries), std::move(state_.slabs), std::move(find_changes));
  } else {
    write_->fail(why_not);
  }
  blocked_seconds_ = transport_.now() - cut_at_;
}

/// What rank 0's thread does around the writing.
io::StateWrite::Options Snapshot::publishing(const EpochContext& context) {
  io::StateWrite::Options options;
  options.group = context.group;
  options.compression = *io::parse_compression(context.options.compress);
  options.prepare = [store = context.store, job = context.job, epoch = info_.epoch] {
    const Status prepared = store.prepare(job, true);
    if (!prepared) return prepared;
    const auto begun = store.begin(epoch);
    return begun ? Status{} : begun.status();
  };
  // What it knows of the epoch is read when all is over.
  options.publish = [this, store = context.store](const io::DataForm& form,
                                                  const io::WrittenFiles& files) {
    static_cast<io::DataForm&>(info_) = form;
    auto committed = store.commit(info_, files);
    if (!committed) return committed.status();
    info_ = std::move(*committed);
    return Status{};
  };
  return options;
}

void Snapshot::report(protocol::Round& vote) {
  crash_point("drained");
  vote.messages = layer_.window().recorded().size();
  vote.blocked_ns = static_cast<std::uint64_t>(blocked_seconds_ * 1e9);
}

void Snapshot::finish(const protocol::Round& votes, const Status& judgement) {
  info_.messages_in_flight = votes.messages;
  info_.blocked_seconds = static_cast<double>(votes.blocked_ns) * 1e-9;
  auto messages = recorded_messages(layer_, transport_.rank());
  if (finished_) return;  // it has failed
  finished_ = true;
  if (!judgement) {
    write_->fail(judgement);
    return;
  }
  crash_point("prepared");
  write_->finish(std::move(counters_), std::move(messages), std::move(communicators_));
}

bool Snapshot::written(Status& status) {
  if (!write_->poll()) return false;
  finished_ = true;
  status = write_->status();
  return true;
}

bool Snapshot::over(const protocol::EpochOutcome& outcome) {
  if (transport_.rank() == 0 && !outcome.status) host_.context().store.discard(info_.epoch);
  if (outcome.status) crash_point("committed");
  if (outcome.status) {
    static_cast<io::DataForm&>(info_) = write_->form();
    host_.context().tracker.committed(info_.parent.has_value());
  } else {
    host_.context().tracker.aborted();
  }
  write_.reset();
  state_ = {};
  return host_.over(outcome, info_);
}

}  // namespace cairn
