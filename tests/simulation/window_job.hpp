// One simulated run: a random program on random settings, to its end, and its checks.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/window_layer.hpp"

namespace cairn::window_simulation {

using simulation::Task;

/// A rank of the job: runs its program on its layer.
class SimRank : public Actor, public SimProgram {
 public:
  /// `from`: continues from that state, with `messages` in flight.
  SimRank(World& world, Controls& controls, int rank, const RankState* from,
          const std::vector<const Message*>& messages);

  /// Goes as far as its first pause.
  void start();
  void resume() override { next_.resume(); }
  /// What it is doing, for reports.
  std::string doing() const;

  SimLayer layer;

 private:
  struct Request {
    SimReceive* receive = nullptr;
    SimSend* send = nullptr;
  };
  class Batch;

  std::string obstacle() const override;
  RankState capture() const override;
  bool in_repeatable_call() const override;
  std::vector<protocol::AwaitedChannel> awaited_channels() override;

  void restore(const RankState& state, const std::vector<const Message*>& messages);
  void post_pending();
  Task run();
  Task body();
  bool may_be_in_region(const Op& op);
  Task pass_safe_point();
  Task execute(const Op& op);
  Task pause();
  Task poll_until(std::function<bool()> test);
  Task meet(int communicator, bool polled);
  Task send(const Op& op);
  Task complete(SimReceive& receive);
  Task receive(int communicator, int peer, int tag, std::uint64_t expected);
  Task probe_receive(const Op& op);
  Task mprobe(const Op& op);
  Task mrecv(const Op& op);
  Task wait(const Op& op);
  Task cancel(const Op& op);
  Task make(const Op& op);
  Task end_make(const Op& op);
  void adopt(int communicator);
  void finish(Request& request);
  Request* one_of(const std::vector<Request*>& requests) {
    return requests[static_cast<std::size_t>(
        world_.random.below(static_cast<int>(requests.size())))];
  }

  World& world_;
  int rank_;
  Task task_;
  std::coroutine_handle<> next_;
  std::vector<Request> requests_;                  ///< by slot
  std::vector<std::unique_ptr<Matched>> matched_;  ///< likewise
  std::vector<RankState::Pending> pending_;        ///< of an earlier life
  std::map<int, int> meetings_;                    ///< so far, by communicator
  std::size_t at_ = 0;                             ///< place in the program
  int background_makes_ = 0;                       ///< communicators that are being made
  bool at_safe_point_ = false;
  bool in_region_ = false;
  /// The blocking receive or probe that the program is in: what it waits for.
  struct Awaits {
    int communicator = 0;
    int peer = 0;
    const SimReceive* receive = nullptr;
  };
  std::optional<Awaits> awaits_;
  std::vector<const SimReceive*> awaits_all_;  ///< of a call that waits for all of them
  std::unique_ptr<SimProtocol> protocol_;
};

using Ranks = std::vector<std::unique_ptr<SimRank>>;

/// Throws a Failure (window_checks.cpp).
void check(World& world, const Ranks& ranks);

/// What happened in one run.
struct Outcome {
  std::optional<std::string> failure;  ///< what does not hold
  std::string schedule;
  std::uint64_t epochs = 0;
  std::uint64_t committed = 0;
  std::uint64_t recorded_messages = 0;
  std::uint64_t restarts = 0;
  std::uint64_t messages = 0;
  std::uint64_t late_messages = 0;
  std::uint64_t reposted_receives = 0;
  std::uint64_t steps = 0;
};

struct Totals {
  std::uint64_t runs = 0;
  std::uint64_t epochs = 0;
  std::uint64_t committed = 0;
  std::uint64_t recorded_messages = 0;
  std::uint64_t restarts = 0;
  std::uint64_t messages = 0;
  std::uint64_t late_messages = 0;
  std::uint64_t reposted_receives = 0;
  std::uint64_t steps = 0;

  void add(const Outcome& outcome);
  std::string describe() const;
};

/// Runs one seed: a program to its end, or until it crashes; then it is restarted from a committed
/// checkpoint, if there is one, and so on. The schedule is kept when `traced`.
Outcome run_seed(std::uint64_t seed, Defect defect = Defect::none, bool traced = false);

}  // namespace cairn::window_simulation
