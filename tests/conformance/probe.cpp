// Probe and Iprobe: a receive with the probed source and tag gets exactly the probed message.
#include "check.hpp"

using namespace conformance;

namespace {

/// Sends `count` messages of different sizes and tags to the right; the caller waits for them.
struct Outgoing {
  std::vector<std::vector<int>> data;
  std::vector<MPI_Request> requests;

  static int tag(int i) { return i % 3; }
  static int size(int i) { return i % 7 == 5 ? kLarge : i % 7 == 3 ? 0 : 10 + i; }

  Outgoing(int count, int to, MPI_Comm comm) {
    for (int i = 0; i < count; ++i) {
      data.push_back(numbers(size(i), i));
      requests.emplace_back();
      MPI_Isend(data.back().data(), size(i), MPI_INT, to, tag(i), comm, &requests.back());
    }
  }
  void wait() {
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  }
};

/// Receives what `status` describes, and checks that it is message `i`.
void receive_probed(const MPI_Status& status, int i, MPI_Comm comm) {
  int count = -1;
  MPI_Get_count(&status, MPI_INT, &count);
  CHECK_EQ(count, Outgoing::size(i));
  std::vector<int> in(static_cast<std::size_t>(count));
  MPI_Status received;
  MPI_Recv(in.data(), count, MPI_INT, status.MPI_SOURCE, status.MPI_TAG, comm, &received);
  CHECK_STATUS(received, status.MPI_SOURCE, Outgoing::tag(i), MPI_INT, count);
  CHECK_EQ(in, numbers(count, i));
}

}  // namespace

TEST_CASE(probe_then_receive) {
  constexpr int kCount = 60;
  Outgoing out(kCount, right(), MPI_COMM_WORLD);
  for (int i = 0; i < kCount; ++i) {
    MPI_Status status;
    MPI_Probe(i % 2 ? left() : MPI_ANY_SOURCE, i % 4 == 0 ? Outgoing::tag(i) : MPI_ANY_TAG,
              MPI_COMM_WORLD, &status);
    CHECK_EQ(status.MPI_SOURCE, left());
    receive_probed(status, i, MPI_COMM_WORLD);
  }
  out.wait();
}

TEST_CASE(iprobe_then_receive) {
  constexpr int kCount = 60;
  Outgoing out(kCount, right(), MPI_COMM_WORLD);
  for (int i = 0; i < kCount; ++i) {
    MPI_Status status;
    int flag = 0;
    while (!flag) {
      MPI_Iprobe(MPI_ANY_SOURCE, i % 3 ? MPI_ANY_TAG : Outgoing::tag(i), MPI_COMM_WORLD, &flag,
                 &status);
    }
    receive_probed(status, i, MPI_COMM_WORLD);
  }
  out.wait();
}

TEST_CASE(probe_from_everybody) {
  constexpr int kCount = 21;
  const int ranks = comm_size();
  std::vector<Outgoing> out;
  for (int to = 0; to < ranks; ++to) out.emplace_back(kCount, to, MPI_COMM_WORLD);
  std::vector<int> next(static_cast<std::size_t>(ranks));
  for (int i = 0; i < kCount * ranks; ++i) {
    MPI_Status status;
    MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    receive_probed(status, next[static_cast<std::size_t>(status.MPI_SOURCE)]++, MPI_COMM_WORLD);
  }
  for (Outgoing& one : out) one.wait();
}

TEST_CASE(probe_finds_a_tag_behind_others) {
  constexpr int kCount = 30;
  std::vector<int> out(kCount);
  std::vector<MPI_Request> requests(kCount);
  for (int i = 0; i < kCount; ++i) {
    out[i] = i;
    MPI_Isend(&out[i], 1, MPI_INT, right(), i, MPI_COMM_WORLD, &requests[i]);
  }
  for (int tag = kCount - 1; tag >= 0; --tag) {
    MPI_Status status;
    MPI_Probe(MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &status);
    CHECK_STATUS(status, left(), tag, MPI_INT, 1);
    int got = -1;
    MPI_Recv(&got, 1, MPI_INT, left(), tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(got, tag);
  }
  MPI_Waitall(kCount, requests.data(), MPI_STATUSES_IGNORE);
}

TEST_CASE(iprobe_says_no_when_there_is_nothing) {
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  for (int i = 0; i < 30; ++i) {
    int flag = -1, token = i;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &flag, MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);
    MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 0, left(), 0, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
  }
  MPI_Comm_free(&comm);
}

