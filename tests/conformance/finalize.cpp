// MPI_Finalize while others still communicate: what was sent before it must arrive.
#include "check.hpp"

using namespace conformance;

namespace {

int callbacks = 0;

int at_finalize(MPI_Comm comm, int, void*, void*) {
  int finalized = -1;
  MPI_Finalized(&finalized);
  CHECK_EQ(finalized, 0);
  CHECK(comm == MPI_COMM_SELF);
  ++callbacks;
  return MPI_SUCCESS;
}

/// Rank 0 sends and leaves; the others talk on among themselves, then receive.
void leave_early(std::vector<char>& buffer) {
  constexpr int kCount = 20;
  const int rank = comm_rank(), size = comm_size();
  if (rank == 0) {
    MPI_Buffer_attach(buffer.data(), static_cast<int>(buffer.size()));
    for (int to = 1; to < size; ++to) {
      for (int i = 0; i < kCount; ++i) MPI_Bsend(&i, 1, MPI_INT, to, i % 2, MPI_COMM_WORLD);
    }
    return;  // and into MPI_Finalize, which delivers what is buffered
  }
  usleep(30'000);
  const int partner = size > 2 ? (rank == 1 ? 2 : rank == 2 ? 1 : rank) : rank;
  for (int i = 0; i < 50; ++i) {
    int token = i;
    MPI_Sendrecv_replace(&token, 1, MPI_INT, partner, 5, partner, 5, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
    CHECK_EQ(token, i);
  }
  for (const int tag : {1, 0}) {
    for (int i = tag; i < kCount; i += 2) {
      int in = -1;
      MPI_Recv(&in, 1, MPI_INT, 0, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK_EQ(in, i);
    }
  }
}

}  // namespace

TEST_CASE(before) {
  int token = 1, initialized = 0, finalized = 1;
  MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 0, left(), 0, MPI_COMM_WORLD,
                       MPI_STATUS_IGNORE);
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  CHECK_EQ(initialized, 1);
  CHECK_EQ(finalized, 0);
}

int main(int argc, char** argv) {
  int flag = 1;
  MPI_Initialized(&flag);
  CHECK_EQ(flag, 0);
  MPI_Init(&argc, &argv);
  const bool passed = run_cases(argc, argv);
  int key = 0;
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, at_finalize, &key, nullptr);
  MPI_Comm_set_attr(MPI_COMM_SELF, key, nullptr);
  std::vector<char> buffer(1 << 20);
  alarm(kSecondsPerCase);
  leave_early(buffer);
  MPI_Finalize();
  MPI_Finalized(&flag);
  CHECK_EQ(flag, 1);
  CHECK_EQ(callbacks, 1);
  return passed && failures.load() == 0 ? 0 : 1;
}
