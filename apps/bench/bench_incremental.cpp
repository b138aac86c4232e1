// What checkpoints cost when only a part of the memory has changed since the one before.
//
//   mpirun -n N bench_incremental write MIB PERMILLE PATTERN WHEN EPOCHS
//   mpirun -n N bench_incremental read MIB
//
// PERMILLE of the pages of MIB MiB per rank are written to between two checkpoints, the same ones
// each time (`contiguous`) or others each time, evenly spread (`scattered`). WHEN: `late`, just
// before the cut, where nothing can be copied ahead of it; or `early`, long before. One JSON line
// per epoch. Times are seconds of the slowest rank. CAIRN_INCREMENTAL and CAIRN_FULL_EVERY say how
// checkpoints are made; they go to $CAIRN_DIR, plain files to the working directory, on the same
// disk.
#include <mpi.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <cairn/cairn.hpp>

#include "apps/bench/plain_files.hpp"

namespace {

using cairn::bench::fail;
using cairn::bench::Field;
using cairn::bench::rank;
using cairn::bench::seconds_of;
using cairn::bench::slowest_of;
using Clock = std::chrono::steady_clock;

constexpr std::size_t page_doubles = 4096 / sizeof(double);
// More than there are while an epoch is written: it must be over before the next one.
constexpr std::uint64_t safe_points_per_epoch = 500'000;
constexpr int calls_per_safe_point = 64;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Memory that begins at a page, so that what is written is whole pages.
class Pages {
 public:
  explicit Pages(std::size_t mib)
      : storage_(mib * ((std::size_t{1} << 20) / sizeof(double)) + page_doubles) {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    first_ = (4096 - address % 4096) % 4096 / sizeof(double);
    for (std::size_t i = 0; i < storage_.size(); ++i) {
      storage_[i] = static_cast<double>(i) + 1e9 * rank;
    }
  }
  double* data() { return storage_.data() + first_; }
  std::size_t size() const { return storage_.size() - page_doubles; }
  std::size_t count() const { return size() / page_doubles; }

 private:
  Field storage_;
  std::size_t first_ = 0;
};

/// The pages that are written to in a round.
std::vector<std::size_t> choose(const Pages& pages, int permille, bool scattered, int round) {
  const std::size_t count = std::max<std::size_t>(pages.count() * permille / 1000, 1);
  std::vector<std::size_t> chosen(count);
  for (std::size_t i = 0; i < count; ++i) {
    chosen[i] = scattered
                    ? (i * pages.count() / count + static_cast<std::size_t>(round)) % pages.count()
                    : i;
  }
  return chosen;
}

void write_to(Pages& pages, const std::vector<std::size_t>& chosen, int round) {
  for (const std::size_t page : chosen) {
    double* values = pages.data() + page * page_doubles;
    for (std::size_t i = 0; i < page_doubles; ++i) values[i] += 0.5 * round;
  }
}

Field gather(Pages& pages, const std::vector<std::size_t>& chosen) {
  Field gathered(chosen.size() * page_doubles);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    std::memcpy(&gathered[i * page_doubles], pages.data() + chosen[i] * page_doubles, 4096);
  }
  return gathered;
}

struct Arguments {
  std::size_t mib = 0;
  int permille = 0;
  bool scattered = false, early = false;
  int epochs = 0;
};

/// To the last safe point before the cut.
void go_to_cut(cairn::Session& session) {
  while ((session.safe_points() + 1) % safe_points_per_epoch != 0) session.safe_point();
  PMPI_Barrier(MPI_COMM_WORLD);
}

void run_epoch(cairn::Session& session, Pages& pages, Field& copy, const Arguments& arguments,
               int round) {
  const auto chosen = choose(pages, arguments.permille, arguments.scattered, round);
  if (!arguments.early) go_to_cut(session);
  const double touch = seconds_of([&] { write_to(pages, chosen, round); });
  Field dirty = gather(pages, chosen);
  const double memory =
      seconds_of([&] { std::memcpy(copy.data(), dirty.data(), dirty.size() * sizeof(double)); });
  if (copy[dirty.size() - 1] != dirty.back()) fail("memcpy failed");
  const std::string path = "plain-" + std::to_string(rank);
  const double plain = seconds_of([&] { cairn::bench::write_plain(path, dirty); });
  if (arguments.early) go_to_cut(session);

  PMPI_Barrier(MPI_COMM_WORLD);
  const std::uint64_t before = session.safe_points();
  const auto begin = Clock::now();
  bool committed = session.safe_point();
  const double blocked = slowest_of(seconds_since(begin));
  // The program waits for its next time step and calls MPI meanwhile.
  for (int calls = 1, all = 0; all == 0; ++calls) {
    const int mine = committed ? 1 : 0;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (all == 0 && calls % calls_per_safe_point == 0) {
      committed = session.safe_point() || committed;
    }
    if (seconds_since(begin) > 120) fail("the checkpoint is not committed after 120 s");
  }
  const double until = slowest_of(seconds_since(begin));
  if (session.safe_points() - before >= safe_points_per_epoch) fail("two epochs, not one");
  if (rank != 0) return;
  std::printf(
      "{\"epoch\": %llu, \"dirty_bytes\": %zu, \"touch\": %.7f, \"memcpy\": %.7f, \"plain\": %.6f, "
      "\"blocked\": %.7f, \"committed\": %.6f}\n",
      static_cast<unsigned long long>(session.epoch()), dirty.size() * sizeof(double), touch,
      memory, plain, blocked, until);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const bool writes = argc == 7 && std::strcmp(argv[1], "write") == 0;
  if (!writes && !(argc == 3 && std::strcmp(argv[1], "read") == 0)) {
    fail(
        "usage: bench_incremental write MIB PERMILLE contiguous|scattered late|early EPOCHS | read "
        "MIB");
  }
  Arguments arguments;
  arguments.mib = static_cast<std::size_t>(std::atoi(argv[2]));
  if (writes) {
    arguments.permille = std::atoi(argv[3]);
    arguments.scattered = std::strcmp(argv[4], "scattered") == 0;
    arguments.early = std::strcmp(argv[5], "early") == 0;
    arguments.epochs = std::atoi(argv[6]);
  }
  {
    Pages pages{arguments.mib};
    cairn::Options options;
    options.interval =
        writes ? cairn::Interval::every_safe_points(safe_points_per_epoch) : cairn::Interval::off();
    options.keep = 1000;
    options.application = "bench_incremental";
    cairn::Session session{MPI_COMM_WORLD, options};
    session.protect("pages", pages.data(), pages.size());
    std::uint64_t epoch = 0;
    const double restart = seconds_of([&] { epoch = session.restart(); });
    if (!writes && rank == 0) {
      std::printf("{\"epoch\": %llu, \"restart\": %.6f}\n", static_cast<unsigned long long>(epoch),
                  restart);
    }
    if (writes) {
      Field copy(pages.size() + page_doubles, 0.0);
      for (int round = 1; round <= arguments.epochs; ++round) {
        run_epoch(session, pages, copy, arguments, round);
      }
    }
  }
  MPI_Finalize();
}
