#include "tests/simulation/window_program.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "tests/simulation/window_patterns.hpp"

namespace cairn::window_simulation {
namespace {

using simulation::Random;
using Kind = Op::Kind;

constexpr double tiny = 1e-4;

/// Every operation has a place in one sequence of all ranks' operations, and depends only on
/// earlier ones: an execution in this order does not block. Receives may be posted earlier, and
/// completed later, than in that order.
class Generator {
 public:
  explicit Generator(Random& random) : random_(random) {
    program_.ranks = random.chance(0.03) ? 1 : random.between(2, 5);
    events_.resize(static_cast<std::size_t>(program_.ranks));
    make_communicators();
  }

  Program generate() {
    for (int item = 0; item < items_; ++item) add_item(item);
    for (std::size_t id = 1; id < program_.members.size(); ++id) add_collectives(id);
    add_safe_points();
    program_.slots = slots_;
    for (std::size_t rank = 0; rank < events_.size(); ++rank) {
      program_.ops.push_back(in_order(rank));
    }
    return std::move(program_);
  }

 private:
  struct Event {
    double time = 0;
    Op op;
  };
  /// How messages to one rank on one communicator are sent and received.
  enum class Style { ordered, any, tags, burst, mixed };
  struct End {
    Style style = Style::ordered;
    std::vector<int> sources;
    bool used = false;
    double last_send = -1e9;
    double last_post = -1e9;
  };
  /// When the receives of a group are posted: seen from its sends.
  enum class When { ahead, racing, after };
  /// One that takes part in an item. Ranks are ranks in the communicator.
  struct Place {
    int communicator = 1;
    int source = 0;
    int destination = 0;
    End* end = nullptr;
    double begin = -1e9;  ///< when the communicator has been made
  };

  void make_communicators() {
    const int n = program_.ranks;
    std::vector<int> all(static_cast<std::size_t>(n));
    for (int rank = 0; rank < n; ++rank) all[static_cast<std::size_t>(rank)] = rank;
    program_.members = {{}, all};
    const int before = random_.between(1, 3);
    const int later = random_.pick({0, 0, 1, 2});
    for (int i = 1; i < before + later; ++i) {
      std::vector<int> some = all;
      for (int k = n - 1; k > 0; --k) {
        std::swap(some[static_cast<std::size_t>(k)],
                  some[static_cast<std::size_t>(random_.below(k + 1))]);
      }
      some.resize(static_cast<std::size_t>(random_.between(std::min(n, i == 1 ? 1 : 2), n)));
      program_.members.push_back(some);
    }
    program_.made_before = before;
    items_ = random_.between(6, 40);
    made_at_.resize(program_.members.size(), -1e9);
    for (std::size_t id = static_cast<std::size_t>(before) + 1; id < made_at_.size(); ++id) {
      made_at_[id] = random_.below(items_) + 0.95;
    }
    last_use_.resize(program_.members.size());
  }

  End& end_of(int communicator, int destination) {
    const auto [found, is_new] = ends_.try_emplace({communicator, destination});
    End& end = found->second;
    if (!is_new) return end;
    end.style = random_.pick(
        {Style::ordered, Style::ordered, Style::any, Style::tags, Style::burst, Style::mixed});
    const int size = static_cast<int>(members(communicator).size());
    const double chance = random_.pick({0.3, 0.6, 1.0});
    for (int source = 0; source < size; ++source) {
      if (random_.chance(chance)) end.sources.push_back(source);
    }
    if (end.sources.empty()) end.sources.push_back(random_.below(size));
    if (end.style == Style::burst) end.sources.resize(1);
    return end;
  }

