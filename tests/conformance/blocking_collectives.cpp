// A rank in a blocking collective still receives: what it has posted must be able to complete, or a
// rank that has not reached the collective because its send needs that receive never will.
#include <functional>

#include "check.hpp"

using namespace conformance;

namespace {

/// Even ranks post a receive and enter the collective; odd ones first do a blocking send that needs
/// this receive. `collective` gets the round.
void send_into(const std::function<void(int)>& collective) {
  for (int round = 0; round < 6; ++round) {
    const bool sender = comm_rank() % 2 == (round % 2);
    const int partner = comm_rank() ^ 1, size = round % 3 == 2 ? 10 : 4 * kLarge;
    const std::vector<int> out = numbers(size, round);
    std::vector<int> in(out.size());
    MPI_Request request = MPI_REQUEST_NULL;
    if (partner < comm_size()) {
      if (sender) {
        usleep(2'000);  // the other is in the collective
        (round % 3 ? MPI_Ssend : MPI_Send)(out.data(), size, MPI_INT, partner, 1, MPI_COMM_WORLD);
      } else {
        MPI_Irecv(in.data(), size, MPI_INT, round < 3 ? partner : MPI_ANY_SOURCE, 1, MPI_COMM_WORLD,
                  &request);
      }
    }
    collective(round);
    if (request == MPI_REQUEST_NULL) continue;
    MPI_Status status;
    MPI_Wait(&request, &status);
    CHECK_STATUS(status, partner, 1, MPI_INT, size);
    CHECK_EQ(in, out);
  }
}

int sum_of_ranks() { return comm_size() * (comm_size() - 1) / 2; }

}  // namespace

TEST_CASE(barrier) {
  send_into([](int) { MPI_Barrier(MPI_COMM_WORLD); });
}

TEST_CASE(bcast) {
  send_into([](int round) {
    const int root = round % comm_size();
    std::vector<int> data = comm_rank() == root ? numbers(kLarge, root) : std::vector<int>(kLarge);
    MPI_Bcast(data.data(), kLarge, MPI_INT, root, MPI_COMM_WORLD);
    CHECK_EQ(data, numbers(kLarge, root));
  });
}

TEST_CASE(allreduce) {
  send_into([](int round) {
    int sum = -1;
    const int mine = comm_rank() + round;
    MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK_EQ(sum, sum_of_ranks() + round * comm_size());
  });
}

TEST_CASE(reduce_gather_and_scatter) {
  send_into([](int round) {
    const int root = round % comm_size(), rank = comm_rank();
    int sum = -1, part = -1;
    MPI_Reduce(&rank, &sum, 1, MPI_INT, MPI_SUM, root, MPI_COMM_WORLD);
    if (rank == root) CHECK_EQ(sum, sum_of_ranks());
    std::vector<int> all(static_cast<std::size_t>(comm_size()), -1);
    MPI_Gather(&rank, 1, MPI_INT, all.data(), 1, MPI_INT, root, MPI_COMM_WORLD);
    for (int i = 0; i < comm_size() && rank == root; ++i) CHECK_EQ(all[i], i);
    MPI_Scatter(all.data(), 1, MPI_INT, &part, 1, MPI_INT, root, MPI_COMM_WORLD);
    CHECK_EQ(part, rank);
  });
}

TEST_CASE(alltoall_and_allgather) {
  send_into([](int round) {
    const std::size_t size = static_cast<std::size_t>(comm_size());
    std::vector<int> out(size), in(size), all(size);
    for (int i = 0; i < comm_size(); ++i) out[i] = 100 * comm_rank() + i + round;
    MPI_Alltoall(out.data(), 1, MPI_INT, in.data(), 1, MPI_INT, MPI_COMM_WORLD);
    MPI_Allgather(out.data(), 1, MPI_INT, all.data(), 1, MPI_INT, MPI_COMM_WORLD);
    for (int i = 0; i < comm_size(); ++i) {
      CHECK_EQ(in[i], 100 * i + comm_rank() + round);
      CHECK_EQ(all[i], 100 * i + round);
    }
  });
}

TEST_CASE(scan_and_reduce_scatter) {
  send_into([](int) {
    const int rank = comm_rank();
    int scan = -1, before = 0, block = -1;
    MPI_Scan(&rank, &scan, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Exscan(&rank, &before, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK_EQ(scan, rank * (rank + 1) / 2);
    if (rank > 0) CHECK_EQ(before, rank * (rank - 1) / 2);
    std::vector<int> parts(static_cast<std::size_t>(comm_size()), rank);
    MPI_Reduce_scatter_block(parts.data(), &block, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK_EQ(block, sum_of_ranks());
  });
}

TEST_CASE(comm_dup) {
  send_into([](int) {
    MPI_Comm comm;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_free(&comm);
  });
}

TEST_CASE(comm_split) {
  send_into([](int round) {
    MPI_Comm comm;
    MPI_Comm_split(MPI_COMM_WORLD, round % 2 ? comm_rank() / 2 : 0, 0, &comm);
    MPI_Barrier(comm);
    MPI_Comm_free(&comm);
  });
}

TEST_CASE(comm_create_and_create_group) {
  send_into([](int round) {
    MPI_Group world;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Comm comm;
    if (round % 2) {
      MPI_Comm_create(MPI_COMM_WORLD, world, &comm);
    } else {
      // Not tag 1: Open MPI 4.1.4 lets the receives of the program take its own messages.
      MPI_Comm_create_group(MPI_COMM_WORLD, world, 77, &comm);
    }
    MPI_Group_free(&world);
    MPI_Barrier(comm);
    MPI_Comm_disconnect(&comm);
  });
}

TEST_CASE(win_fence) {
  int memory = -1;
  MPI_Win window;
  MPI_Win_create(&memory, sizeof(memory), sizeof(memory), MPI_INFO_NULL, MPI_COMM_WORLD, &window);
  send_into([&](int round) {
    MPI_Win_fence(0, window);
    MPI_Put(&round, 1, MPI_INT, right(), 0, 1, MPI_INT, window);
    MPI_Win_fence(0, window);
    CHECK_EQ(memory, round);
  });
  MPI_Win_free(&window);
}

TEST_CASE(intercommunicator_create_and_merge) {
  send_into([](int) {
    MPI_Comm half, bridge, whole;
    const int side = comm_rank() % 2;
    MPI_Comm_split(MPI_COMM_WORLD, side, 0, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - side, 3, &bridge);
    MPI_Intercomm_merge(bridge, side, &whole);
    CHECK_EQ(comm_size(whole), comm_size());
    MPI_Comm_free(&whole);
    MPI_Comm_free(&bridge);
    MPI_Comm_free(&half);
  });
}

TEST_CASE(freed_sends_into_a_barrier) {
  for (int round = 0; round < 6; ++round) {
    std::vector<int> in(kLarge);
    const std::vector<int> out = numbers(kLarge, round);
    MPI_Request receive, send;
    MPI_Irecv(in.data(), kLarge, MPI_INT, left(), 1, MPI_COMM_WORLD, &receive);
    MPI_Isend(out.data(), kLarge, MPI_INT, right(), 1, MPI_COMM_WORLD, &send);
    MPI_Request_free(&send);
    MPI_Wait(&receive, MPI_STATUS_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK_EQ(in, out);
  }
}

TEST_CASE(some_are_in_the_collective_for_long) {
  // All but two wait in the barrier while two exchange many messages.
  if (comm_rank() < 2) {
    for (int i = 0; i < 300; ++i) {
      int token = i;
      const int other = 1 - comm_rank();
      MPI_Sendrecv_replace(&token, 1, MPI_INT, other, i % 5, other, i % 5, MPI_COMM_WORLD,
                           MPI_STATUS_IGNORE);
      CHECK_EQ(token, i);
    }
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

TEST_CASE(collectives_on_disjoint_communicators) {
  MPI_Comm half;
  const int side = comm_rank() % 2;
  MPI_Comm_split(MPI_COMM_WORLD, side, 0, &half);
  for (int round = 0; round < 40; ++round) {
    int in = -1, sum = -1;
    MPI_Request request;
    MPI_Irecv(&in, 1, MPI_INT, left(), 1, MPI_COMM_WORLD, &request);
    for (int i = 0; i < (side ? 1 : 3); ++i) {  // the two sides do different numbers of them
      const int one = 1;
      MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, half);
      CHECK_EQ(sum, comm_size(half));
    }
    MPI_Send(&round, 1, MPI_INT, right(), 1, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    CHECK_EQ(in, round);
  }
  MPI_Comm_free(&half);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
