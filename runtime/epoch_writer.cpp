#include "runtime/epoch_writer.hpp"

#include <algorithm>
#include <utility>

#include "base/crash_point.hpp"
#include "io/collective.hpp"
#include "io/names.hpp"
#include "io/state_writer.hpp"
#include "runtime/channel_record.hpp"
#include "runtime/protocol/drain.hpp"

namespace cairn {
namespace {

/// Flips the colour and takes every late message in; what was in flight is recorded.
Status drain(const EpochContext& context, std::uint64_t epoch) {
  protocol::MpiChannels channels{context.layer};
  protocol::Drain drain{context.transport, channels};
  crash_point("cut_agreed");
  drain.start(epoch, true);
  crash_point("flipped");
  // All ranks are here, so what is missing is on its way; when nothing comes for long, a message
  // was sent or received by calls that Cairn does not see.
  const auto pulled = [&] { return context.layer.window().pulled_messages(); };
  std::uint64_t seen = pulled();
  double last_change = context.transport.now();
  while (!drain.poll()) {
    const double now = context.transport.now();
    if (pulled() != std::exchange(seen, pulled())) last_change = now;
    if (now - last_change < context.options.patience_seconds) continue;
    if (context.layer.window().has_unresolved_markers()) {
      return {Code::mpi_error, "a marker names a communicator that this rank does not have"};
    }
    context.layer.refuse_for_good("MPI past Cairn");
    return {Code::unsupported,
            "messages were sent or received by calls that Cairn does not see; no further "
            "checkpoint is taken"};
  }
  crash_point("drained");
  if (drain.sound()) return {};
  return {Code::mpi_error, "a marker names a communicator that this rank does not have"};
}

Status write(const EpochContext& context, io::Collective& all, io::EpochInfo& info,
             io::RankState& state) {
  auto captured = context.registry.capture();
  Status ready = captured ? Status{} : captured.status();
  std::string directory;
  if (all.rank() == 0 && ready) {
    auto begun = context.store.prepare(context.job, true);
    auto path = begun ? context.store.begin(info.epoch) : Result<std::filesystem::path>{begun};
    ready = path ? Status{} : path.status();
    if (path) directory = path->string();
  }
  if (auto status = all.agree(ready); !status) return status;
  directory = all.broadcast(directory, 0);
  io::WriteOptions options;
  info.parent = context.tracker.on() ? context.chain.next_parent() : std::nullopt;
  info.parent_id = context.chain.parent_id();
  context.tracker.select(*captured, info.parent.has_value());
  options.find_changes = context.tracker.finder(*captured);
  options.compression = *io::parse_compression(context.options.compress);
  state.entries = std::move(captured->entries);
  state.slabs = std::move(captured->slabs);
  if (context.options.driver == "mpiio") options.driver = io::WriteDriver::mpiio;
  options.group = context.group;
  return io::write_state(context.comm, std::filesystem::path(directory) / io::state_file, info,
                         state, options, &info);
}

}  // namespace

Result<io::EpochInfo> take_epoch(const EpochContext& context, std::uint64_t epoch,
                                 std::uint64_t safe_point, double waited_seconds) {
  const mpi::WithoutPolling without_polling;
  io::Collective all{context.comm};
  const double begin = context.transport.now();
  io::RankState state;
  state.counters = channel_counters(context.layer);
  state.communicators = led_communicators(context.layer, all.rank());
  Status status = all.agree(drain(context, epoch));
  state.messages = recorded_messages(context.layer, all.rank());

  io::EpochInfo info;
  info.epoch = epoch;
  info.protocol = "coordinated";
  info.safe_point = safe_point;
  info.ranks = all.size();
  info.application = context.job.application;
  info.uuid = context.job.uuid;
  info.messages_in_flight = all.sum({state.messages.size()})[0];
  if (status) status = write(context, all, info, state);
  const double blocked = waited_seconds + context.transport.now() - begin;
  info.blocked_seconds =
      static_cast<double>(all.max({static_cast<std::uint64_t>(blocked * 1e9)})[0]) * 1e-9;
  crash_point("prepared");

  if (all.rank() == 0) {
    if (status) {
      auto committed = context.store.commit(info);
      status = committed ? Status{} : committed.status();
      if (committed) info = *committed;
    }
    if (!status) context.store.discard(epoch);
  }
  status = all.agree(status);
  if (!status) {
    context.tracker.aborted();
    return status;
  }
  context.tracker.committed(info.parent.has_value());
  crash_point("committed");
  return info;
}

}  // namespace cairn
