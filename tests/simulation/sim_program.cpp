#include "tests/simulation/sim_program.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace cairn::simulation {
namespace {

using Kind = Op::Kind;

/// Programs are made in a reference order: a time line of slots, on which every operation can
/// complete at its place. Receives then move to later slots (eager messages wait for them), and
/// requests are posted earlier and completed later.
class Maker {
 public:
  Maker(Random& random, const Shape& shape)
      : random_(random), shape_(shape), lines_(static_cast<std::size_t>(shape.ranks)) {
    program_.ranks = shape.ranks;
    program_.communicators.emplace_back();
    for (int rank = 0; rank < shape.ranks; ++rank) program_.communicators[0].push_back(rank);
    for (int i = 0; i < 2; ++i) program_.communicators.push_back(some_ranks());
    leaver_ = shape.leave_early ? random.below(shape.ranks) : any;
    leaves_at_ = random.below(shape.slots);
  }

  Program make() {
    for (int slot = 0; slot < shape_.slots; ++slot) add_slot(slot);
    place_safe_points();
    place_obstacles();
    for (std::size_t rank = 0; rank < lines_.size(); ++rank) program_.ops.push_back(flatten(rank));
    return std::move(program_);
  }

 private:
  struct Item {
    double time;
    Op op;
  };
  /// What must not go backward over a safe point: sent in one slot, received in another.
  struct Arrow {
    int source;
    int sent;
    int destination;
    int received;
  };

  std::vector<int> some_ranks() {
    std::vector<int> ranks;
    while (ranks.empty()) {
      for (int rank = 0; rank < shape_.ranks; ++rank) {
        if (random_.chance(0.6)) ranks.push_back(rank);
      }
    }
    return ranks;
  }

  void put(int rank, double time, Op op) {
    lines_.at(static_cast<std::size_t>(rank)).push_back({time, op});
  }

  static bool has(const std::vector<int>& ranks, int rank) {
    return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
  }

  void add_slot(int slot) {
    const int communicator = random_.below(static_cast<int>(program_.communicators.size()));
    const auto& members = program_.communicators.at(static_cast<std::size_t>(communicator));
    const bool left = leaver_ != any && slot >= leaves_at_;
    if (left && has(members, leaver_)) return;
    if (shape_.loop && slot % 4 == 1) return add_collective(slot, 0, any);
    const auto member = [&] {
      return members.at(static_cast<std::size_t>(random_.below(static_cast<int>(members.size()))));
    };
    const int source = member();
    const int destination = member();
    if (random_.chance(0.12)) {
      add_collective(slot, communicator, source);
    } else if (source != destination && in_order(destination, communicator) &&
               in_order(source, communicator) && random_.chance(0.25) &&
               lasts_until(source, destination, communicator) <= slot &&
               lasts_until(destination, source, communicator) <= slot) {
      add_exchange(slot, communicator, source, destination);
    } else {
      add_message(slot, communicator, source, destination);
    }
  }

  void add_collective(int slot, int communicator, int root) {
    Op op{.kind = Kind::collective, .peer = root, .communicator = communicator};
    if (root != any) {
      op.collective =
          random_.pick({CollectiveKind::all, CollectiveKind::broadcast, CollectiveKind::reduce});
    }
    for (const int rank : program_.communicators.at(static_cast<std::size_t>(communicator))) {
      put(rank, slot, op);
    }
    collectives_.push_back({slot, communicator});
  }

  /// How a rank receives on a communicator: in order, with ANY_SOURCE, or by tag.
  int style(int destination, int communicator) {
    const auto [found, made] = styles_.try_emplace({destination, communicator}, 0);
    if (made) found->second = random_.pick({0, 0, 1, 2});
    return found->second;
  }
  bool in_order(int destination, int communicator) { return style(destination, communicator) == 0; }
  /// Slot of the last receive on a channel that is received in order.
  int& lasts_until(int source, int destination, int communicator) {
    return last_.try_emplace({source, destination, communicator}, 0).first->second;
  }

