#include "tests/simulation/scale.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <optional>
#include <queue>
#include <stdexcept>
#include <vector>

#include "runtime/protocol/epochs.hpp"
#include "tests/simulation/sim_kernel.hpp"

namespace cairn::scale_simulation {
namespace {

using protocol::Marker;
using protocol::Round;
using simulation::Random;

class Rank;

/// What all ranks share.
struct World {
  World(const Job& its_job, const Machine& its_machine, std::uint64_t seed)
      : job(its_job), machine(its_machine), random(seed) {
    while ((std::int64_t{1} << hops) < job.ranks) ++hops;
    // As square as can be.
    int left = job.ranks;
    for (int d = job.dimensions; d > 0; --d) {
      int extent = std::max(1, static_cast<int>(std::round(std::pow(left, 1.0 / d))));
      while (left % extent != 0) --extent;
      extents.push_back(extent);
      left /= extent;
    }
  }

  std::vector<int> neighbours(int rank) const {
    std::vector<int> found;
    int stride = 1;
    for (const int extent : extents) {
      const int at = rank / stride % extent;
      for (const int step : {extent - 1, 1}) {
        found.push_back(rank + ((at + step) % extent - at) * stride);
      }
      stride *= extent;
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    std::erase(found, rank);
    return found;
  }

  struct Event {
    double time;
    int rank;
    enum class Kind : std::uint8_t { poll, cut, marker, acknowledgement, message } kind;
    std::unique_ptr<Marker> marker;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const { return a.time > b.time; }
  };
  void at(double time, int rank, Event::Kind kind, std::unique_ptr<Marker> marker = nullptr) {
    events.push_back({time, rank, kind, std::move(marker)});
    std::push_heap(events.begin(), events.end(), Later{});
  }
  double message_time() { return machine.latency * (1 + 0.5 * random.real()); }

  /// A reduction or a barrier.
  struct Collective {
    int joined = 0;
    double done_at = -1;  ///< none yet
    Round result;
  };
  void join(Collective& collective, const Round& contribution, int latencies);

  const Job job;
  const Machine machine;
  Random random;
  int hops = 0;  ///< ceil(log2 ranks)
  std::vector<int> extents;
  double now = 0;
  std::vector<Event> events;
  std::deque<Rank> ranks;
  Collective barrier, closing;
};

class Rank : public protocol::Transport, protocol::Channels, protocol::EpochOwner {
 public:
  Rank(World& world, int rank)
      : world_(world),
        rank_(rank),
        phase_(world.random.real() * world.machine.call_period),
        epochs_(*this, *this, *this, *this) {}

  void cut() {
    cut_at_ = world_.now;
    epochs_.cut(true);
  }
  /// Something has happened that it will notice in its next MPI call.
  void wake(double time) {
    const double period = world_.machine.call_period;
    const double call = phase_ + std::ceil((time - phase_) / period) * period;
    if (next_poll_ >= time && next_poll_ <= call) return;
    next_poll_ = call;
    world_.at(call, rank_, World::Event::Kind::poll);
  }
  void poll() { epochs_.poll(); }
  void deliver(Marker&& marker) { inbox_.push_back(std::move(marker)); }
  void acknowledge() { --unacknowledged_; }
  void receive_message() { ++arrived_; }

  int markers = 0;
  int announcements = 0;
  double cut_at() const { return cut_at_; }
  double drained_at() const { return drained_at_; }
  double closed_at() const { return closed_at_; }

 private:
  // Transport
  int rank() const override { return rank_; }
  int size() const override { return world_.job.ranks; }
  double now() override { return world_.now; }
  void start_round(const Round& contribution) override {
    world_.join(world_.closing, contribution, 2 * world_.hops);
  }
  std::optional<Round> finish_round() override {
    if (!done(world_.closing)) return std::nullopt;
    return world_.closing.result;
  }
  void send_marker(const Marker& marker) override {
    (marker.kind == Marker::Kind::counts ? markers : announcements) += 1;
    ++unacknowledged_;
    auto sent = std::make_unique<Marker>(marker);
    sent->peer = rank_;
    world_.at(world_.now + world_.message_time(), marker.peer, World::Event::Kind::marker,
              std::move(sent));
  }
  bool markers_received() override { return unacknowledged_ == 0; }
  std::optional<Marker> receive_marker() override {
    if (inbox_.empty()) return std::nullopt;
    Marker marker = std::move(inbox_.back());
    inbox_.pop_back();
    world_.at(world_.now + world_.message_time(), marker.peer, World::Event::Kind::acknowledgement);
    return marker;
  }
  void start_barrier() override { world_.join(world_.barrier, {}, world_.hops); }
  bool barrier_done() override { return done(world_.barrier); }
  bool done(const World::Collective& collective) const {
    return collective.done_at >= 0 && collective.done_at <= world_.now;
  }

