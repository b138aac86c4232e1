// Random communication schedules that cannot deadlock. Every rank makes the same one from the seed.
//
// Message i is sent at position i and, in the order of positions, each operation of a rank only
// needs what other ranks do at earlier positions. What a receive gets is known beforehand, or, for
// receives with both wildcards, once its source is known: the next message of that source.
#pragma once

#include <algorithm>
#include <map>
#include <random>
#include <tuple>
#include <vector>

namespace conformance {

inline constexpr int kAny = -1;          // as source or tag of a receive
inline constexpr int kNeverSent = 9999;  // a tag
inline constexpr double kEnd = 1e6;      // the position after all others

/// A communicator as all know it: who is in it, in the order of ranks.
struct Members {
  std::vector<int> group;
  std::vector<int> remote;  // the other group of an intercommunicator

  bool holds(int world) const { return index(group, world) >= 0 || index(remote, world) >= 0; }
  int rank_of(int world) const { return std::max(index(group, world), index(remote, world)); }
  const std::vector<int>& senders_to(int world) const {
    return remote.empty() || index(remote, world) >= 0 ? group : remote;
  }
  static int index(const std::vector<int>& in, int world) {
    const auto at = std::find(in.begin(), in.end(), world);
    return at == in.end() ? -1 : static_cast<int>(at - in.begin());
  }
};

enum class SendBy { send, ssend, bsend, rsend, isend, issend, ibsend, irsend, persistent };
enum class ReceiveBy { recv, probe, iprobe, irecv, persistent, mprobe };

struct Message {
  int comm, source, dest, tag, size;
  int form;  // how the sender lays it out in memory
  SendBy by;
};

struct Receive {
  int comm, dest, message;  // the message it gets; kAny: the next one of its source
  int source, tag;          // world rank or kAny; tag or kAny
  int capacity, form;
  ReceiveBy by;
  bool delayed = false;  // mprobe: the receive comes later
};

enum class Do { send, receive, receive_probed, wait, post_doomed, cancel_doomed, barrier };

struct Operation {
  double at;
  Do what;
  int number = 0;                           // message, receive, doomed receive or communicator
  int variant = 0;                          // which way to wait, which barrier
  std::vector<int> messages{}, received{};  // what a wait completes
};

struct Schedule {
  std::vector<Message> messages;
  std::vector<Receive> receives;
  std::vector<std::vector<Operation>> ranks;
  int dooms = 0;
};

class Generator {
 public:
  Generator(unsigned seed, int ranks, std::vector<Members> comms)
      : random_(seed), ranks_(ranks), comms_(std::move(comms)) {}

  Schedule make() {
    schedule_ = {};
    schedule_.ranks.resize(static_cast<std::size_t>(ranks_));
    kinds_.clear();
    last_post_.clear();
    waits_.clear();
    const int count = between(5, 45);
    for (int i = 0; i < count; ++i) add_message(i);
    widen_wildcards();
    add_waits();
    for (int i = between(0, 3); i > 0; --i) add_doomed(count);
    for (int i = between(0, 2); i > 0; --i) add_barrier(count);
    for (auto& operations : schedule_.ranks) {
      std::stable_sort(operations.begin(), operations.end(),
                       [](const auto& a, const auto& b) { return a.at < b.at; });
    }
    return std::move(schedule_);
  }

  int between(int low, int high) {
    return low + static_cast<int>(random_() % static_cast<unsigned>(high - low + 1));
  }

 private:
  // ordered: each source has its own tags; receives are in the order of sending, or earlier.
  // tagged: named source and tag, received late. any: both wildcards, received late.
  // posted: both wildcards, all posted before the first message.
  enum class Kind { ordered, tagged, any, posted };

  bool chance(int percent) { return between(1, 100) <= percent; }
  template <class T>
  const T& one_of(const std::vector<T>& from) {
    return from[static_cast<std::size_t>(between(0, static_cast<int>(from.size()) - 1))];
  }
  std::vector<Operation>& rank(int world) {
    return schedule_.ranks[static_cast<std::size_t>(world)];
  }