  /// Both post a receive, send and wait, all within the slot.
  void add_exchange(int slot, int communicator, int a, int b) {
    for (const auto& [rank, peer] : {std::pair{a, b}, std::pair{b, a}}) {
      const int receive = next_slot_++;
      const int send = next_slot_++;
      put(rank, slot + 0.20,
          {.kind = Kind::irecv,
           .peer = peer,
           .communicator = communicator,
           .tag = 2 * peer,
           .slot = receive});
      put(rank, slot + 0.21,
          {.kind = Kind::isend,
           .peer = peer,
           .communicator = communicator,
           .tag = 2 * rank,
           .rendezvous = random_.chance(0.5),
           .slot = send});
      put(rank, slot + 0.22, {.kind = Kind::wait, .slot = receive});
      put(rank, slot + 0.23, {.kind = Kind::wait, .slot = send});
      arrows_.push_back({peer, slot, rank, slot});
      lasts_until(peer, rank, communicator) = slot + 1;
    }
  }

  void add_message(int slot, int communicator, int source, int destination) {
    const int how = style(destination, communicator);
    const bool ordered = how == 0;
    const int tag = ordered ? 2 * source + random_.below(2) : random_.below(3);
    int& last = lasts_until(source, destination, communicator);
    bool rendezvous = ordered && source != destination && last <= slot && random_.chance(0.4);
    int posted = ordered ? std::max(last, slot + random_.pick({0, 0, 1, 3, 8}))
                         : slot + random_.pick({0, 0, 2, 6, 20});
    if (rendezvous) posted = slot;

    Op receive{.kind = Kind::receive,
               .peer = source,
               .communicator = communicator,
               .tag = tag,
               .folds_in_any_order = how == 1};
    if (how == 1) receive.peer = receive.tag = any;
    if (ordered && random_.chance(0.3)) receive.peer = any;  // the tag names the source
    if (ordered && receive.peer != any && random_.chance(0.3)) receive.tag = any;

    int completed = posted;
    const double place = 0.1 + slot * 1e-5;
    if (shape_.requests && ordered && random_.chance(0.4)) {
      posted = std::max(last, slot - random_.pick({0, 1, 3, 8}));
      completed = std::max(posted, slot) + random_.pick({0, 0, 2, 6});
      receive.kind = Kind::irecv;
      receive.slot = next_slot_++;
      put(destination, completed + 0.3, {.kind = Kind::wait, .slot = receive.slot});
    }
    put(destination, posted + place, receive);
    if (ordered) last = posted;

    Op send{.kind = Kind::send,
            .peer = destination,
            .communicator = communicator,
            .tag = tag,
            .rendezvous = rendezvous};
    if (shape_.requests && random_.chance(0.3)) {
      send.kind = Kind::isend;
      send.rendezvous = source != destination && random_.chance(0.4);
      send.slot = next_slot_++;
      const bool at_end = !ordered || source == destination || random_.chance(0.3);
      put(source, at_end ? 1e6 : std::max(slot, posted) + random_.pick({0, 1, 5}) + 0.5,
          {.kind = Kind::wait, .slot = send.slot});
    }
    put(source, slot, send);
    arrows_.push_back({source, slot, destination, completed});
  }

