// standing_receives: a ring whose ranks always have receives posted, and often sends pending, when
// they pass a safe point.
//
// Each rank has one slot per kind of request. In each step it takes the message of one slot, folds
// it into its state, sends the next one, and posts the slot's receive anew; the receives of the
// other slots are pending all the while, some with their message, some without. A checkpoint that
// loses, repeats or misplaces one of them ends with another result.
//
// The last line of rank 0 is `result: <digest>`. It depends on --steps and the number of ranks, and
// on nothing else.

#include <fmt/format.h>
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <thread>
#include <vector>

#include <cairn/cairn.hpp>

namespace {

struct Arguments {
  std::uint64_t steps = 400;
  std::uint64_t pace_us = 0;
  bool repost = false;  // posts its receives again itself after a restart
};

// Kinds of slots, by what is special about their messages.
enum : std::size_t {
  synchronous,  // MPI_Issend
  wildcard,     // from MPI_ANY_SOURCE
  persistent,   // persistent requests on both sides
  large,        // columns of a matrix, with MPI_ANY_TAG on a communicator of its own
  late,         // large, and posted after the safe point: its send is pending until then
  slots
};
constexpr int small_words = 16;                 // in a message
constexpr int large_words = 1 << 14;            // in one that MPI sends by rendezvous
constexpr std::uint64_t reduction_period = 64;  // steps from one collective call to the next

std::uint64_t scramble(std::uint64_t value) {
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

int ring_neighbour(int distance) {
  int rank = 0;
  int ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  return (rank + distance + ranks) % ranks;
}

class Ring {
 public:
  explicit Ring(const Arguments& arguments)
      : arguments_(arguments),
        next_(ring_neighbour(1)),
        previous_(ring_neighbour(-1)),
        fold_(scramble(static_cast<std::uint64_t>(ring_neighbour(0)) + 1)) {
    MPI_Comm_dup(MPI_COMM_WORLD, &lane_);
    MPI_Datatype vector = MPI_DATATYPE_NULL;
    MPI_Type_vector(large_words / 2, 1, 2, MPI_UINT64_T, &vector);
    MPI_Type_create_resized(vector, 0, sizeof(std::uint64_t), &column_);
    MPI_Type_commit(&column_);
    MPI_Type_free(&vector);
    receives_.fill(MPI_REQUEST_NULL);
    sends_.fill(MPI_REQUEST_NULL);
    for (std::size_t i = 0; i < slots; ++i) {
      in_[i].resize(words_of(i));
      out_[i].resize(words_of(i));
    }
    MPI_Recv_init(in_[persistent].data(), small_words, MPI_UINT64_T, previous_, persistent,
                  MPI_COMM_WORLD, &receives_[persistent]);
    MPI_Send_init(out_[persistent].data(), small_words, MPI_UINT64_T, next_, persistent,
                  MPI_COMM_WORLD, &sends_[persistent]);
  }
  ~Ring() {
    MPI_Request_free(&receives_[persistent]);
    MPI_Request_free(&sends_[persistent]);
    MPI_Type_free(&column_);
    MPI_Comm_free(&lane_);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  std::uint64_t run(cairn::Session& session) {
    protect(session);
    const std::uint64_t epoch = session.restart();
    if (epoch > 0) {
      go_on(epoch);
    } else {
      begin();
    }
    while (step_ < arguments_.steps) {
      const auto slot = static_cast<std::size_t>(step_ % slots);
      if (slot == 0) post(late);
      take(slot);
      send(slot);
      if (slot != late) post(slot);
      ++step_;
      if (step_ % reduction_period == 0) reduce();
      std::this_thread::sleep_for(std::chrono::microseconds{arguments_.pace_us});
      session.safe_point();
    }
    if (step_ % slots == 0) post(late);
    for (std::uint64_t i = 0; i < slots; ++i) take((step_ + i) % slots);
    MPI_Waitall(slots, sends_.data(), MPI_STATUSES_IGNORE);
    return fold_;
  }

 private:
  static std::size_t words_of(std::size_t slot) {
    return slot == large || slot == late ? large_words : small_words;
  }

  void protect(cairn::Session& session) {
    static constexpr std::array<const char*, slots> names = {"synchronous", "wildcard",
                                                             "persistent", "large", "late"};
    session.protect("step", step_);
    session.protect("fold", fold_);
    for (std::size_t i = 0; i < slots; ++i) session.protect(names[i], in_[i]);
    if (arguments_.repost) return;
    session.protect("receives", receives_);
    session.protect("sends", sends_);
  }
  void begin() {
    for (std::size_t i = 0; i < late; ++i) post(i);
    for (std::size_t i = 0; i < slots; ++i) {
      fold_ = scramble(fold_ + i);
      send(i);
    }
  }
  void go_on(std::uint64_t epoch) {
    for (std::uint64_t i = 0; arguments_.repost && i < slots; ++i) {
      const auto slot = static_cast<std::size_t>((step_ + i) % slots);  // the oldest one first
      if (slot != late || step_ % slots != 0) post(slot);
    }
    if (ring_neighbour(0) != 0) return;
    std::cout << "standing_receives: continues at step " << step_ << " (epoch " << epoch << ")\n"
              << std::flush;
  }

  void post(std::size_t slot) {
    std::uint64_t* data = in_[slot].data();
    MPI_Request* request = &receives_[slot];
    const int tag = static_cast<int>(slot);
    if (slot == persistent) {
      MPI_Start(request);
    } else if (slot == large) {
      MPI_Irecv(data, 2, column_, previous_, MPI_ANY_TAG, lane_, request);
    } else {
      const int source = slot == wildcard ? MPI_ANY_SOURCE : previous_;
      MPI_Irecv(data, static_cast<int>(in_[slot].size()), MPI_UINT64_T, source, tag, MPI_COMM_WORLD,
                request);
    }
  }
  void take(std::size_t slot) {
    MPI_Wait(&receives_[slot], MPI_STATUS_IGNORE);
    for (const std::uint64_t word : in_[slot]) fold_ = scramble(fold_ ^ word) + slot;
  }
  void send(std::size_t slot) {
    std::uint64_t* data = out_[slot].data();
    MPI_Request* request = &sends_[slot];
    const int tag = static_cast<int>(slot);
    const int count = static_cast<int>(out_[slot].size());
    MPI_Wait(request, MPI_STATUS_IGNORE);
    for (std::size_t i = 0; i < out_[slot].size(); ++i) data[i] = scramble(fold_ + i);
    if (slot == persistent) {
      MPI_Start(request);
    } else if (slot == synchronous) {
      MPI_Issend(data, count, MPI_UINT64_T, next_, tag, MPI_COMM_WORLD, request);
    } else {
      MPI_Isend(data, count, MPI_UINT64_T, next_, tag, slot == large ? lane_ : MPI_COMM_WORLD,
                request);
    }
  }
  void reduce() {
    std::uint64_t sum = 0;
    MPI_Allreduce(&fold_, &sum, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    fold_ = scramble(fold_ ^ sum);
  }

  Arguments arguments_;
  int next_;
  int previous_;
  MPI_Comm lane_ = MPI_COMM_NULL;
  MPI_Datatype column_ = MPI_DATATYPE_NULL;
  std::array<std::vector<std::uint64_t>, slots> in_;
  std::array<std::vector<std::uint64_t>, slots> out_;
  std::array<MPI_Request, slots> receives_{};
  std::array<MPI_Request, slots> sends_{};
  std::uint64_t step_ = 0;
  std::uint64_t fold_;
};

void run(const Arguments& arguments) {
  std::uint64_t fold = 0;
  {
    Ring ring{arguments};
    cairn::Options options;
    options.pending_requests = arguments.repost ? "repost" : "refuse";
    cairn::Session session{MPI_COMM_WORLD, options};
    fold = ring.run(session);
  }
  std::uint64_t digest = 0;
  fold = scramble(fold + static_cast<std::uint64_t>(ring_neighbour(0)));
  MPI_Reduce(&fold, &digest, 1, MPI_UINT64_T, MPI_BXOR, 0, MPI_COMM_WORLD);
  if (ring_neighbour(0) == 0) std::cout << fmt::format("result: {:016x}\n", digest);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Receives that are pending at every safe point"};
  app.add_option("--steps", arguments.steps);
  app.add_option("--pace-us", arguments.pace_us);
  app.add_flag("--repost", arguments.repost);
  CLI11_PARSE(app, argc, argv);
  MPI_Init(nullptr, nullptr);
  run(arguments);
  MPI_Finalize();
  return 0;
}
