// Intercommunicators: point-to-point with wildcards and probes, collectives, merge, dup.
#include "check.hpp"

using namespace conformance;

namespace {

/// Even ranks on one side, odd ones on the other.
struct Bridge {
  MPI_Comm half = MPI_COMM_NULL, comm = MPI_COMM_NULL;
  int side = comm_rank() % 2, local = 0, remote = 0;

  explicit Bridge(int tag = 3) {
    MPI_Comm_split(MPI_COMM_WORLD, side, 0, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - side, tag, &comm);
    local = comm_size(half);
    MPI_Comm_remote_size(comm, &remote);
  }
  ~Bridge() {
    MPI_Comm_free(&comm);
    MPI_Comm_free(&half);
  }
  int me() const { return comm_rank(half); }
};

constexpr int kEach = 12;
int message_size(int i) { return i % 5 == 3 ? kLarge : i; }

/// Sends kEach messages to everybody on the other side; the caller waits.
struct Flood {
  std::vector<std::vector<int>> data;
  std::vector<MPI_Request> requests;

  explicit Flood(const Bridge& bridge) {
    for (int i = 0; i < kEach; ++i) {
      data.push_back(numbers(message_size(i), 100 * bridge.me() + i));
      for (int to = 0; to < bridge.remote; ++to) {
        requests.emplace_back();
        MPI_Isend(data.back().data(), message_size(i), MPI_INT, to, i % 3, bridge.comm,
                  &requests.back());
      }
    }
  }
  void wait() {
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  }
};

}  // namespace

TEST_CASE(sizes_and_ranks) {
  Bridge bridge;
  int inter = 0;
  MPI_Comm_test_inter(bridge.comm, &inter);
  CHECK_EQ(inter, 1);
  CHECK_EQ(comm_size(bridge.comm), bridge.local);
  CHECK_EQ(bridge.remote, comm_size() - bridge.local);
  CHECK_EQ(comm_rank(bridge.comm), comm_rank() / 2);
  MPI_Comm_test_inter(MPI_COMM_WORLD, &inter);
  CHECK_EQ(inter, 0);
}

TEST_CASE(receives_by_name) {
  Bridge bridge;
  Flood flood(bridge);
  for (int i = 0; i < kEach; ++i) {
    for (int from = bridge.remote - 1; from >= 0; --from) {
      std::vector<int> in(static_cast<std::size_t>(message_size(i)));
      MPI_Status status;
      MPI_Recv(in.data(), message_size(i), MPI_INT, from, MPI_ANY_TAG, bridge.comm, &status);
      CHECK_STATUS(status, from, i % 3, MPI_INT, message_size(i));
      CHECK_EQ(in, numbers(message_size(i), 100 * from + i));
    }
  }
  flood.wait();
}

TEST_CASE(receives_with_wildcards_pending) {
  Bridge bridge;
  const int total = kEach * bridge.remote;
  std::vector<std::vector<int>> in(static_cast<std::size_t>(total), std::vector<int>(kLarge));
  std::vector<MPI_Request> requests(in.size());
  std::vector<MPI_Status> statuses(in.size());
  for (int i = 0; i < total; ++i) {
    MPI_Irecv(in[i].data(), kLarge, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, bridge.comm,
              &requests[i]);
  }
  Flood flood(bridge);
  MPI_Waitall(total, requests.data(), statuses.data());
  std::vector<int> next(static_cast<std::size_t>(bridge.remote));
  for (int i = 0; i < total; ++i) {
    const int from = statuses[i].MPI_SOURCE;
    CHECK(from >= 0 && from < bridge.remote);
    if (from < 0 || from >= bridge.remote) continue;
    const int k = next[static_cast<std::size_t>(from)]++;
    CHECK_STATUS(statuses[i], from, k % 3, MPI_INT, message_size(k));
    in[i].resize(static_cast<std::size_t>(message_size(k)));
    CHECK_EQ(in[i], numbers(message_size(k), 100 * from + k));
  }
  flood.wait();
  MPI_Barrier(bridge.comm);
}

TEST_CASE(probes) {
  Bridge bridge;
  Flood flood(bridge);
  std::vector<int> next(static_cast<std::size_t>(bridge.remote));
  for (int i = 0; i < kEach * bridge.remote; ++i) {
    MPI_Status probed, status;
    MPI_Message message = MPI_MESSAGE_NULL;
    int flag = 0;
    switch (i % 3) {
      case 0: MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, bridge.comm, &probed); break;
      case 1: MPI_Mprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, bridge.comm, &message, &probed); break;
      default:
        while (!flag) MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, bridge.comm, &flag, &probed);
    }
    const int from = probed.MPI_SOURCE, k = next[static_cast<std::size_t>(from)]++;
    CHECK_STATUS(probed, from, k % 3, MPI_INT, message_size(k));
    std::vector<int> in(static_cast<std::size_t>(message_size(k)));
    if (message == MPI_MESSAGE_NULL) {
      MPI_Recv(in.data(), message_size(k), MPI_INT, from, probed.MPI_TAG, bridge.comm, &status);
    } else {
      MPI_Mrecv(in.data(), message_size(k), MPI_INT, &message, &status);
    }
    CHECK_STATUS(status, from, k % 3, MPI_INT, message_size(k));
    CHECK_EQ(in, numbers(message_size(k), 100 * from + k));
  }
  flood.wait();
}

