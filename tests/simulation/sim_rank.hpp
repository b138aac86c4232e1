// One simulated rank: its program, run as the MPI wrappers would run it, and its session.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/protocol/agreement.hpp"
#include "tests/simulation/sim_program.hpp"
#include "tests/simulation/sim_transport.hpp"

namespace cairn::simulation {

struct IntervalSettings {
  enum class Kind { off, every, seconds };
  Kind kind = Kind::off;
  std::uint64_t every = 0;
  double seconds = 0;
};

struct Settings {
  IntervalSettings interval;
  protocol::AgreementSettings agreement;
  std::size_t store_limit = SIZE_MAX;  ///< messages
  double failed_writes = 0;            ///< share of epochs
  bool ignore_checkpoints = false;     ///< explicit ones
};

/// What a program leaves behind; must not depend on the schedule.
struct Digest {
  std::uint64_t ordered = 0;
  std::uint64_t unordered = 0;
  bool operator==(const Digest&) const = default;
};

/// A rank's part of a checkpoint.
struct RankState {
  std::size_t next_op = 0;
  Digest digest;
  std::vector<SimChannels::Counts> counts;
  std::vector<Message> messages;
};

/// What a rank did at a cut.
struct CutRecord {
  std::uint64_t epoch = 0;
  std::uint64_t safe_point = 0;
  bool committed = false;
  bool could_be_captured = true;
  std::vector<std::uint64_t> collectives;  ///< calls made so far, by communicator
  std::vector<const Message*> recorded;
  RankState state;
};

/// How an attempt ended; the same sequence on every rank.
struct Attempt {
  bool cut = false;
  bool retry = false;
  bool someone_was_leaving = false;  ///< not compared
  bool operator==(const Attempt& other) const { return cut == other.cut && retry == other.retry; }
};

/// What the ranks of a simulated job share.
struct World {
  Kernel& kernel;
  const Program& program;
  Settings settings;
  Pace pace;
  Defect defect;
  Network& network;
  Collectives& collectives;  ///< one more communicator than the program has: Cairn's own
  ControlNetwork& control;
  std::uint64_t restarted_at = 0;  ///< safe point
  int ranks_leaving = 0;
  int ranks_stopped = 0;
  std::optional<std::string> failure = {};
};

class SimRank : public protocol::Participant {
 public:
  SimRank(World& world, int rank);

  /// Continues from a checkpoint: call before start().
  void restore(const RankState& state, std::uint64_t epoch, std::uint64_t safe_point);
  void start();

  // ---- protocol::Participant, as SessionImpl is one
  bool wishes() override;
  bool ready() override;
  std::uint64_t collective_fingerprint() override;
  std::uint64_t program_fingerprint() override { return 42; }

  // ---- For the checks.
  std::vector<CutRecord> cuts;
  std::vector<Attempt> attempts;
  Digest digest;
  SimChannels channels;
  bool stopped = false;
  double longest_wait = 0;  ///< at a safe point, until a verdict or the end of the patience
  int waits = 0;
  int waits_without_reason = 0;  ///< nobody had wished for a checkpoint
  std::uint64_t safe_point_index = 0;
  std::string doing = "nothing";

 private:
  using Agreement = protocol::Agreement;
  struct Request {
    bool is_send = false;
    bool delivery = false;  ///< served from the store
    bool folds_in_any_order = false;
    Message* sent = nullptr;
    Receive receive;
  };

  // The program.
  Task run();
  Task run_program();
  Task run_op(const Op& op);
  Message* send(const Op& op);
  Task send_blocking(const Op& op);
  Task receive_blocking(const Op& op);
  void start_send(const Op& op);
  void post(const Op& op);
  Task wait(int slot);
  Task take_part(const Op& op);
  void observe(Message& message, bool stored, bool in_any_order);
  void fold(std::uint64_t value);
  bool complete(const Request& request) const;
  void trace(const std::string& what) const;
  Sleep pause() { return {kernel_, world_.pace.poll * kernel_.random.real() + 1e-4}; }

  // The session, as runtime/session_impl.cpp has it.
  Task pass_safe_point(bool pinned);
  Task take_epoch(bool& committed);
  Task finalize();
  void poll();
  bool due_here() const;
  void note_refusal(bool pinned);
  void note_verdict(Agreement::Verdict verdict);
  Agreement::Verdict poll_here(bool pinned);
  void schedule_next(double seconds);

  World& world_;
  Kernel& kernel_;
  int rank_;
  const std::vector<Op>& ops_;
  SimTransport transport_;
  Agreement agreement_;
  Task task_;
  std::size_t next_op_ = 0;
  std::map<int, Request> requests_;
  bool held_ = false;
  bool forbidden_ = false;
  int cuts_made_ = 0;  ///< colour flips

  std::uint64_t epoch_ = 0;
  std::uint64_t next_epoch_ = 1;
  double due_ = 0;
  int refusals_ = 0;
  std::uint64_t retry_at_ = 0;
};

}  // namespace cairn::simulation
