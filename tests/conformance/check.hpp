// The little that a conformance program needs: a table of cases, checks that say what they saw, one
// exit status that all ranks agree on. Plain MPI: a program must not be able to tell what is below.
#pragma once

#include <mpi.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace conformance {

struct Case {
  const char* name;
  void (*body)();
  int least_ranks = 2;
};

inline std::vector<Case>& cases() {
  static std::vector<Case> table;
  return table;
}

inline bool add_case(Case added) {
  cases().push_back(added);
  return true;
}

inline constexpr unsigned kSecondsPerCase = 60;
inline constexpr int kFailuresPrinted = 20;
inline std::atomic<int> failures{0};
inline std::atomic<const char*> running{"MPI_Init"};

inline int comm_rank(MPI_Comm comm = MPI_COMM_WORLD) {
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  return rank;
}

inline int comm_size(MPI_Comm comm = MPI_COMM_WORLD) {
  int size = 0;
  MPI_Comm_size(comm, &size);
  return size;
}

/// The ring that most cases talk on: every rank sends to the right and receives from the left.
inline int right() { return (comm_rank() + 1) % comm_size(); }
inline int left() { return (comm_rank() + comm_size() - 1) % comm_size(); }

inline constexpr int kLarge = 60'000;  // ints: far above any eager limit

/// `count` ints that nobody else sends, from a number that names the message.
inline std::vector<int> numbers(int count, int message) {
  std::vector<int> made(static_cast<std::size_t>(count));
  unsigned next = static_cast<unsigned>(message) * 2654435761u + 12345u;
  for (int& value : made) value = static_cast<int>((next = next * 1664525u + 1013904223u) >> 1);
  return made;
}

inline void report(const char* file, int line, const std::string& what) {
  if (failures.fetch_add(1) >= kFailuresPrinted) return;
  int rank = -1, initialized = 0, finalized = 0;
  PMPI_Initialized(&initialized);
  PMPI_Finalized(&finalized);
  if (initialized && !finalized) PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  std::fprintf(stderr, "rank %d: %s:%d: %s: %s\n", rank, file, line, running.load(), what.c_str());
}

inline void check(bool holds, const char* expression, const char* file, int line) {
  if (!holds) report(file, line, expression);
}

template <class T>
void print(std::ostringstream& out, const T& value) {
  out << value;
}
template <class T>
void print(std::ostringstream& out, const std::vector<T>& values) {
  out << values.size() << " values";
  for (std::size_t i = 0; i < values.size() && i < 8; ++i) out << ' ' << values[i];
}

template <class A, class B>
void check_equal(const A& seen, const B& expected, const char* expression, const char* file,
                 int line) {
  if constexpr (std::is_integral_v<A> && std::is_integral_v<B>) {
    if (static_cast<long long>(seen) == static_cast<long long>(expected)) return;
  } else {
    if (seen == expected) return;
  }
  std::ostringstream out;
  out << expression << ": ";
  print(out, seen);
  out << " != ";
  print(out, expected);
  report(file, line, out.str());
}

inline void check_status(const MPI_Status& status, int source, int tag, MPI_Datatype type,
                         int count, const char* file, int line) {
  check_equal(status.MPI_SOURCE, source, "MPI_SOURCE", file, line);
  check_equal(status.MPI_TAG, tag, "MPI_TAG", file, line);
  int seen = -1, cancelled = -1;
  MPI_Get_count(&status, type, &seen);
  check_equal(seen, count, "MPI_Get_count", file, line);
  MPI_Test_cancelled(&status, &cancelled);
  check_equal(cancelled, 0, "MPI_Test_cancelled", file, line);
}

inline void check_empty(const MPI_Status& status, const char* file, int line) {
  check_status(status, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_INT, 0, file, line);
  int elements = -1;
  MPI_Get_elements(&status, MPI_INT, &elements);
  check_equal(elements, 0, "MPI_Get_elements", file, line);
}

#define CHECK(expression) conformance::check((expression), #expression, __FILE__, __LINE__)
#define CHECK_EQ(seen, expected) \
  conformance::check_equal((seen), (expected), #seen " == " #expected, __FILE__, __LINE__)
#define CHECK_STATUS(status, source, tag, type, count) \
  conformance::check_status((status), (source), (tag), (type), (count), __FILE__, __LINE__)
#define CHECK_EMPTY(status) conformance::check_empty((status), __FILE__, __LINE__)

// TEST_CASE(name) { … } or TEST_CASE(name, least number of ranks) { … }
#define TEST_CASE(name, ...)                                                  \
  static void case_##name();                                                  \
  [[maybe_unused]] static const bool case_##name##_is_added =                 \
      conformance::add_case({#name, case_##name __VA_OPT__(, ) __VA_ARGS__}); \
  static void case_##name()

inline void hung(int) {
  const char* name = running.load();
  for (const char* text : {"watch-dog: hangs in ", name, "\n"}) {
    if (write(STDERR_FILENO, text, std::strlen(text)) < 0) break;
  }
  signal(SIGABRT, SIG_DFL);
  abort();
}

inline bool chosen(const Case& one, int argc, char** argv) {
  bool named = false;
  for (int i = 1; i < argc; ++i) {
    if (argv[i][0] == '-') continue;
    if (std::strcmp(argv[i], one.name) == 0) return true;
    named = true;
  }
  return !named;
}

/// Runs the cases between the caller's MPI_Init and MPI_Finalize; true when all ranks are content.
inline bool run_cases(int argc, char** argv) {
  signal(SIGALRM, hung);
  int passed = 0;
  for (const Case& one : cases()) {
    if (comm_size() < one.least_ranks || !chosen(one, argc, argv)) continue;
    alarm(kSecondsPerCase);
    running = one.name;
    one.body();
    MPI_Barrier(MPI_COMM_WORLD);
    ++passed;
  }
  running = "MPI_Finalize";
  int mine = failures.load(), all = 0;
  MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  if (all == 0 && comm_rank() == 0) std::printf("result: %d cases passed\n", passed);
  return all == 0;
}

inline int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const bool passed = run_cases(argc, argv);
  MPI_Finalize();
  return passed ? 0 : 1;
}

}  // namespace conformance
