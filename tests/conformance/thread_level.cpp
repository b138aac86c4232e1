// The level of thread support is what was asked for. usage: thread_level -LEVEL, 0 (single) to 3.
// (Open MPI 4.1 with thread support grants every level as asked; what lies between must not change
// it.)
#include <cstdlib>
#include <thread>

#include "check.hpp"

using namespace conformance;

namespace {
int required = MPI_THREAD_SERIALIZED, provided = -1;
}

TEST_CASE(granted_as_asked) {
  int queried = -1, is_main = -1;
  MPI_Query_thread(&queried);
  MPI_Is_thread_main(&is_main);
  CHECK_EQ(provided, required);
  CHECK_EQ(queried, provided);
  CHECK_EQ(is_main, 1);
}

TEST_CASE(messages_from_threads_that_take_turns) {
  const auto talk = [] {
    for (int i = 0; i < 20; ++i) {
      int token = i;
      MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), i, left(), i, MPI_COMM_WORLD,
                           MPI_STATUS_IGNORE);
      CHECK_EQ(token, i);
    }
  };
  talk();
  int is_main = -1;
  if (required < MPI_THREAD_SERIALIZED) return;
  std::thread([&] {
    MPI_Is_thread_main(&is_main);
    talk();
  }).join();
  CHECK_EQ(is_main, 0);
  talk();
}

int main(int argc, char** argv) {
  if (argc > 1) required = std::atoi(argv[1] + 1);
  MPI_Init_thread(&argc, &argv, required, &provided);
  const bool passed = conformance::run_cases(argc, argv);
  MPI_Finalize();
  return passed ? 0 : 1;
}
