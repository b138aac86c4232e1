// How long a checkpoint keeps the program, and how long until it is committed, while the program
// goes on computing; against memcpy and plain files of the same bytes, and a checkpoint at which
// all wait.
//
//   mpirun -n N bench_blocking MIB ROUNDS        MIB per rank; one JSON line per round
//
// Times are seconds of the slowest rank. Checkpoints go to $CAIRN_DIR, plain files to the working
// directory, which should be on the same disk.
#include <mpi.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
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

/// More than the steps that a program makes while a checkpoint is written.
constexpr std::uint64_t safe_points_per_epoch = 200'000;
constexpr int steps_alone = 200;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Works in the cache: some 0.3 ms, then all ranks come together, as after a step of a solver.
class Computation {
 public:
  /// Whether all ranks say so.
  bool step(bool flag) {
    for (int sweep = 0; sweep < 40; ++sweep) {
      for (std::size_t i = 1; i + 1 < values_.size(); ++i) {
        values_[i] = 0.25 * (values_[i - 1] + 2 * values_[i] + values_[i + 1]) + 1e-9;
      }
    }
    int mine = flag ? 1 : 0;
    int all = 0;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return all != 0;
  }
  double sum() const { return values_.front() + values_[values_.size() / 2]; }

 private:
  std::vector<double> values_ = std::vector<double>(4096, 1.0);
};

struct Overlapped {
  double blocked = 0, committed = 0, step_before = 0, step_during = 0;
  int steps = 0;
};

/// Old checkpoints are removed in the background: not while something else is measured.
void wait_until_old_ones_are_gone() {
  const char* directory = std::getenv("CAIRN_DIR");
  for (int i = 0; rank == 0 && directory != nullptr && i < 3000; ++i) {
    int left = 0;
    for (const auto& item : std::filesystem::directory_iterator(directory)) {
      left += item.is_directory() ? 1 : 0;
    }
    if (left <= 1) break;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  PMPI_Barrier(MPI_COMM_WORLD);
}

/// Up to the safe point before the one at which the next checkpoint is taken.
void go_to_cut(cairn::Session& session) {
  while ((session.safe_points() + 1) % safe_points_per_epoch != 0) session.safe_point();
  PMPI_Barrier(MPI_COMM_WORLD);
}

Overlapped overlapped(cairn::Session& session, Computation& computation) {
  Overlapped result;
  PMPI_Barrier(MPI_COMM_WORLD);
  auto begin = Clock::now();
  for (int i = 0; i < steps_alone; ++i) {
    computation.step(false);
    session.safe_point();
  }
  result.step_before = slowest_of(seconds_since(begin)) / steps_alone;

  go_to_cut(session);
  begin = Clock::now();
  bool committed = session.safe_point();
  result.blocked = slowest_of(seconds_since(begin));
  const auto cut = Clock::now();
  while (!computation.step(committed)) {
    committed = session.safe_point() || committed;
    ++result.steps;
    if (seconds_since(cut) > 120) fail("the checkpoint is not committed after 120 s");
  }
  result.committed = slowest_of(seconds_since(begin));
  result.step_during = slowest_of(seconds_since(cut)) / (result.steps + 1);
  return result;
}

/// The last rank comes to the cut a second later. The longest time that another one is kept there.
double late(cairn::Session& session, Computation& computation) {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  go_to_cut(session);
  const bool is_late = size > 1 && rank == size - 1;
  if (is_late) {
    for (const auto begin = Clock::now(); seconds_since(begin) < 1;) {
    }
  }
  const auto begin = Clock::now();
  bool committed = session.safe_point();
  const double blocked = slowest_of(is_late ? 0 : seconds_since(begin));
  while (!computation.step(committed)) committed = session.safe_point() || committed;
  return blocked;
}

void run_round(cairn::Session& session, Field& field, Field& copy, Computation& computation,
               int round) {
  for (std::size_t i = 0; i < field.size(); ++i) {
    field[i] = static_cast<double>(i) + 1e9 * rank + 0.001 * round;
  }
  const std::string plain_path = "plain-" + std::to_string(rank);
  const double memory =
      seconds_of([&] { std::memcpy(copy.data(), field.data(), field.size() * sizeof(double)); });
  if (copy.back() != field.back()) fail("memcpy failed");
  double plain = 0;
  const auto run_plain = [&] {
    std::filesystem::remove(plain_path);
    plain = seconds_of([&] { cairn::bench::write_plain(plain_path, field); });
  };
  if (round % 2 != 0) run_plain();
  const Overlapped one = overlapped(session, computation);
  if (round % 2 == 0) run_plain();
  wait_until_old_ones_are_gone();
  const double waiting = seconds_of([&] {
    if (const auto status = session.checkpoint(); !status) fail(status.message());
  });
  wait_until_old_ones_are_gone();
  const double kept_by_late = late(session, computation);
  wait_until_old_ones_are_gone();
  if (rank != 0) return;
  std::printf(
      "{\"memcpy\": %.6f, \"plain\": %.6f, \"blocked\": %.6f, \"committed\": %.6f, "
      "\"step_before\": %.8f, \"step_during\": %.8f, \"steps\": %d, \"waiting\": %.6f, "
      "\"blocked_by_late\": %.6f, \"sum\": %.3f}\n",
      memory, plain, one.blocked, one.committed, one.step_before, one.step_during, one.steps,
      waiting, kept_by_late, computation.sum());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (argc != 3) fail("usage: bench_blocking MIB ROUNDS");
  {
    Field field(static_cast<std::size_t>(std::atoi(argv[1])) * ((1 << 20) / sizeof(double)), 0.0);
    Field copy(field.size(), 0.0);
    Computation computation;
    cairn::Options options;
    options.interval = cairn::Interval::every_safe_points(safe_points_per_epoch);
    options.keep = 1;
    options.incremental = "off";  // everything is to be written each time
    cairn::Session session{MPI_COMM_WORLD, options};
    session.protect("field", field);
    session.restart();
    cairn::bench::warm_page_cache(field);
    const int rounds = std::atoi(argv[2]);
    for (int round = 1; round <= rounds; ++round) {
      run_round(session, field, copy, computation, round);
    }
  }
  MPI_Finalize();
}