  int size() {
    const int kind = between(0, 99);
    if (kind < 15) return 0;
    if (kind < 65) return between(1, 60);
    if (kind < 80) return between(900, 1100);  // about Open MPI's eager limit
    if (kind < 98) return between(5'000, 60'000);
    return between(500'000, 1'000'000);
  }

  void add_message(int i) {
    Message m{};
    m.comm = between(0, static_cast<int>(comms_.size()) - 1);
    const Members& members = comms_[static_cast<std::size_t>(m.comm)];
    std::vector<int> all = members.group;
    all.insert(all.end(), members.remote.begin(), members.remote.end());
    m.dest = one_of(all);
    m.source = one_of(members.senders_to(m.dest));
    const auto place = std::pair(m.dest, m.comm);
    if (!kinds_.count(place)) kinds_[place] = static_cast<Kind>(between(0, 5) % 4);
    const Kind kind = kinds_[place];
    m.tag = kind == Kind::ordered ? 10 * m.source + between(0, 1) : between(0, 2);
    m.size = size();
    m.form = between(0, 3);

    Receive r{m.comm, m.dest, i, m.source, m.tag, m.size, between(0, 3), ReceiveBy::recv};
    double posted = i + .1, due = kEnd;
    switch (kind) {
      case Kind::ordered: posted = ordered_receive(i, m, r, due); break;
      case Kind::posted:
        r.source = r.tag = r.message = kAny;
        r.by = chance(70) ? ReceiveBy::irecv : ReceiveBy::persistent;
        posted = -1 + i * 1e-3;
        break;
      default:
        if (kind == Kind::any) r.source = r.tag = r.message = kAny;
        r.by = static_cast<ReceiveBy>(between(0, 5));
        posted += one_of<double>({0, 0, 2, 6, 20}) + i * 1e-3;
        if (chance(60)) due = posted + one_of<double>({.2, 1.2, 5.2});
    }
    r.delayed = r.by == ReceiveBy::mprobe && chance(50);
    if (kind == Kind::tagged)
      late_.push_back({std::tuple(m.comm, m.dest, m.source, m.tag), posted});
    m.by = send_by(m, kind, r, posted);
    schedule_.messages.push_back(m);
    schedule_.receives.push_back(r);
    add_operations(i, m, r, kind, posted, due);
  }

  double ordered_receive(int i, const Message& m, Receive& r, double& due) {
    switch (between(0, 2)) {
      case 0: r.source = kAny; break;
      case 1: r.tag = kAny; break;
      default: break;
    }
    r.by = chance(50) ? ReceiveBy::irecv : static_cast<ReceiveBy>(between(0, 5));
    double& last = last_post_.try_emplace(std::tuple(m.source, m.dest, m.comm), -1.).first->second;
    double posted = std::max(last, i + .1);
    if (r.by == ReceiveBy::irecv || r.by == ReceiveBy::persistent) {
      posted = std::max(last, i + .1 - one_of<double>({0, 1, 3, 8, 60}));
      due = chance(70) ? std::max(posted, i + .1) + one_of<double>({0, 0, 2, 6}) + .2 : kEnd;
    }
    return last = posted + 1e-4;
  }

  SendBy send_by(const Message& m, Kind kind, const Receive& r, double posted) {
    const bool small = m.size <= 2000;
    if (posted < -.5 && chance(30)) {
      return m.source != m.dest && chance(50) ? SendBy::rsend : SendBy::irsend;
    }
    const bool prompt = (kind == Kind::ordered || kind == Kind::posted) && !r.delayed;
    if (m.source != m.dest && prompt && chance(50)) {
      return chance(70) ? SendBy::send : SendBy::ssend;
    }
    switch (between(0, 7)) {
      case 0: return SendBy::issend;
      case 1: return SendBy::persistent;
      case 2: return small ? SendBy::bsend : SendBy::isend;
      case 3: return small ? SendBy::ibsend : SendBy::isend;
      default: return SendBy::isend;
    }
  }

  void add_operations(int i, const Message& m, const Receive& r, Kind kind, double posted,
                      double due) {
    rank(m.source).push_back({static_cast<double>(i), Do::send, i});
    if (m.by >= SendBy::isend) {
      const bool prompt = (kind == Kind::ordered || kind == Kind::posted) && !r.delayed;
      const double end = prompt && chance(50) ? i + .5 + between(0, 5) : kEnd;
      waits_[{m.source, bucket(end)}].first.push_back(i);
    }
    rank(m.dest).push_back({posted, Do::receive, i});
    if (r.by == ReceiveBy::mprobe) {
      const double then = r.delayed ? posted + one_of<double>({1.5, 4, 15}) : posted + 1e-5;
      rank(m.dest).push_back({then, Do::receive_probed, i});
      waits_[{m.dest, bucket(std::max(due, then))}].second.push_back(i);
    } else if (r.by == ReceiveBy::irecv || r.by == ReceiveBy::persistent) {
      waits_[{m.dest, bucket(due)}].second.push_back(i);
    }
  }

  /// Requests that are due at about the same position are completed by one call.
  static double bucket(double due) {
    if (due >= kEnd) return kEnd;
    const double end = (static_cast<int>(due / 4) + 1) * 4 - .02;
    return end > due ? end : end + 4;
  }

  void add_waits() {
    for (auto& [where, what] : waits_) {
      rank(where.first)
          .push_back({where.second, Do::wait, 0, between(0, 8), std::move(what.first),
                      std::move(what.second)});
    }
    // A tagged receive gets the messages of its source and tag in the order of posting.
    std::map<std::tuple<int, int, int, int>, std::vector<std::pair<double, int>>> same;
    std::size_t next = 0;
    for (int i = 0; i < static_cast<int>(schedule_.messages.size()); ++i) {
      const Message& m = schedule_.messages[i];
      if (kinds_[{m.dest, m.comm}] != Kind::tagged) continue;
      same[late_[next].first].emplace_back(late_[next].second, i);
      ++next;
    }
    late_.clear();
    for (auto& [key, posts] : same) {
      std::vector<int> sent;
      for (const auto& post : posts) sent.push_back(post.second);
      std::sort(posts.begin(), posts.end());
      int largest = 0;
      for (const int i : sent) largest = std::max(largest, schedule_.messages[i].size);
      for (std::size_t k = 0; k < sent.size(); ++k) {
        schedule_.receives[posts[k].second].message = sent[k];
        schedule_.receives[posts[k].second].capacity = largest;
      }
    }
  }

  /// A receive with both wildcards has room for every message that it might get.
  void widen_wildcards() {
    std::map<std::pair<int, int>, int> largest;
    for (const Message& m : schedule_.messages) {
      int& size = largest[{m.dest, m.comm}];
      size = std::max(size, m.size);
    }
    for (Receive& r : schedule_.receives) {
      if (r.message == kAny) r.capacity = largest[{r.dest, r.comm}];
    }
  }

  void add_doomed(int count) {
    const int world = between(0, ranks_ - 1), number = schedule_.dooms++;
    const double posted = between(-1, count) + .3;
    rank(world).push_back({posted, Do::post_doomed, number});
    rank(world).push_back({posted + between(1, 20), Do::cancel_doomed, number, between(0, 1)});
  }

  void add_barrier(int count) {
    const int comm = between(0, static_cast<int>(comms_.size()) - 1), variant = between(0, 2);
    const double at = between(0, count) + .95;
    for (int world = 0; world < ranks_; ++world) {
      if (!comms_[static_cast<std::size_t>(comm)].holds(world)) continue;
      rank(world).push_back({at, Do::barrier, comm, variant});
    }
  }

  std::mt19937 random_;
  int ranks_;
  std::vector<Members> comms_;
  Schedule schedule_;
  std::map<std::pair<int, int>, Kind> kinds_;
  std::map<std::tuple<int, int, int>, double> last_post_;
  std::vector<std::pair<std::tuple<int, int, int, int>, double>> late_;
  std::map<std::pair<int, double>, std::pair<std::vector<int>, std::vector<int>>> waits_;
};

}  // namespace conformance