  void add_item(int item) {
    const auto id =
        static_cast<std::size_t>(random_.between(1, static_cast<int>(program_.members.size()) - 1));
    if (made_at_[id] + 1 > item) return;
    Place place;
    place.communicator = static_cast<int>(id);
    place.destination = random_.below(static_cast<int>(members(place.communicator).size()));
    place.end = &end_of(place.communicator, place.destination);
    place.source = one_of(place.end->sources);
    place.begin = made_at_[id] + 0.01;
    switch (place.end->style) {
      case Style::ordered: add_ordered(place, item); break;
      case Style::any:
      case Style::tags: add_loose(place, item); break;
      case Style::burst: add_burst(place, item); break;
      case Style::mixed:
        if (!place.end->used) add_mixed(place, item);
        break;
    }
    place.end->used = true;
  }

  // ---- Styles

  /// The n-th receive from a source accepts its n-th message, and nobody else's.
  void add_ordered(const Place& place, double at) {
    const int tag = 10 * place.source + random_.below(2);
    const bool large = random_.chance(0.4);
    const bool to_self = place.source == place.destination;
    if (to_self || random_.chance(0.5)) {
      const int slot = add_isend(place, at, tag, large);
      if (random_.chance(0.7)) add_wait(sender(place), at + 0.5 + random_.pick({0, 1, 5}), {slot});
    } else {
      add(sender(place), at, send(place, tag, large));
    }
    Pattern pattern = random_.pick(
        {Pattern{place.source, tag}, Pattern{any_source, tag}, Pattern{place.source, any_tag}});
    if (place.end->sources.size() == 1 && random_.chance(0.3)) pattern = {any_source, any_tag};
    double& last = last_posts_[{place.communicator, place.destination, place.source}];
    if (random_.chance(0.5)) {
      const double early = at + 0.1 - random_.pick({0, 1, 3, 8});
      last = std::max({last, early, place.begin}) + tiny;
      const int slot = add_irecv(place, last, pattern);
      complete(place, std::max(last, at + 0.1) + random_.pick({0, 0, 2, 6}) + 0.2, {slot});
    } else {
      last = std::max(last, at + 0.1) + tiny;
      add_blocking(place, last, pattern, !large);
    }
  }

  /// Receives accept any message, or those of one tag; all are late, and there are enough.
  void add_loose(const Place& place, double at) {
    const int tag = random_.below(3);
    add_send(place, at, tag);
    const bool any = place.end->style == Style::any;
    const Pattern pattern = any ? Pattern{any_source, any_tag} : Pattern{place.source, tag};
    const double when = at + 0.1 + random_.pick({0, 0, 2, 6, 20});
    if (random_.chance(0.5)) {
      add_blocking(place, when, pattern, true);
      return;
    }
    const int slot = add_irecv(place, when, pattern);
    const double end = when + random_.pick({0, 1, 5}) + 0.2;
    if (random_.chance(0.3)) {
      Op op = receive(Kind::cancel, place, pattern);
      op.slot = slot;
      add(receiver(place), end, op);
    } else {
      complete(place, end, {slot});
    }
  }

  /// One source, receives of all kinds in any order: who gets what does not depend on timing.
  void add_burst(const Place& place, double at) {
    std::vector<Envelope> messages;
    const int number = random_.between(2, 6);
    for (int i = 0; i < number; ++i) messages.push_back({place.source, 5 + random_.below(3)});
    add_group(place, at, messages, patterns_for_one_source(random_, messages));
  }

  /// Several sources.
  void add_mixed(const Place& place, double at) {
    std::vector<Envelope> messages;
    const int number = random_.between(3, 10);
    for (int i = 0; i < number; ++i) {
      messages.push_back({one_of(place.end->sources), 5 + random_.below(3)});
    }
    add_group(place, at, messages, patterns_for_all(random_, messages));
  }

