// Persistent requests: MPI-3.1 section 3.9.
#include <algorithm>

#include "check.hpp"

using namespace conformance;

namespace {

using SendInit = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);

void free_all(std::vector<MPI_Request>& requests) {
  for (MPI_Request& request : requests) {
    CHECK(request != MPI_REQUEST_NULL);
    MPI_Request_free(&request);
    CHECK(request == MPI_REQUEST_NULL);
  }
}

void restart(SendInit init, int size, bool receive_first) {
  std::vector<int> in(static_cast<std::size_t>(size)), out(in.size());
  MPI_Request send, receive;
  init(out.data(), size, MPI_INT, right(), 3, MPI_COMM_WORLD, &send);
  MPI_Recv_init(in.data(), size, MPI_INT, left(), 3, MPI_COMM_WORLD, &receive);
  const MPI_Request before[2] = {send, receive};
  for (int round = 0; round < 25; ++round) {
    const std::vector<int> expected = numbers(size, round);
    std::copy(expected.begin(), expected.end(), out.begin());
    std::fill(in.begin(), in.end(), 0);
    if (receive_first) {
      MPI_Start(&receive);
      if (init == MPI_Rsend_init) MPI_Barrier(MPI_COMM_WORLD);
      MPI_Start(&send);
    } else {
      MPI_Start(&send);
      MPI_Start(&receive);
    }
    MPI_Status status;
    MPI_Wait(&receive, &status);
    CHECK_STATUS(status, left(), 3, MPI_INT, size);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    CHECK_EQ(in, expected);
    CHECK(send == before[0] && receive == before[1]);
  }
  MPI_Request_free(&send);
  MPI_Request_free(&receive);
}

}  // namespace

TEST_CASE(standard_sends) {
  for (const int size : {0, 1, kLarge}) restart(MPI_Send_init, size, size != 1);
}

TEST_CASE(synchronous_sends) {
  for (const int size : {0, 1, kLarge}) restart(MPI_Ssend_init, size, size == 1);
}

TEST_CASE(ready_sends) {
  for (const int size : {0, 1, kLarge}) restart(MPI_Rsend_init, size, true);
}

TEST_CASE(buffered_sends) {
  std::vector<char> buffer(100 * (200 * sizeof(int) + MPI_BSEND_OVERHEAD));
  MPI_Buffer_attach(buffer.data(), static_cast<int>(buffer.size()));
  // Not kLarge: Open MPI 4.1.4 delivers nothing when a large one is started again.
  for (const int size : {0, 1, 200}) restart(MPI_Bsend_init, size, size == 0);
  void* attached = nullptr;
  int bytes = 0;
  MPI_Buffer_detach(&attached, &bytes);
  CHECK(attached == buffer.data());
}

TEST_CASE(startall_and_every_way_to_complete) {
  constexpr int kCount = 12;
  std::vector<int> in(kCount), out(kCount);
  std::vector<MPI_Request> requests(2 * kCount);
  for (int i = 0; i < kCount; ++i) {
    MPI_Recv_init(&in[i], 1, MPI_INT, i % 2 ? MPI_ANY_SOURCE : left(), i, MPI_COMM_WORLD,
                  &requests[i]);
    MPI_Send_init(&out[i], 1, MPI_INT, right(), i, MPI_COMM_WORLD, &requests[kCount + i]);
  }
  const std::vector<MPI_Request> before = requests;
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < kCount; ++i) out[i] = 100 * round + i;
    MPI_Startall(2 * kCount, requests.data());
    std::vector<MPI_Status> statuses(2 * kCount), some(2 * kCount);
    std::vector<int> indices(2 * kCount);
    int flag = 0;
    for (int done = 0; done < 2 * kCount;) {
      int outcount = 1;
      switch (round % 6) {
        case 0: MPI_Waitall(2 * kCount, requests.data(), statuses.data()); break;
        case 1:
          while (!flag) MPI_Testall(2 * kCount, requests.data(), &flag, statuses.data());
          break;
        case 2: MPI_Waitany(2 * kCount, requests.data(), &indices[0], &some[0]); break;
        case 3: MPI_Testany(2 * kCount, requests.data(), &indices[0], &outcount, &some[0]); break;
        case 4:
          MPI_Waitsome(2 * kCount, requests.data(), &outcount, indices.data(), some.data());
          break;
        default: MPI_Testsome(2 * kCount, requests.data(), &outcount, indices.data(), some.data());
      }
      if (round % 6 < 2) break;
      CHECK(outcount != MPI_UNDEFINED);
      for (int i = 0; i < outcount; ++i) statuses[indices[i]] = some[i];
      done += outcount;
    }
    for (int i = 0; i < kCount; ++i) CHECK_STATUS(statuses[i], left(), i, MPI_INT, 1);
    CHECK_EQ(in, out);
    CHECK(requests == before);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  free_all(requests);
}