TEST_CASE(persistent_and_sendrecv_between_the_leaders) {
  Bridge bridge;
  if (bridge.me() != 0) return;
  int in = -1, out = 0;
  MPI_Request requests[2];
  MPI_Recv_init(&in, 1, MPI_INT, MPI_ANY_SOURCE, 1, bridge.comm, &requests[0]);
  MPI_Send_init(&out, 1, MPI_INT, 0, 1, bridge.comm, &requests[1]);
  for (out = 0; out < 20; ++out) {
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    CHECK_EQ(in, out);
    int token = bridge.side;
    MPI_Sendrecv_replace(&token, 1, MPI_INT, 0, 2, 0, 2, bridge.comm, MPI_STATUS_IGNORE);
    CHECK_EQ(token, 1 - bridge.side);
  }
  for (MPI_Request& request : requests) MPI_Request_free(&request);
}

TEST_CASE(collectives) {
  Bridge bridge;
  const MPI_Comm comm = bridge.comm;
  for (int round = 0; round < 10; ++round) {
    int pending = -1;
    MPI_Request receive;
    MPI_Irecv(&pending, 1, MPI_INT, left(), 1, MPI_COMM_WORLD, &receive);
    const int one = 1;
    int sum = -1, value = bridge.side == 0 && bridge.me() == 0 ? round : -1;
    MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, comm);
    CHECK_EQ(sum, bridge.remote);  // of the other side
    MPI_Bcast(&value, 1, MPI_INT, bridge.side ? 0 : (bridge.me() == 0 ? MPI_ROOT : MPI_PROC_NULL),
              comm);
    if (bridge.side) CHECK_EQ(value, round);
    std::vector<int> all(static_cast<std::size_t>(bridge.remote), -1);
    const int rank = comm_rank();
    MPI_Allgather(&rank, 1, MPI_INT, all.data(), 1, MPI_INT, comm);
    for (int i = 0; i < bridge.remote; ++i) CHECK_EQ(all[i], 2 * i + 1 - bridge.side);
    MPI_Barrier(comm);
    MPI_Request request;
    MPI_Ibarrier(comm, &request);
    MPI_Send(&round, 1, MPI_INT, right(), 1, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    MPI_Wait(&receive, MPI_STATUS_IGNORE);
    CHECK_EQ(pending, round);
  }
}

TEST_CASE(merge) {
  Bridge bridge;
  for (const int high : {0, 1}) {
    MPI_Comm whole;
    MPI_Intercomm_merge(bridge.comm, bridge.side == high, &whole);
    CHECK_EQ(comm_size(whole), comm_size());
    const int first = bridge.side == high ? bridge.remote : 0;
    CHECK_EQ(comm_rank(whole), first + bridge.me());
    int token = 5;
    const int rank = comm_rank(whole), size = comm_size(whole);
    for (int i = 0; i < 10; ++i) {
      MPI_Sendrecv_replace(&token, 1, MPI_INT, (rank + 1) % size, i, (rank + size - 1) % size, i,
                           whole, MPI_STATUS_IGNORE);
      CHECK_EQ(token, 5);
    }
    MPI_Comm_free(&whole);
  }
}

TEST_CASE(dup_and_split) {
  Bridge bridge;
  MPI_Comm copy;
  MPI_Comm_dup(bridge.comm, &copy);
  int inter = 0, remote = 0, result = -1;
  MPI_Comm_test_inter(copy, &inter);
  MPI_Comm_remote_size(copy, &remote);
  MPI_Comm_compare(bridge.comm, copy, &result);
  CHECK_EQ(inter, 1);
  CHECK_EQ(remote, bridge.remote);
  CHECK_EQ(result, MPI_CONGRUENT);
  if (bridge.me() == 0) {
    int first = 1, second = 2;
    MPI_Request requests[2];
    MPI_Isend(&first, 1, MPI_INT, 0, 1, bridge.comm, &requests[0]);
    MPI_Isend(&second, 1, MPI_INT, 0, 1, copy, &requests[1]);
    int in = -1;
    MPI_Recv(&in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, copy, MPI_STATUS_IGNORE);
    CHECK_EQ(in, 2);
    MPI_Recv(&in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, bridge.comm, MPI_STATUS_IGNORE);
    CHECK_EQ(in, 1);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  }
  MPI_Comm_free(&copy);
}

TEST_CASE(many_bridges_with_receives_pending) {
  int pending = -1;
  MPI_Request receive;
  MPI_Irecv(&pending, 1, MPI_INT, left(), 500, MPI_COMM_WORLD, &receive);
  for (int i = 0; i < 8; ++i) {
    Bridge bridge(i);
    if (bridge.me() != 0) continue;
    int token = i + bridge.side;
    MPI_Sendrecv_replace(&token, 1, MPI_INT, 0, i, 0, i, bridge.comm, MPI_STATUS_IGNORE);
    CHECK_EQ(token, i + 1 - bridge.side);
  }
  const int out = 6;
  MPI_Send(&out, 1, MPI_INT, right(), 500, MPI_COMM_WORLD);
  MPI_Wait(&receive, MPI_STATUS_IGNORE);
  CHECK_EQ(pending, 6);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
