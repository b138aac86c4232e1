// The parts of a session and how they work together.
#pragma once

#include <mpi.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include <cairn/session.hpp>

#include "base/background_thread.hpp"
#include "io/store.hpp"
#include "mpi_bindings/channel_layer.hpp"
#include "runtime/capture/chain.hpp"
#include "runtime/capture/change_tracker.hpp"
#include "runtime/capture/registry.hpp"
#include "runtime/epoch_writer.hpp"
#include "runtime/pending_requests.hpp"
#include "runtime/protocol/agreement.hpp"
#include "runtime/protocol/mpi_transport.hpp"
#include "runtime/snapshot.hpp"

namespace cairn {

/// Prints one error line (rank 0's, or this rank's when it is alone in knowing it) and ends the
/// program with `exit_status`. Collective: every rank must call it.
[[noreturn]] void stop_program(const Status& status, int exit_status);

class SessionImpl;

/// What makes a Session: settings that are wrong end the program. invalid_argument, unsupported: no
/// session can be opened here and now; the same on every rank. Collective over MPI_COMM_WORLD.
Result<std::unique_ptr<SessionImpl>> open_session(MPI_Comm comm, Options options);

/// A communicator of Cairn's own with the ranks of MPI_COMM_WORLD and none of its attributes.
/// Collective; the caller frees it.
MPI_Comm private_world();

class SessionImpl : public mpi::Progress, public SnapshotHost {
 public:
  SessionImpl(mpi::ChannelLayer& channel_layer, Options session_options);
  ~SessionImpl() override;

  // ---- What the public calls do.
  /// What can't be protected keeps checkpoints from being taken: a restart would not restore it.
  Status protect(capture::Item item);
  Status unprotect(const std::string& name);
  Status protect(std::string_view name, ElementType type, std::size_t element_bytes, void* data,
                 std::size_t count, GlobalShape shape);
  Status protect(const std::string& name, PendingRequests::View view);
  /// As if protecting `name` had failed.
  Status refuse_to_protect(const std::string& name, Status why);
  /// invalid_argument: MPI_Finalize has ended the session.
  Status usable() const;
  void begin_safe_region();
  /// invalid_argument: none has been begun.
  Status end_safe_region();
  std::uint64_t restart();
  /// `pinned`: a checkpoint is asked for right here. `committed` tells whether there is one.
  Status pass_safe_point(bool pinned, bool& committed);

  // ---- mpi::Progress
  void poll() override;
  bool idle() const override;
  bool working() const override { return snapshot != nullptr && snapshot->working(); }
  void finalize() override;
  void first_send(int world_rank) override {
    if (snapshot) snapshot->announce_to(world_rank);
  }

  // ---- SnapshotHost
  EpochContext context() override;
  std::uint64_t number() const override { return next_epoch; }
  const std::string& reason() const override { return own_reason_; }
  bool over(const protocol::EpochOutcome& outcome, const io::EpochInfo& info) override;
  bool wishes() override;
  bool ready() override;
  std::uint64_t collective_fingerprint() override { return layer->collective_fingerprint(); }
  std::uint64_t program_fingerprint() override { return registry.fingerprint(); }

  /// After the program has closed its session: joins the others' rounds, takes no part in epochs.
  void close();

  mpi::ChannelLayer* layer;  ///< null after MPI_Finalize
  Options options;
  MPI_Comm control = MPI_COMM_NULL;  ///< rounds and markers
  MPI_Comm bulk = MPI_COMM_NULL;     ///< writing
  io::NodeGroup group;
  int rank = 0;
  int size = 1;
  io::Store store;
  io::Job job;
  capture::Registry registry;
  LateItems late;
  capture::ChangeTracker tracker;
  capture::Chain chain;
  PendingRequests requests;
  std::unique_ptr<protocol::MpiTransport> transport;
  std::unique_ptr<protocol::Agreement> agreement;  ///< for checkpoints at which all ranks wait
  std::unique_ptr<Snapshot> snapshot;              ///< for those at which none does, if any

  std::uint64_t safe_point_index = 0;
  std::uint64_t epoch = 0;  ///< committed or restarted from last
  std::uint64_t next_epoch = 1;
  bool restart_called = false;
  bool closed = false;

 private:
  void name_job();
  void prepare_store();
  void warn_of_other_arguments() const;
  bool due_here() const;
  bool due_soon();
  void retire_old_epochs();
  void wait_for_retirement();
  /// B5: which of the program's requests may be pending at a cut.
  mpi::ChannelLayer::MayPend may_pend() const;
  std::size_t complete_may_pend() const;
  Status pass_coordinated(bool pinned, bool& committed);
  Status take(double waited_seconds, bool& committed);
  void note_commit(const io::EpochInfo& info);
  void note_abort(std::uint64_t number, const Status& why);
  protocol::Agreement::Verdict poll_here(bool pinned);
  void note_refusal(bool pinned);
  void report_absence();
  void back_off();
  void schedule_next(double seconds);
  /// One line of history.jsonl.
  void record(const char* event, std::uint64_t epoch_number,
              const nlohmann::ordered_json& details = nlohmann::ordered_json::object());

  std::uint64_t restarted_from_ = 0;
  bool hides_epochs_ = false;  ///< rank 0: an earlier run has epochs, from which one may restart
  int safe_regions_ = 0;       ///< that the program is in
  std::map<std::string, std::string> unprotected_;  ///< names that can't be protected, and why

  double interval_began_ = 0;  ///< Interval::every: time of the first safe point after one is due
  /// Interval::every: safe points since then from which on the next one is near.
  std::uint64_t ahead_from_ = ~std::uint64_t{0};
  double due_ = 0;  ///< Interval::seconds: when the next checkpoint is due
  // The same on all ranks:
  int failures_ = 0;            ///< attempts that failed since the last committed epoch
  int put_offs_ = 0;            ///< attempts in a row that some rank put off for a passing reason
  std::uint64_t retry_at_ = 0;  ///< Interval::every: safe point of another try, or 0
  std::uint64_t blocked_call_ = 0;  ///< number of the call that the program is blocked in
  double blocked_since_ = 0;
  bool absent_ = false;  ///< has been seen to be awaited since the last safe point
  bool absence_reported_ = false;
  bool overlapped_ = true;        ///< there is memory for that; the same on all ranks
  bool committed_since_ = false;  ///< by the snapshot, since the last safe point
  BackgroundThread retirement_;   ///< removes old epochs, on rank 0
  std::string own_reason_;        ///< why this rank could not be captured last time
};

}  // namespace cairn
