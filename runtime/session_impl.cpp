#include "runtime/session_impl.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <random>
#include <stop_token>
#include <utility>

#include "base/log.hpp"
#include "io/collective.hpp"
#include "mpi_bindings/native.hpp"
#include "runtime/chaos.hpp"
#include "runtime/environment.hpp"
#include "runtime/node_group.hpp"
#include "runtime/restart.hpp"

namespace cairn {
namespace {

/// A cut that some rank puts off is tried again at this many safe points before it is reported.
constexpr int max_retries = 16;
/// After failures the next try comes later and later, up to this many intervals.
constexpr int max_backoff = 32;

std::vector<std::string> command_line() {
  std::ifstream file{"/proc/self/cmdline", std::ios::binary};
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

std::string executable_name() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "unknown" : path.filename().string();
}

std::string random_uuid() {
  std::random_device random;
  const auto word = [&] { return static_cast<unsigned>(random()); };
  const unsigned a = word(), b = word(), c = word(), d = word();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:04x}{:08x}", a, b >> 16, b & 0xfffU,
                     (c >> 16 & 0x3fffU) | 0x8000U, c & 0xffffU, d);
}

/// The longest pause between two rounds that keeps the interval exact to a few percent. A round
/// costs some microseconds per rank, so this stays far below 0.1 % of the run time.
double wish_period(const Interval& interval) {
  if (interval.kind != Interval::Kind::seconds) return 0;
  return std::clamp(interval.seconds / 20, 0.01, 1.0);
}

}  // namespace

MPI_Comm private_world() {
  MPI_Comm made = MPI_COMM_NULL;
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  mpi::native.Comm_split(MPI_COMM_WORLD, 0, rank, &made);
  PMPI_Comm_set_errhandler(made, MPI_ERRORS_RETURN);
  return made;
}

void stop_program(const Status& status, int exit_status) {
  int up = 0;
  int over = 0;
  PMPI_Initialized(&up);
  PMPI_Finalized(&over);
  int rank = 0;
  if (up != 0 && over == 0) PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == 0) log::error("{}", status.message());
  std::cout.flush();
  std::fflush(nullptr);
  if (up != 0 && over == 0) mpi::native.Finalize();
  std::_Exit(exit_status);
}

SessionImpl::SessionImpl(mpi::ChannelLayer& channel_layer, Options session_options)
    : layer(&channel_layer),
      options(std::move(session_options)),
      control(private_world()),
      bulk(private_world()),
      group(make_node_group(bulk, options.layout)),
      store(options.directory),
      tracker(*capture::parse_tracking_mode(options.incremental)),
      chain(options.full_every),
      requests(channel_layer, registry) {
  PMPI_Comm_rank(control, &rank);
  PMPI_Comm_size(control, &size);
  if (chaos_is_on()) options.interval = Interval::off();
  name_job();
  transport = std::make_unique<protocol::MpiTransport>(control);
  protocol::AgreementSettings settings;
  const double period = wish_period(options.interval);
  const bool overlapped =
      options.protocol == "chandy-lamport" && options.driver == "direct" && !chaos_is_on();
  settings.wish_period_seconds = overlapped ? 0 : period;
  settings.patience_seconds = options.patience_seconds;
  agreement = std::make_unique<protocol::Agreement>(*transport, *this, settings);
  if (overlapped)
    snapshot = std::make_unique<Snapshot>(
        *layer, *this,
        protocol::SnapshotSettings{options.cut == "marker", period, options.patience_seconds},
        options.staging_limit_mib << 20);
  if (rank == 0 && !tracker.fallback().empty()) {
    log::info("changes are found by hashing, not by pages: {}", tracker.fallback());
  }
  if (options.interval.kind != Interval::Kind::off) prepare_store();
  schedule_next(options.interval.seconds);
  const mpi::Alone alone;
  layer->add_progress(this);
}

SessionImpl::~SessionImpl() = default;

/// The job's identity, the same on every rank: each writes it into the file's metadata.
void SessionImpl::name_job() {
  job.application = options.application.empty() ? executable_name() : options.application;
  job.command = command_line();
  job.ranks = size;
  if (rank == 0) {
    const auto known = store.read_job();
    job.uuid = known ? known->uuid : random_uuid();
  }
  io::Collective all{bulk};
  job.uuid = all.broadcast(job.uuid, 0);
  job.application = all.broadcast(job.application, 0);
  const auto epochs = rank == 0 ? store.epochs() : std::vector<std::uint64_t>{};
  next_epoch = all.max({epochs.empty() ? 1 : epochs.back() + 1})[0];
  hides_epochs_ = rank == 0 && next_epoch > 1 && options.restart.kind != RestartFrom::Kind::never;
}