TEST_CASE(mixed_with_ordinary_requests) {
  constexpr int kCount = 10;
  int kept_in = -1, kept_out = 0;
  MPI_Request kept[2];
  MPI_Recv_init(&kept_in, 1, MPI_INT, left(), 50, MPI_COMM_WORLD, &kept[0]);
  MPI_Send_init(&kept_out, 1, MPI_INT, right(), 50, MPI_COMM_WORLD, &kept[1]);
  for (int round = 0; round < 20; ++round) {
    std::vector<int> in(kCount), out(kCount);
    std::vector<MPI_Request> requests(2 * kCount, MPI_REQUEST_NULL);
    for (int i = 0; i < kCount; ++i) {
      out[i] = round - i;
      MPI_Irecv(&in[i], 1, MPI_INT, left(), i, MPI_COMM_WORLD, &requests[2 * i]);
      MPI_Isend(&out[i], 1, MPI_INT, right(), i, MPI_COMM_WORLD, &requests[2 * i + 1]);
    }
    requests.insert(requests.begin() + 7, kept[0]);
    requests.insert(requests.begin() + 3, kept[1]);
    requests.insert(requests.begin(), MPI_REQUEST_NULL);
    kept_out = round;
    MPI_Startall(2, kept);
    for (int done = 0; done < 2 * kCount + 2; ++done) {
      int index = -1;
      MPI_Waitany(static_cast<int>(requests.size()), requests.data(), &index, MPI_STATUS_IGNORE);
      CHECK(index != MPI_UNDEFINED);
    }
    int index = 0;
    MPI_Waitany(static_cast<int>(requests.size()), requests.data(), &index, MPI_STATUS_IGNORE);
    CHECK_EQ(index, MPI_UNDEFINED);  // the persistent ones are inactive, the others null
    CHECK_EQ(kept_in, round);
    CHECK_EQ(in, out);
  }
  MPI_Request_free(&kept[0]);
  MPI_Request_free(&kept[1]);
}

TEST_CASE(the_order_is_that_of_start) {
  int in[3] = {-1, -1, -1};
  MPI_Request receives[3];
  MPI_Recv_init(&in[0], 1, MPI_INT, left(), 5, MPI_COMM_WORLD, &receives[0]);
  MPI_Recv_init(&in[1], 1, MPI_INT, left(), MPI_ANY_TAG, MPI_COMM_WORLD, &receives[1]);
  MPI_Recv_init(&in[2], 1, MPI_INT, MPI_ANY_SOURCE, 5, MPI_COMM_WORLD, &receives[2]);
  int order[3] = {0, 1, 2};
  for (int round = 0; round < 36; ++round) {
    int out[3] = {10 * round, 10 * round + 1, 10 * round + 2};
    MPI_Request sends[3];
    for (const int i : order) MPI_Start(&receives[i]);
    if (round % 2) MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < 3; ++i) {
      MPI_Isend(&out[i], 1, MPI_INT, right(), 5, MPI_COMM_WORLD, &sends[i]);
    }
    MPI_Waitall(3, receives, MPI_STATUSES_IGNORE);
    MPI_Waitall(3, sends, MPI_STATUSES_IGNORE);
    for (int i = 0; i < 3; ++i) CHECK_EQ(in[order[i]], out[i]);
    std::next_permutation(order, order + 3);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  for (MPI_Request& request : receives) MPI_Request_free(&request);
}