  void add_group(Place place, double at, const std::vector<Envelope>& messages,
                 const std::vector<PatternFor>& receives) {
    const double step = random_.pick({0.001, 0.001, 0.3, 1.0});
    End& end = *place.end;
    std::vector<double> sent_at;
    for (const Envelope& message : messages) {
      end.last_send = std::max(end.last_send, at) + step;
      sent_at.push_back(end.last_send);
      place.source = message.source;
      add_send(place, end.last_send, message.tag);
    }
    const When when = random_.pick({When::ahead, When::ahead, When::racing, When::after});
    const double start = when == When::ahead    ? sent_at.front() - random_.pick({1, 3, 8})
                         : when == When::racing ? sent_at.front() + 0.05
                                                : sent_at.back() + random_.pick({0.1, 2.0});
    // Of those that are posted ahead only the last may block.
    const double blocking = random_.pick({0.2, 0.5});
    const std::size_t first_blocking = when == When::ahead ? random_.between(1, 8) : 0;
    std::vector<int> slots;
    end.last_post = std::max({end.last_post, start, place.begin});
    for (const PatternFor& receive : receives) {
      end.last_post += when == When::ahead ? tiny : random_.pick({tiny, step});
      if (slots.size() >= first_blocking && random_.chance(blocking)) {
        end.last_post = std::max(end.last_post, ready_after(sent_at[receive.enough - 1]));
        add_blocking(place, end.last_post, receive.pattern, true);
      } else {
        slots.push_back(add_irecv(place, end.last_post, receive.pattern));
      }
    }
    complete(place, std::max(end.last_post, end.last_send) + 0.2 + random_.pick({0, 2, 6}), slots);
  }

  /// When a receive of what has been sent then may block. Not at once: the sender may first have to
  /// complete a blocking send of that item, and that is received up to so much later.
  static double ready_after(double sent) { return std::max(sent, std::floor(sent) + 0.12) + tiny; }

  // ---- Operations

  static Op send(const Place& place, int tag, bool large) {
    Op op;
    op.communicator = place.communicator;
    op.peer = place.destination;
    op.tag = tag;
    op.large = large;
    return op;
  }

  static Op receive(Kind kind, const Place& place, const Pattern& pattern) {
    Op op;
    op.kind = kind;
    op.communicator = place.communicator;
    op.peer = pattern.source;
    op.tag = pattern.tag;
    return op;
  }

  int add_isend(const Place& place, double at, int tag, bool large) {
    Op op = send(place, tag, large);
    op.kind = Kind::isend;
    op.slot = slots_++;
    add(sender(place), at, op);
    return op.slot;
  }

  /// Does not block; a request is completed at the program's end.
  void add_send(const Place& place, double at, int tag) {
    const bool large = random_.chance(0.4);
    if (!large && random_.chance(0.5)) {
      add(sender(place), at, send(place, tag, false));
    } else {
      add_wait(sender(place), 1e6, {add_isend(place, at, tag, large)});
    }
  }

  int add_irecv(const Place& place, double at, const Pattern& pattern) {
    Op op = receive(Kind::irecv, place, pattern);
    op.slot = slots_++;
    add(receiver(place), at, op);
    return op.slot;
  }

  /// `may_hold`: a matched message may be received much later than it was matched.
  void add_blocking(const Place& place, double at, const Pattern& pattern, bool may_hold) {
    const Kind kind = random_.pick({Kind::receive, Kind::probe_receive, Kind::mprobe});
    Op op = receive(kind, place, pattern);
    if (kind == Kind::mprobe) {
      op.slot = slots_++;
      Op rest = op;
      rest.kind = Kind::mrecv;
      add(receiver(place), at + (may_hold ? random_.pick({tiny / 10, 1.5, 4.0}) : tiny / 10), rest);
    }
    add(receiver(place), at, op);
  }

  void complete(const Place& place, double at, const std::vector<int>& slots) {
    std::vector<int> waited_for;
    for (const int slot : slots) {
      if (!random_.chance(0.05)) {
        waited_for.push_back(slot);
        continue;
      }
      Op op;
      op.kind = Kind::free_request;
      op.slot = slot;
      add(receiver(place), at, op);
    }
    add_wait(receiver(place), at, waited_for);
  }

  void add_wait(int rank, double at, const std::vector<int>& slots) {
    Op op;
    op.kind = Kind::wait;
    op.how = random_.pick({Op::Wait::all, Op::Wait::some, Op::Wait::any, Op::Wait::test});
    op.slots = slots;
    if (!slots.empty()) add(rank, at, op);
  }