/// Finds out early whether checkpoints can be written at all. A job must not die of it (I14).
void SessionImpl::prepare_store() {
  if (rank != 0) return;
  const Status status = store.prepare(job);
  if (status) return;
  log::warning("checkpoints can't be written for now: {}; the program runs on without them",
               status.message());
}

EpochContext SessionImpl::context() {
  return {*layer,   *transport, registry, tracker, chain, late,
          requests, store,      options,  job,     bulk,  group};
}

void SessionImpl::record(const char* event, std::uint64_t epoch_number,
                         const nlohmann::ordered_json& details) {
  if (rank != 0) return;
  nlohmann::ordered_json line;
  line["event"] = event;
  line["time"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  line["epoch"] = epoch_number;
  line["safe_point"] = safe_point_index;
  line.update(details);
  store.append_history(line.dump());
}

Status SessionImpl::usable() const {
  if (layer != nullptr) return {};
  return {Code::invalid_argument,
          "MPI_Finalize has ended the cairn session: use it before MPI_Finalize"};
}

Status SessionImpl::protect(capture::Item item) {
  const std::string name = item.entry.name;
  Status status = registry.add(std::move(item));
  if (!status) return refuse_to_protect(name, std::move(status));
  requests.remove(name);  // it stands for memory from now on
  unprotected_.erase(name);
  return late.restore(*registry.find(name), rank);
}

Status SessionImpl::unprotect(const std::string& name) {
  const bool known = registry.find(name) != nullptr;
  requests.remove(name);
  registry.remove(name);
  if (known || unprotected_.erase(name) > 0) return {};
  return {Code::not_found, fmt::format("\"{}\" is not protected", name)};
}

Status SessionImpl::protect(std::string_view name, ElementType type, std::size_t element_bytes,
                            void* data, std::size_t count, GlobalShape shape) {
  const auto refuse = [&](std::string_view why) {
    return refuse_to_protect(
        std::string{name},
        {Code::invalid_argument, fmt::format("\"{}\" can't be protected: {}", name, why)});
  };
  if (data == nullptr && count > 0) return refuse("it has elements, but its memory is null");
  if (count > std::numeric_limits<std::size_t>::max() / element_bytes) {
    return refuse(fmt::format("{} elements of {} bytes are more than fits into memory", count,
                              element_bytes));
  }
  capture::Item item;
  item.entry = {std::string{name}, type, static_cast<std::uint32_t>(element_bytes),
                std::move(shape.global)};
  item.offset = std::move(shape.offset);
  item.shape = std::move(shape.local);
  item.view = [first = static_cast<std::byte*>(data), bytes = count * element_bytes] {
    return std::span{first, bytes};
  };
  return protect(std::move(item));
}

Status SessionImpl::protect(const std::string& name, PendingRequests::View view) {
  Status status = requests.add(name, std::move(view));
  if (!status) return refuse_to_protect(name, std::move(status));
  unprotected_.erase(name);
  return status;
}

Status SessionImpl::refuse_to_protect(const std::string& name, Status why) {
  unprotected_[name] = why.message();
  return why;
}

void SessionImpl::begin_safe_region() {
  ++safe_regions_;
  if (snapshot) snapshot->begin_region();
}

Status SessionImpl::end_safe_region() {
  if (safe_regions_ == 0) {
    return {Code::invalid_argument,
            "a safe region is ended that has not been begun: each end needs a begin before it"};
  }
  --safe_regions_;
  if (snapshot) snapshot->end_region();
  return {};
}

std::uint64_t SessionImpl::restart() {
  if (restart_called) {
    if (rank == 0) log::warning("restart() has been called before, and restores nothing now");
    return restarted_from_;
  }
  const mpi::Alone alone;
  if (chaos_is_on()) {
    restart_called = true;
    if (rank == 0) log::info("CAIRN_CHAOS is on: starts afresh and takes no checkpoints");
    return 0;
  }
  io::Collective all{bulk};
  const auto balance = all.sum({static_cast<std::uint64_t>(layer->balance())})[0];
  const auto pending = all.max({layer->pending_requests()})[0];
  requests.begin_restart();
  auto restored = restore_job(context());
  if (!restored) {
    const bool damaged = restored.status().code() == Code::corruption;
    stop_program(restored.status(), damaged ? 1 : 2);
  }
  if (restored->epoch > 0 && (balance != 0 || pending != 0)) {
    stop_program(
        {Code::invalid_argument,
         "messages or requests of the program are pending at cairn's restart(): they would "
         "mix with those of the checkpoint; call restart() before, or complete them"},
        2);
  }
  restart_called = true;
  if (restored->epoch > 0) requests.finish_restart();
  if (snapshot != nullptr) snapshot->reserve();
  if (!restored->uuid.empty()) job.uuid = restored->uuid;
  next_epoch = restored->newest + 1;
  epoch = restarted_from_ = restored->epoch;
  safe_point_index = restored->safe_point;
  schedule_next(options.interval.seconds);
  if (epoch == 0) {
    record("start", 0);
    return 0;
  }
  record("restart", epoch);
  warn_of_other_arguments();
  if (rank == 0) {
    log::info("continues from epoch {} (safe point {}, {} messages in flight)", epoch,
              safe_point_index, restored->messages);
  }
  return epoch;
}

/// Nothing forbids other arguments (more steps, say), but they may be a mistake.
void SessionImpl::warn_of_other_arguments() const {
  const auto known = rank == 0 ? store.read_job() : Result<io::Job>{job};
  if (!known || known->command.empty() || job.command.empty()) return;
  const auto arguments = [](const io::Job& of) {
    return std::vector<std::string>(of.command.begin() + 1, of.command.end());
  };
  if (arguments(*known) == arguments(job)) return;
  log::warning(
      "this run continues one that was started with other arguments: `{}`; use another "
      "CAIRN_DIR, or CAIRN_RESTART=never, to start anew",
      fmt::join(known->command, " "));
}

void SessionImpl::schedule_next(double seconds) { due_ = transport->now() + seconds; }

/// Whether all ranks take a checkpoint at the present safe point without having to agree on it.
bool SessionImpl::due_here() const {
  if (options.interval.kind != Interval::Kind::every) return false;
  return safe_point_index % options.interval.every == 0 || safe_point_index == retry_at_;
}

/// Whether a cut is to be expected about as soon as copying ahead of it takes. A guess of this
/// rank's: nothing depends on it but time.
bool SessionImpl::due_soon() {
  const Interval& interval = options.interval;
  if (!tracker.on() || interval.kind == Interval::Kind::off) return false;
  if (interval.kind == Interval::Kind::seconds) {
    return transport->now() >= due_ - snapshot->seconds_ahead();
  }
  const std::uint64_t passed = safe_point_index % interval.every;
  if (passed == 1) {
    interval_began_ = transport->now();
  } else if (passed == interval.every / 2 && interval_began_ > 0) {
    const double step = (transport->now() - interval_began_) / static_cast<double>(passed - 1);
    const double left = static_cast<double>(interval.every - passed);
    const double early =
        std::min(left, std::ceil(snapshot->seconds_ahead() / std::max(step, 1e-9)));
    ahead_from_ = interval.every - static_cast<std::uint64_t>(early);
  }
  return passed > 1 && passed >= ahead_from_;
}

Status SessionImpl::pass_safe_point(bool pinned, bool& committed) {
  committed = false;
  if (auto status = usable(); !status) return status;
  const mpi::Alone alone;  // B9
  ++safe_point_index;
  if (chaos_is_on()) {
    return pinned ? Status{Code::busy, "no checkpoint is taken with CAIRN_CHAOS"} : Status{};
  }
  if (snapshot != nullptr && overlapped_ && !pinned && due_here()) snapshot->wait_until_over();
  if (snapshot == nullptr || (!overlapped_ && !pinned)) return pass_coordinated(pinned, committed);
  if (!pinned) {
    if (options.interval.kind == Interval::Kind::off && snapshot->idle()) return {};
    absence_reported_ = false;
    if (due_soon()) snapshot->copy_ahead();
    const bool begins = options.cut != "marker" || rank == 0;
    snapshot->pass_safe_point(safe_point_index, begins && due_here());
    layer->settle();
    committed = std::exchange(committed_since_, false);
    return {};
  }
  // The program waits for this checkpoint anyway: nothing is won by going on.
  snapshot->hold();
  const Status status = pass_coordinated(true, committed);
  snapshot->release();
  layer->settle();
  return status;
}

Status SessionImpl::pass_coordinated(bool pinned, bool& committed) {
  const bool pin = pinned || due_here();
  if (!pin && options.interval.kind != Interval::Kind::seconds && agreement->idle()) return {};

  using Verdict = protocol::Agreement::Verdict;
  agreement->arrive(safe_point_index, pin);
  layer->settle();
  absent_ = false;
  absence_reported_ = false;
  Verdict verdict = poll_here(pinned);
  Status status;
  if (verdict == Verdict::none && agreement->must_wait()) {
    const double begin = transport->now();
    do {
      // Whoever waits also drains, so that a peer in a rendezvous send can come here (I5).
      layer->pull_current(options.store_limit_mib << 20);
      verdict = poll_here(pinned);
    } while (verdict == Verdict::none && agreement->must_wait());
    if (verdict == Verdict::cut) status = take(transport->now() - begin, committed);
  } else if (verdict == Verdict::cut) {
    status = take(0, committed);
  }
  agreement->depart();
  layer->settle();
  if (pinned && !committed && status) {
    status = {Code::busy, "no checkpoint was possible at this safe point; try a later one"};
  }
  return status;
}

/// Notes a refusal; this rank may have to go on waiting for another attempt.
protocol::Agreement::Verdict SessionImpl::poll_here(bool pinned) {
  const auto verdict = agreement->poll();
  if (verdict != protocol::Agreement::Verdict::refused) return verdict;
  note_refusal(pinned);
  return protocol::Agreement::Verdict::none;
}

/// After failures the next try comes later and later.
void SessionImpl::back_off() {
  ++failures_;
  const double factor = std::min(1 << std::min(failures_, 10), max_backoff);
  schedule_next(options.interval.seconds * factor);
}

Status SessionImpl::take(double waited_seconds, bool& committed) {
  const std::uint64_t number = next_epoch;
  retry_at_ = 0;
  put_offs_ = 0;
  own_reason_.clear();
  auto taken = take_epoch(context(), number, safe_point_index, waited_seconds);
  if (!taken) {
    note_abort(number, taken.status());
    return taken.status();
  }
  committed = true;
  note_commit(*taken);
  return {};
}

/// Removing the files of an old epoch takes about as long as a tenth of writing it: nobody waits.
/// Old epochs that stay only cost space.
void SessionImpl::retire_old_epochs() {
  if (rank != 0) return;
  retirement_.post([of = store, keep = options.keep](const std::stop_token& /*cancelled*/) {
    const Status retained = of.retain(keep);
    if (!retained) log::warning("old checkpoints are still there: {}", retained.message());
    return Status{};
  });
}

void SessionImpl::wait_for_retirement() {
  while (!retirement_.idle()) retirement_.wait(std::chrono::milliseconds{100});
}

void SessionImpl::note_commit(const io::EpochInfo& info) {
  retire_old_epochs();
  failures_ = 0;
  chain.committed(info);
  for (const std::string& name : late.waiting()) {
    log::warning(
        "\"{}\" was in the checkpoint that this run continues from, and is in no later "
        "one: it has not been protected again",
        name);
  }
  late.clear();
  epoch = info.epoch;
  next_epoch = info.epoch + 1;
  schedule_next(options.interval.seconds);
  record("commit", info.epoch,
         {{"messages_in_flight", info.messages_in_flight},
          {"bytes", info.bytes},
          {"blocked_seconds", info.blocked_seconds}});
  if (rank == 0) {
    log::info("epoch {} committed at safe point {}: {} bytes, {} messages in flight, {:.3f} s",
              info.epoch, info.safe_point, info.bytes, info.messages_in_flight,
              info.blocked_seconds);
  }
}

void SessionImpl::note_abort(std::uint64_t number, const Status& why) {
  if (why.code() == Code::corruption) chain.broken();  // every rank has the same code
  back_off();
  record("abort", number, {{"why", why.message()}});
  if (rank == 0) {
    log::warning("epoch {} was aborted, the program goes on: {}", number, why.message());
  }
}

/// The same decisions on every rank.
bool SessionImpl::over(const protocol::EpochOutcome& outcome, const io::EpochInfo& info) {
  own_reason_.clear();
  if (outcome.status) {
    put_offs_ = 0;
    committed_since_ = true;
    note_commit(info);
    return false;
  }
  if (outcome.missed) return true;
  if (outcome.memory) {
    // From now on the ranks wait while their memory itself is written.
    overlapped_ = false;
    agreement->ask_every(wish_period(options.interval));
    if (rank == 0) {
      log::warning("{}; from now on the program waits while a checkpoint is written",
                   outcome.status.message());
    }
    return false;
  }
  if (outcome.passing && ++put_offs_ < max_retries) return true;
  put_offs_ = 0;
  note_abort(info.epoch, outcome.status);
  return false;
}

/// All ranks have agreed on not cutting. Decides alike on every rank when to try again; each
/// reports what only it knows.
void SessionImpl::note_refusal(bool pinned) {
  const protocol::Refusal& refusal = agreement->refusal();
  if (refusal.retry && !pinned && ++put_offs_ < max_retries) {
    retry_at_ = safe_point_index + 1;
    return;
  }
  retry_at_ = 0;
  put_offs_ = 0;
  if (refusal.retry) {
    schedule_next(options.interval.seconds);
  } else {
    back_off();
  }
  const std::string& why = refusal.why.empty() ? own_reason_ : refusal.why;
  record("refused", next_epoch, {{"why", why.empty() ? "put off by another rank" : why}});
  const bool mine = refusal.why.empty() ? !own_reason_.empty() : rank == 0;
  if (mine) {
    log::warning("no checkpoint at safe point {}, the program goes on: {}", safe_point_index, why);
  }
  own_reason_.clear();
}

bool SessionImpl::idle() const {
  if (!agreement->idle()) return false;
  if (snapshot == nullptr) return true;
  // A rank that cuts at a fixed safe point asks nobody: the others must be able to hear of it.
  const bool unannounced =
      options.interval.kind == Interval::Kind::every || options.cut == "marker";
  return snapshot->idle() && !unannounced;
}

void SessionImpl::poll() {
  if (snapshot != nullptr) {
    snapshot->poll();
    layer->settle();
    if (snapshot->awaited() && !absence_reported_) report_absence();
  }
  if (agreement->idle()) return;
  // Away from a safe point there is no cut, but the others may have given an attempt up.
  if (agreement->poll() == protocol::Agreement::Verdict::refused) note_refusal(false);
  if (agreement->awaited() && !absence_reported_) report_absence();
}

bool SessionImpl::wishes() {
  if (options.interval.kind != Interval::Kind::seconds || rank != 0 || closed) return false;
  return transport->now() >= due_;
}

mpi::ChannelLayer::MayPend SessionImpl::may_pend() const {
  if (options.pending_requests == "repost") return [](const mpi::Request&) { return true; };
  return [registered = requests.registered()](const mpi::Request& pending) {
    return !pending.freed && registered.contains(&pending);
  };
}

std::size_t SessionImpl::complete_may_pend() const {
  if (options.pending_requests == "repost") return std::numeric_limits<std::size_t>::max();
  return requests.registered_complete();
}

bool SessionImpl::ready() {
  std::string reason;
  if (closed) {
    reason = "the program has closed its session";
  } else if (!unprotected_.empty()) {
    reason = unprotected_.begin()->second;
  } else if (hides_epochs_ && !restart_called) {
    reason = fmt::format(
        "restart() has not been called, and this checkpoint would hide those of an earlier run in "
        "{}; call it, or start over with CAIRN_RESTART=never",
        options.directory);
  } else if (auto refusal = layer->refusal(may_pend(), complete_may_pend())) {
    reason = *refusal;
  } else if (auto problem = requests.refusal()) {
    reason = *problem;
  } else if (layer->window().stored_bytes() >= options.store_limit_mib << 20) {
    reason = fmt::format("drained messages take more than {} MiB (CAIRN_STORE_LIMIT)",
                         options.store_limit_mib);
  }
  own_reason_ = reason;
  return reason.empty();
}

/// Only this rank knows what keeps it from the cut where others may be waiting for it (I9).
void SessionImpl::report_absence() {
  if (layer->current_call().name == nullptr) return;
  const double now = transport->now();
  const bool in_another_call =
      std::exchange(blocked_call_, layer->blocked_calls()) != layer->blocked_calls();
  if (!std::exchange(absent_, true) || in_another_call) blocked_since_ = now;
  if (now - blocked_since_ < options.patience_seconds) return;
  absence_reported_ = true;
  log::warning(
      "a checkpoint is due at safe point {}, but this rank has been in {} for {:.0f} s; the others "
      "give it up and go on (CAIRN_PATIENCE)",
      agreement->awaited() ? *agreement->awaited() : snapshot->awaited().value_or(0),
      describe(layer->current_call()), now - blocked_since_);
}

void SessionImpl::close() {
  closed = true;
  if (snapshot != nullptr) snapshot->close();
  wait_for_retirement();
  registry = {};
  requests.clear();
}

void SessionImpl::finalize() {
  // The others may still be at work, and their rounds need this rank.
  if (snapshot != nullptr) {
    snapshot->finalize();
    snapshot.reset();
  }
  agreement->depart();
  agreement->leave();
  layer->settle();
  while (!agreement->stopped()) {
    agreement->poll();
    layer->poll();
  }
  wait_for_retirement();
  layer->remove_progress(this);
  layer = nullptr;
  agreement.reset();
  transport.reset();
  PMPI_Comm_free(&control);
  PMPI_Comm_free(&bulk);
  if (group.has_file()) PMPI_Comm_free(&group.comm);
}

}  // namespace cairn