  /// Safe points fall between slots. Aligned: each index is a consistent cut, made so by moving
  /// ranks back until no arrow and no collective crosses it the wrong way.
  void place_safe_points() {
    std::vector<int> bases;
    for (int i = 0; i < shape_.safe_points; ++i) {
      bases.push_back(shape_.loop ? 2 * i : random_.between(-1, shape_.slots));
    }
    std::sort(bases.begin(), bases.end());
    const auto ranks = static_cast<std::size_t>(shape_.ranks);
    std::vector<int> previous(ranks, -1);
    program_.safe_points = shape_.safe_points;
    for (int i = 0; i < shape_.safe_points; ++i) {
      std::vector<int> cut(ranks);
      for (auto& place : cut)
        place = std::max(-1, bases.at(static_cast<std::size_t>(i)) +
                                 (shape_.loop ? 0 : random_.pick({0, 0, 1, 3, 6, -3})));
      if (shape_.aligned) make_consistent(cut);
      const bool explicit_here = random_.chance(shape_.explicit_checkpoints);
      if (explicit_here) program_.checkpoints.push_back(i + 1);
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        cut[rank] = previous[rank] = std::max(cut[rank], previous[rank]);
        const bool left = static_cast<int>(rank) == leaver_ && cut[rank] >= leaves_at_;
        if (left || (!shape_.aligned && random_.chance(0.03))) continue;
        bool here = explicit_here;
        if (!shape_.aligned && random_.chance(0.05)) here = !here;
        put(static_cast<int>(rank), cut[rank] + 0.9 + i * 1e-4,
            {.kind = here ? Kind::checkpoint : Kind::safe_point});
        if (!shape_.aligned && random_.chance(0.03)) {
          put(static_cast<int>(rank), cut[rank] + 0.9 + i * 1e-4 + 1e-5,
              {.kind = Kind::safe_point});
        }
      }
    }
  }

  void make_consistent(std::vector<int>& cut) const {
    const auto place = [&](int rank) -> int& { return cut.at(static_cast<std::size_t>(rank)); };
    for (bool changed = true; changed;) {
      changed = false;
      for (const auto& arrow : arrows_) {
        if (place(arrow.source) >= arrow.sent || place(arrow.destination) < arrow.received)
          continue;
        place(arrow.destination) = arrow.received - 1;
        changed = true;
      }
      for (const auto& [slot, communicator] : collectives_) {
        const auto& members = program_.communicators.at(static_cast<std::size_t>(communicator));
        const auto before = [&, at = slot](int rank) { return place(rank) < at; };
        if (std::none_of(members.begin(), members.end(), before)) continue;
        for (const int rank : members) {
          if (before(rank)) continue;
          place(rank) = slot - 1;
          changed = true;
        }
      }
    }
  }

  void place_obstacles() {
    for (int rank = 0; rank < shape_.ranks; ++rank) {
      if (random_.chance(shape_.obstacles)) {
        const double begin = random_.real() * shape_.slots;
        put(rank, begin, {.kind = Kind::hold});
        put(rank, begin + random_.real() * 6, {.kind = Kind::release});
      }
      if (random_.chance(shape_.obstacles / 8)) {
        put(rank, random_.real() * shape_.slots, {.kind = Kind::forbid});
      }
    }
  }

  /// The operations of a rank in their order, with computations in between.
  std::vector<Op> flatten(std::size_t rank) {
    auto& line = lines_.at(rank);
    std::stable_sort(line.begin(), line.end(),
                     [](const Item& a, const Item& b) { return a.time < b.time; });
    const double speed = random_.pick({1.0, 1.0, 0.3, 2.0});
    std::vector<Op> ops;
    for (const auto& item : line) {
      double seconds = random_.chance(0.5) ? random_.delay(shape_.computation * speed) : 0;
      if (random_.chance(shape_.slow)) seconds = shape_.slow_seconds * (1 + 2 * random_.real());
      program_.longest_computation = std::max(program_.longest_computation, seconds);
      if (seconds > 0) ops.push_back({.kind = Kind::compute, .seconds = seconds});
      ops.push_back(item.op);
    }
    return ops;
  }

  Random& random_;
  Shape shape_;
  Program program_;
  std::vector<std::vector<Item>> lines_;
  std::vector<Arrow> arrows_;
  std::vector<std::pair<int, int>> collectives_;
  std::map<std::pair<int, int>, int> styles_;
  std::map<std::tuple<int, int, int>, int> last_;
  int next_slot_ = 0;
  int leaver_ = any;
  int leaves_at_ = 0;
};

}  // namespace

Program make_program(Random& random, const Shape& shape) { return Maker{random, shape}.make(); }

}  // namespace cairn::simulation