  void add(int rank, double time, const Op& op) {
    events_[static_cast<std::size_t>(rank)].push_back({time, op});
    if (op.kind == Kind::wait || op.kind == Kind::free_request) return;
    double& last = last_use_[static_cast<std::size_t>(op.communicator)][rank];
    last = std::max(last, time);
  }

  /// Where a communicator is made and freed, and a few barriers.
  void add_collectives(std::size_t id) {
    Op op;
    op.communicator = static_cast<int>(id);
    op.kind = Kind::barrier;
    const int barriers = random_.pick({0, 0, 1, 3});
    for (int i = 0; i < barriers; ++i) {
      const double at = random_.below(items_) + 0.9;
      for (const int rank : program_.members[id]) {
        if (at > made_at_[id]) add(rank, at, op);
      }
    }
    if (made_at_[id] < 0) return;
    add_make(op);
    op.kind = Kind::free;
    if (random_.chance(0.3)) return;
    for (const int rank : program_.members[id]) add(rank, last_use_[id][rank] + 0.05, op);
  }

  /// Between any two items: there is nothing that only some ranks could do before others come.
  void add_safe_points() {
    Op op;
    op.kind = Kind::safe_point;
    const double chance = random_.pick({0.3, 0.7, 1.0});
    for (int item = 0; item <= items_; ++item) {
      if (!random_.chance(chance)) continue;
      const double at = item + random_.pick({-0.01, 0.05, 0.6, 0.97});
      for (int rank = 0; rank < program_.ranks; ++rank) {
        events_[static_cast<std::size_t>(rank)].push_back({at, op});
      }
    }
  }

  void add_make(Op op) {
    const double at = made_at_[static_cast<std::size_t>(op.communicator)];
    const double begun = at - random_.pick({0, 0, 1, 4});
    for (int rank = 0; rank < program_.ranks; ++rank) {
      op.kind = begun == at ? Kind::make : Kind::begin_make;
      add(rank, begun, op);
      op.kind = Kind::end_make;
      if (begun < at) add(rank, at, op);
    }
  }

  /// The operations of a rank. Waits that follow one another may become one.
  std::vector<Op> in_order(std::size_t rank) {
    auto& events = events_[rank];
    std::stable_sort(events.begin(), events.end(),
                     [](const Event& a, const Event& b) { return a.time < b.time; });
    std::vector<Op> ops;
    for (auto& [time, op] : events) {
      const bool joins = op.kind == Kind::wait && !ops.empty() && ops.back().kind == Kind::wait;
      if (joins && random_.chance(0.7)) {
        std::copy(op.slots.begin(), op.slots.end(), std::back_inserter(ops.back().slots));
      } else {
        ops.push_back(std::move(op));
      }
    }
    return ops;
  }

  const std::vector<int>& members(int communicator) const {
    return program_.members[static_cast<std::size_t>(communicator)];
  }
  int sender(const Place& place) const {
    return members(place.communicator)[static_cast<std::size_t>(place.source)];
  }
  int receiver(const Place& place) const {
    return members(place.communicator)[static_cast<std::size_t>(place.destination)];
  }
  int one_of(const std::vector<int>& values) {
    return values[static_cast<std::size_t>(random_.below(static_cast<int>(values.size())))];
  }

  Random& random_;
  Program program_;
  int items_ = 0;
  int slots_ = 0;
  std::vector<double> made_at_;                  ///< by communicator
  std::vector<std::map<int, double>> last_use_;  ///< by communicator; when, by rank
  std::map<std::pair<int, int>, End> ends_;
  std::map<std::tuple<int, int, int>, double> last_posts_;
  std::vector<std::vector<Event>> events_;  ///< by rank
};

}  // namespace

Program make_program(Random& random) { return Generator{random}.generate(); }

}  // namespace cairn::window_simulation