TEST_CASE(freed_while_active) {
  for (int round = 0; round < 10; ++round) {
    const int size = round % 2 ? kLarge : 4;
    std::vector<int> out = numbers(size, round), in(out.size()), late(out.size());
    MPI_Request send, receive, other;
    MPI_Recv_init(in.data(), size, MPI_INT, left(), 1, MPI_COMM_WORLD, &receive);
    MPI_Start(&receive);
    MPI_Request_free(&receive);
    CHECK(receive == MPI_REQUEST_NULL);
    MPI_Irecv(late.data(), size, MPI_INT, left(), 1, MPI_COMM_WORLD, &other);
    for (int i = 0; i < 2; ++i) {
      MPI_Send_init(out.data(), size, MPI_INT, right(), 1, MPI_COMM_WORLD, &send);
      MPI_Start(&send);
      MPI_Request_free(&send);
      CHECK(send == MPI_REQUEST_NULL);
    }
    MPI_Wait(&other, MPI_STATUS_IGNORE);
    CHECK_EQ(late, out);
    const volatile int* last = &in.back();
    while (*last != out.back()) {
      int flag = 0;
      MPI_Iprobe(left(), 99, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
    }
    usleep(2'000);
    CHECK_EQ(in, out);
    MPI_Barrier(MPI_COMM_WORLD);  // the right neighbour has it all: the buffer is free
  }
}

TEST_CASE(cancelled_and_started_again) {
  int in = -1;
  MPI_Request receive;
  MPI_Recv_init(&in, 1, MPI_INT, left(), 1, MPI_COMM_WORLD, &receive);
  for (int round = 0; round < 20; ++round) {
    MPI_Status status;
    int cancelled = 0;
    MPI_Start(&receive);
    MPI_Cancel(&receive);
    MPI_Wait(&receive, &status);
    MPI_Test_cancelled(&status, &cancelled);
    CHECK_EQ(cancelled, 1);  // nobody has sent
    CHECK(receive != MPI_REQUEST_NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Start(&receive);
    MPI_Request send;
    MPI_Isend(&round, 1, MPI_INT, right(), 1, MPI_COMM_WORLD, &send);
    MPI_Wait(&receive, &status);
    CHECK_STATUS(status, left(), 1, MPI_INT, 1);
    CHECK_EQ(in, round);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  MPI_Request_free(&receive);
}

TEST_CASE(nobody_and_oneself) {
  int out = 0, in = -1, nothing = 42;
  std::vector<MPI_Request> requests(4);
  MPI_Send_init(&out, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &requests[0]);
  MPI_Recv_init(&nothing, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &requests[1]);
  MPI_Send_init(&out, 1, MPI_INT, comm_rank(), 1, MPI_COMM_WORLD, &requests[2]);
  MPI_Recv_init(&in, 1, MPI_INT, comm_rank(), MPI_ANY_TAG, MPI_COMM_WORLD, &requests[3]);
  for (out = 0; out < 20; ++out) {
    MPI_Status statuses[4];
    MPI_Startall(4, requests.data());
    MPI_Waitall(4, requests.data(), statuses);
    CHECK_STATUS(statuses[1], MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
    CHECK_STATUS(statuses[3], comm_rank(), 1, MPI_INT, 1);
    CHECK_EQ(in, out);
    CHECK_EQ(nothing, 42);
  }
  free_all(requests);
}

TEST_CASE(pending_for_long) {
  constexpr int kCount = 20;
  std::vector<int> in(kCount, -1), out(kCount);
  std::vector<MPI_Request> receives(kCount), sends(kCount);
  for (int i = 0; i < kCount; ++i) {
    MPI_Recv_init(&in[i], 1, MPI_INT, left(), MPI_ANY_TAG, MPI_COMM_WORLD, &receives[i]);
    MPI_Send_init(&out[i], 1, MPI_INT, right(), 100 + i, MPI_COMM_WORLD, &sends[i]);
  }
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  for (int round = 0; round < 5; ++round) {
    MPI_Startall(kCount, receives.data());
    for (int i = 0; i < 60; ++i) {
      int token = i;
      MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 0, left(), 0, comm, MPI_STATUS_IGNORE);
      CHECK_EQ(token, i);
      if (i % 3 == 0) {
        out[i / 3] = 1000 * round + i;
        MPI_Start(&sends[i / 3]);
      }
    }
    MPI_Waitall(kCount, receives.data(), MPI_STATUSES_IGNORE);
    MPI_Waitall(kCount, sends.data(), MPI_STATUSES_IGNORE);
    CHECK_EQ(in, out);
  }
  free_all(receives);
  free_all(sends);
  MPI_Comm_free(&comm);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