  // Channels: one message is under way to each neighbour.
  std::vector<Marker> flip(bool /*record*/) override {
    std::vector<Marker> sent;
    for (const int peer : world_.neighbours(rank_)) {
      sent.push_back({peer, 0, {{1, 1}}});
      world_.at(world_.now + world_.random.real() * world_.machine.late_message, peer,
                World::Event::Kind::message);
    }
    return sent;
  }
  bool expect(const Marker& marker) override {
    for (const auto& count : marker.counts) expected_ += count.messages;
    return true;
  }
  void pull_late() override { taken_ = arrived_; }
  bool drained() override { return taken_ == expected_; }

  // EpochOwner
  void heard() override {
    if (world_.job.marker_cut) cut();
  }
  Round vote() override {
    drained_at_ = world_.now;
    Round vote;
    vote.ready = 1;
    return vote;
  }
  void closed(const Round& votes) override {
    if (votes.ready != static_cast<std::uint64_t>(world_.job.ranks)) {
      throw std::logic_error("a vote is missing");
    }
    closed_at_ = world_.now;
  }

  World& world_;
  int rank_;
  double phase_;
  double next_poll_ = -1;
  int unacknowledged_ = 0;
  std::uint64_t arrived_ = 0, taken_ = 0, expected_ = 0;
  double cut_at_ = -1, drained_at_ = -1, closed_at_ = -1;
  std::vector<Marker> inbox_;
  protocol::Epochs epochs_;
};

void World::join(Collective& collective, const Round& contribution, int latencies) {
  collective.result.combine(contribution);
  if (++collective.joined < job.ranks) return;
  collective.done_at = now + latencies * machine.latency;
  for (Rank& rank : ranks) rank.wake(collective.done_at);
}

void run_events(World& world) {
  while (!world.events.empty()) {
    std::pop_heap(world.events.begin(), world.events.end(), World::Later{});
    World::Event event = std::move(world.events.back());
    world.events.pop_back();
    world.now = event.time;
    Rank& rank = world.ranks[static_cast<std::size_t>(event.rank)];
    switch (event.kind) {
      case World::Event::Kind::poll: rank.poll(); continue;
      case World::Event::Kind::cut: rank.cut(); break;
      case World::Event::Kind::marker: rank.deliver(std::move(*event.marker)); break;
      case World::Event::Kind::acknowledgement: rank.acknowledge(); break;
      case World::Event::Kind::message: rank.receive_message(); break;
    }
    rank.wake(world.now);
  }
}

}  // namespace

Result run(const Job& job, const Machine& machine, std::uint64_t seed) {
  World world{job, machine, seed};
  for (int rank = 0; rank < job.ranks; ++rank) {
    world.ranks.emplace_back(world, rank);
    if (job.marker_cut && rank > 0) continue;
    const double skew = job.marker_cut ? 0 : machine.skew * world.random.real();
    world.at(skew, rank, World::Event::Kind::cut);
  }
  run_events(world);
  Result result;
  double first_cut = world.ranks.front().cut_at();
  for (const Rank& rank : world.ranks) {
    if (rank.closed_at() < 0) throw std::logic_error("an epoch has not come to its end");
    result.markers += rank.markers;
    result.announcements += rank.announcements;
    const double window = rank.drained_at() - rank.cut_at();
    result.window += window;
    result.longest_window = std::max(result.longest_window, window);
    result.closed = std::max(result.closed, rank.closed_at());
    first_cut = std::min(first_cut, rank.cut_at());
    result.most_messages =
        std::max(result.most_messages, rank.markers + rank.announcements + 2 * world.hops);
  }
  result.closed -= first_cut;
  result.collectives = 2 * world.hops;
  result.markers /= job.ranks;
  result.announcements /= job.ranks;
  result.window /= job.ranks;
  return result;
}

}  // namespace cairn::scale_simulation
