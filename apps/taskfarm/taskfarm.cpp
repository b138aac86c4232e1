// taskfarm: a master that hands out tasks of unequal length to whoever asks, and all that Cairn
// needs to checkpoint it.
//
// Ranks pass different numbers of safe points here, so no safe point is the same on all of them:
// the cut is the marker cut (Chandy and Lamport's own). Each rank spends its time in MPI_Recv from
// a SafeRegion: its state is complete there, and after a restart it calls MPI_Recv again. Tasks and
// results that are on their way at the cut are in the checkpoint.
//
// The last line of rank 0 is `result: <digest>`. It depends on --tasks and --seed, and on nothing
// else: not on who has done which task, nor on how often the run was killed and restarted.

#include <mpi.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <thread>

#include <cairn/cairn.hpp>

namespace {

struct Arguments {
  std::uint64_t tasks = 2000;
  std::uint64_t seed = 1;
  std::uint64_t pace_us = 0;
};

/// What goes to and fro: a worker's answer, or the master's next task.
struct Message {
  std::uint64_t task = 0;
  std::uint64_t value = 0;
};

constexpr int task_tag = 1;    // master: do this
constexpr int stop_tag = 2;    // master: that was all
constexpr int ready_tag = 3;   // worker: I have nothing to do
constexpr int result_tag = 4;  // worker: this is done
constexpr int total_tag = 5;   // worker: my total; I have stopped

std::uint64_t scramble(std::uint64_t value) {
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

void send(const Message& message, int to, int tag) {
  MPI_Send(&message, 2, MPI_UINT64_T, to, tag, MPI_COMM_WORLD);
}

cairn::Options marker_cut() {
  cairn::Options options;
  options.cut = "marker";
  return options;
}

/// Waits for a message. Whoever waits here can be checkpointed.
Message receive(cairn::Session& session, int from, MPI_Status& status) {
  Message message;
  const cairn::SafeRegion region{session};
  MPI_Recv(&message, 2, MPI_UINT64_T, from, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
  return message;
}

/// Between two calls of receive() the master does not come to a safe point: its counts and the
/// messages that it has sent fit each other at each.
int run_master(const Arguments& arguments, int workers) {
  std::uint64_t next = 0;     // task to hand out
  std::uint64_t done = 0;     // results that are in
  std::uint64_t sum = 0;      // of all results, in any order
  std::uint64_t totals = 0;   // of the workers' own sums
  std::uint64_t stopped = 0;  // workers

  cairn::Session session{MPI_COMM_WORLD, marker_cut()};
  session.protect("next", next);
  session.protect("done", done);
  session.protect("sum", sum);
  session.protect("totals", totals);
  session.protect("stopped", stopped);
  if (const std::uint64_t epoch = session.restart(); epoch != 0) {
    std::cout << "taskfarm: continues at task " << next << " (epoch " << epoch << ")" << std::endl;
  }

  while (stopped < static_cast<std::uint64_t>(workers)) {
    MPI_Status status;
    const Message message = receive(session, MPI_ANY_SOURCE, status);
    if (status.MPI_TAG == total_tag) {
      totals += message.value;
      ++stopped;
      continue;
    }
    if (status.MPI_TAG == result_tag) {
      sum += scramble(message.task ^ message.value);
      ++done;
    }
    if (next < arguments.tasks) {
      send({next, scramble(arguments.seed + next)}, status.MPI_SOURCE, task_tag);
      ++next;
    } else {
      send({}, status.MPI_SOURCE, stop_tag);
    }
    session.safe_point();
  }
  if (totals != sum || done != arguments.tasks) {
    std::cerr << "taskfarm: the workers have done something else than what has come in\n";
    return 1;
  }
  std::printf("result: %016llx\n", static_cast<unsigned long long>(scramble(sum)));
  return 0;
}

/// Some tasks take ten times as long as others.
std::uint64_t work(const Message& task, std::uint64_t pace_us) {
  const std::uint64_t weight = task.value % 10 == 0 ? 10 : 1;
  if (pace_us > 0) std::this_thread::sleep_for(std::chrono::microseconds{pace_us * weight});
  std::uint64_t value = task.value;
  for (std::uint64_t i = 0; i < 1000 * weight; ++i) value = scramble(value + i);
  return value;
}

int run_worker(const Arguments& arguments) {
  std::uint64_t asked = 0;  // for its first task
  std::uint64_t total = 0;  // of all results of this rank

  cairn::Session session{MPI_COMM_WORLD, marker_cut()};
  session.protect("next", asked);  // every rank protects the same names
  session.protect("done", total);
  std::uint64_t unused = 0;
  session.protect("sum", unused);
  session.protect("totals", unused);
  session.protect("stopped", unused);
  session.restart();
  if (asked == 0) {
    asked = 1;
    send({}, 0, ready_tag);
  }
  while (true) {
    MPI_Status status;
    const Message task = receive(session, 0, status);
    if (status.MPI_TAG == stop_tag) break;
    const std::uint64_t value = work(task, arguments.pace_us);
    total += scramble(task.task ^ value);
    send({task.task, value}, 0, result_tag);
    session.safe_point();
  }
  send({0, total}, 0, total_tag);
  return 0;
}

/// -1: go on; otherwise the exit status. Only rank 0 prints.
int parse(int argc, char** argv, int rank, int ranks, Arguments& arguments) {
  CLI::App app{"A master and its workers, checkpointed by Cairn", "taskfarm"};
  const auto count = CLI::Range(std::uint64_t{0}, std::uint64_t{1'000'000'000});
  app.add_option("--tasks", arguments.tasks, "Tasks in all")->check(count)->capture_default_str();
  app.add_option("--seed", arguments.seed, "Seed of the tasks")->capture_default_str();
  app.add_option("--pace-us", arguments.pace_us, "Sleep this long in a task, ten times in some")
      ->check(count)
      ->capture_default_str();
  try {
    app.parse(argc, argv);
    if (ranks < 2) throw CLI::ValidationError{"taskfarm needs at least 2 ranks"};
  } catch (const CLI::CallForHelp&) {
    if (rank == 0) std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& error) {
    if (rank == 0) std::cerr << "taskfarm: " << error.what() << " (see taskfarm --help)\n";
    return 2;
  }
  return -1;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  Arguments arguments;
  int status = parse(argc, argv, rank, ranks, arguments);
  if (status < 0) status = rank == 0 ? run_master(arguments, ranks - 1) : run_worker(arguments);
  MPI_Finalize();
  return status;
}