TEST_CASE(a_probed_message_stays) {
  for (int round = 0; round < 20; ++round) {
    int out = round, other = -round, in = -1;
    MPI_Request requests[2];
    MPI_Isend(&out, 1, MPI_INT, right(), 8, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(&other, 1, MPI_INT, right(), 9, MPI_COMM_WORLD, &requests[1]);
    MPI_Probe(left(), 8, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (int i = 0; i < 10; ++i) {
      MPI_Status status;
      int flag = 0;
      MPI_Iprobe(left(), MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &status);
      CHECK_EQ(flag, 1);  // still the first one
      if (flag) CHECK_STATUS(status, left(), 8, MPI_INT, 1);
    }
    MPI_Recv(&in, 1, MPI_INT, left(), 8, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(in, round);
    MPI_Recv(&in, 1, MPI_INT, left(), 9, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(in, -round);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  }
}

TEST_CASE(a_pending_receive_comes_before_a_probe) {
  for (int round = 0; round < 40; ++round) {
    int pending = -1, in[2] = {-1, -1};
    const int first = round, second[2] = {round + 1, round + 2};
    MPI_Request receive, sends[2];
    MPI_Irecv(&pending, 1, MPI_INT, round % 2 ? left() : MPI_ANY_SOURCE,
              round % 3 ? 6 : MPI_ANY_TAG, MPI_COMM_WORLD, &receive);
    MPI_Isend(&first, 1, MPI_INT, right(), 6, MPI_COMM_WORLD, &sends[0]);
    MPI_Isend(second, 2, MPI_INT, right(), 6, MPI_COMM_WORLD, &sends[1]);
    MPI_Status status;
    MPI_Probe(MPI_ANY_SOURCE, 6, MPI_COMM_WORLD, &status);
    CHECK_STATUS(status, left(), 6, MPI_INT, 2);  // the first one belongs to the receive
    MPI_Recv(in, 2, MPI_INT, left(), 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(in[1], round + 2);
    MPI_Wait(&receive, &status);
    CHECK_STATUS(status, left(), 6, MPI_INT, 1);
    CHECK_EQ(pending, round);
    MPI_Waitall(2, sends, MPI_STATUSES_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);  // the wildcard receive must not see the next round
  }
}

TEST_CASE(probes_with_many_receives_pending) {
  constexpr int kPending = 50;
  std::vector<int> pending(kPending, -1), late(kPending);
  std::vector<MPI_Request> receives(kPending), sends(kPending);
  for (int i = 0; i < kPending; ++i) {
    MPI_Irecv(&pending[i], 1, MPI_INT, left(), 100 + i, MPI_COMM_WORLD, &receives[i]);
  }
  {
    Outgoing out(kPending, right(), MPI_COMM_WORLD);
    for (int i = 0; i < kPending; ++i) {
      MPI_Status status;
      MPI_Probe(left(), Outgoing::tag(i), MPI_COMM_WORLD, &status);
      receive_probed(status, i, MPI_COMM_WORLD);
    }
    out.wait();
  }
  for (int i = kPending - 1; i >= 0; --i) {
    late[i] = 7 * i;
    MPI_Isend(&late[i], 1, MPI_INT, right(), 100 + i, MPI_COMM_WORLD, &sends[i]);
  }
  MPI_Waitall(kPending, receives.data(), MPI_STATUSES_IGNORE);
  MPI_Waitall(kPending, sends.data(), MPI_STATUSES_IGNORE);
  CHECK_EQ(pending, late);
}

TEST_CASE(probe_does_not_cross_communicators) {
  MPI_Comm comms[3];
  for (MPI_Comm& comm : comms) MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  int out[3] = {1, 2, 3};
  MPI_Request requests[3];
  for (int c = 0; c < 3; ++c) {
    MPI_Isend(out, c + 1, MPI_INT, right(), 0, comms[c], &requests[c]);
  }
  for (int c = 2; c >= 0; --c) {
    MPI_Status status;
    int in[3];
    MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, comms[c], &status);
    CHECK_STATUS(status, left(), 0, MPI_INT, c + 1);
    MPI_Recv(in, c + 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comms[c], MPI_STATUS_IGNORE);
  }
  MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
  for (MPI_Comm& comm : comms) MPI_Comm_free(&comm);
}

TEST_CASE(probe_of_a_message_to_oneself) {
  for (int i = 0; i < 20; ++i) {
    int out = i, in = -1;
    MPI_Request request;
    MPI_Isend(&out, 1, MPI_INT, comm_rank(), i, MPI_COMM_WORLD, &request);
    MPI_Status status;
    MPI_Probe(comm_rank(), MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    CHECK_STATUS(status, comm_rank(), i, MPI_INT, 1);
    MPI_Recv(&in, 1, MPI_INT, comm_rank(), i, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(in, i);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  }
}

TEST_CASE(probe_of_nobody) {
  MPI_Status status;
  int flag = 0;
  MPI_Probe(MPI_PROC_NULL, 3, MPI_COMM_WORLD, &status);
  CHECK_STATUS(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  MPI_Iprobe(MPI_PROC_NULL, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &status);
  CHECK_EQ(flag, 1);
  CHECK_STATUS(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
