// Cancelling: MPI-3.1 section 3.8.4. Either it succeeds and the receive never was, or it receives.
#include "check.hpp"

using namespace conformance;

namespace {

bool was_cancelled(const MPI_Status& status) {
  int cancelled = -1;
  MPI_Test_cancelled(&status, &cancelled);
  CHECK(cancelled == 0 || cancelled == 1);
  return cancelled;
}

}  // namespace

TEST_CASE(a_receive_without_a_message_is_cancelled) {
  int in = 42, flag = 0, index = -1, outcount = 0;
  for (int form = 0; form < 8; ++form) {
    MPI_Request request;
    MPI_Status status;
    MPI_Irecv(&in, 1, MPI_INT, form % 2 ? left() : MPI_ANY_SOURCE, form % 3 ? 5 : MPI_ANY_TAG,
              MPI_COMM_WORLD, &request);
    MPI_Cancel(&request);
    CHECK(request != MPI_REQUEST_NULL);
    switch (form) {
      case 0: MPI_Wait(&request, &status); break;
      case 1:
        for (flag = 0; !flag;) MPI_Test(&request, &flag, &status);
        break;
      case 2: MPI_Waitall(1, &request, &status); break;
      case 3: MPI_Waitany(1, &request, &index, &status); break;
      case 4: MPI_Waitsome(1, &request, &outcount, &index, &status); break;
      case 5:
        for (outcount = 0; !outcount;) MPI_Testsome(1, &request, &outcount, &index, &status);
        break;
      case 6:
        for (flag = 0; !flag;) MPI_Testany(1, &request, &index, &flag, &status);
        break;
      default:
        for (flag = 0; !flag;) MPI_Request_get_status(request, &flag, &status);
        CHECK(was_cancelled(status));
        MPI_Wait(&request, &status);
    }
    CHECK(was_cancelled(status));
    CHECK(request == MPI_REQUEST_NULL);
    CHECK_EQ(in, 42);
  }
}

TEST_CASE(a_cancelled_receive_never_was) {
  for (int round = 0; round < 30; ++round) {
    int cancelled = -1, kept = -1;
    MPI_Request requests[2];
    MPI_Status status;
    MPI_Irecv(&cancelled, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&kept, 1, MPI_INT, left(), 5, MPI_COMM_WORLD, &requests[1]);
    MPI_Cancel(&requests[0]);
    MPI_Wait(&requests[0], &status);
    CHECK(was_cancelled(status));
    MPI_Barrier(MPI_COMM_WORLD);  // only now somebody sends
    MPI_Send(&round, 1, MPI_INT, right(), 5, MPI_COMM_WORLD);
    MPI_Wait(&requests[1], &status);
    CHECK_STATUS(status, left(), 5, MPI_INT, 1);
    CHECK_EQ(kept, round);
    CHECK_EQ(cancelled, -1);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

TEST_CASE(a_completed_receive_is_not_cancelled) {
  for (int round = 0; round < 30; ++round) {
    const int size = round % 3 ? 2 : kLarge;
    const std::vector<int> out = numbers(size, round);
    std::vector<int> in(static_cast<std::size_t>(size));
    MPI_Request receive, send;
    MPI_Status status;
    int flag = 0;
    MPI_Irecv(in.data(), size, MPI_INT, left(), 5, MPI_COMM_WORLD, &receive);
    MPI_Isend(out.data(), size, MPI_INT, right(), 5, MPI_COMM_WORLD, &send);
    while (!flag) MPI_Request_get_status(receive, &flag, MPI_STATUS_IGNORE);
    MPI_Cancel(&receive);
    MPI_Wait(&receive, &status);
    CHECK_STATUS(status, left(), 5, MPI_INT, size);
    CHECK_EQ(in, out);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
  }
}

TEST_CASE(cancelling_races_with_a_message) {
  for (int round = 0; round < 60; ++round) {
    const int size = round % 4 == 3 ? kLarge : 2;
    const std::vector<int> out = numbers(size, round);
    std::vector<int> first(out.size(), -1), second(out.size(), -1);
    MPI_Request receive, send;
    MPI_Status status;
    MPI_Irecv(first.data(), size, MPI_INT, round % 2 ? left() : MPI_ANY_SOURCE, 5, MPI_COMM_WORLD,
              &receive);
    MPI_Isend(out.data(), size, MPI_INT, right(), 5, MPI_COMM_WORLD, &send);
    for (int i = 0; i < round % 7; ++i) {
      int flag = 0;
      MPI_Iprobe(left(), 9, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
    }
    MPI_Cancel(&receive);
    MPI_Wait(&receive, &status);
    if (was_cancelled(status)) {
      CHECK_EQ(first, std::vector<int>(out.size(), -1));
      MPI_Recv(second.data(), size, MPI_INT, left(), 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK_EQ(second, out);
    } else {
      CHECK_STATUS(status, left(), 5, MPI_INT, size);
      CHECK_EQ(first, out);
    }
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

TEST_CASE(every_second_of_many) {
  constexpr int kCount = 80;
  for (const bool forward : {true, false}) {
    std::vector<int> in(kCount, -1), out(kCount);
    std::vector<MPI_Request> receives(kCount), sends(kCount, MPI_REQUEST_NULL);
    for (int i = 0; i < kCount; ++i) {
      MPI_Irecv(&in[i], 1, MPI_INT, i % 3 ? left() : MPI_ANY_SOURCE, 5, MPI_COMM_WORLD,
                &receives[i]);
    }
    for (int i = 0; i < kCount; i += 2) {
      MPI_Cancel(&receives[forward ? i : kCount - 2 - i]);
    }
    std::vector<MPI_Status> statuses(kCount);
    for (int i = 0; i < kCount; i += 2) MPI_Wait(&receives[i], &statuses[i]);
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 1; i < kCount; i += 2) {
      out[i] = i;
      MPI_Isend(&out[i], 1, MPI_INT, right(), 5, MPI_COMM_WORLD, &sends[i]);
    }
    for (int i = 1; i < kCount; i += 2) MPI_Wait(&receives[i], &statuses[i]);
    for (int i = 0; i < kCount; ++i) {
      CHECK_EQ(was_cancelled(statuses[i]), i % 2 == 0);
      CHECK_EQ(in[i], i % 2 ? i : -1);
    }
    MPI_Waitall(kCount, sends.data(), MPI_STATUSES_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

TEST_CASE(cancelled_and_not_in_one_waitall) {
  constexpr int kCount = 20;
  std::vector<int> in(kCount, -1), out(kCount);
  std::vector<MPI_Request> receives(kCount), sends(kCount, MPI_REQUEST_NULL);
  std::vector<MPI_Status> statuses(kCount);
  for (int i = 0; i < kCount; ++i) {
    MPI_Irecv(&in[i], 1, MPI_INT, left(), i, MPI_COMM_WORLD, &receives[i]);
  }
  for (int i = 0; i < kCount; ++i) {
    out[i] = i;
    if (i % 3 == 1) {
      MPI_Cancel(&receives[i]);
    } else {
      MPI_Isend(&out[i], 1, MPI_INT, right(), i, MPI_COMM_WORLD, &sends[i]);
    }
  }
  MPI_Waitall(kCount, receives.data(), statuses.data());
  MPI_Waitall(kCount, sends.data(), MPI_STATUSES_IGNORE);
  for (int i = 0; i < kCount; ++i) {
    CHECK_EQ(was_cancelled(statuses[i]), i % 3 == 1);
    if (i % 3 != 1) CHECK_STATUS(statuses[i], left(), i, MPI_INT, 1);
    CHECK_EQ(in[i], i % 3 == 1 ? -1 : i);
  }
}

TEST_CASE(cancelled_and_freed) {
  static int nowhere[20];
  for (int& place : nowhere) {
    MPI_Request request;
    MPI_Irecv(&place, 1, MPI_INT, left(), 7, MPI_COMM_WORLD, &request);
    MPI_Cancel(&request);
    MPI_Request_free(&request);
    CHECK(request == MPI_REQUEST_NULL);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  int in = -1;
  const int out = 8;
  MPI_Request send;
  MPI_Isend(&out, 1, MPI_INT, right(), 7, MPI_COMM_WORLD, &send);
  MPI_Recv(&in, 1, MPI_INT, left(), 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  CHECK_EQ(in, 8);
  MPI_Wait(&send, MPI_STATUS_IGNORE);
}

TEST_CASE(cancelling_persistent_receives) {
  constexpr int kCount = 6;
  int in[kCount] = {};
  MPI_Request requests[kCount];
  for (int i = 0; i < kCount; ++i) {
    MPI_Recv_init(&in[i], 1, MPI_INT, left(), i, MPI_COMM_WORLD, &requests[i]);
  }
  for (int round = 0; round < 12; ++round) {
    MPI_Startall(kCount, requests);
    const int victim = round % kCount;
    MPI_Cancel(&requests[victim]);
    MPI_Request sends[kCount];
    for (int i = 0; i < kCount; ++i) {
      MPI_Isend(&round, 1, MPI_INT, i == victim ? MPI_PROC_NULL : right(), i, MPI_COMM_WORLD,
                &sends[i]);
    }
    MPI_Status statuses[kCount];
    MPI_Waitall(kCount, requests, statuses);
    MPI_Waitall(kCount, sends, MPI_STATUSES_IGNORE);
    for (int i = 0; i < kCount; ++i) {
      CHECK_EQ(was_cancelled(statuses[i]), i == victim);
      if (i != victim) CHECK_EQ(in[i], round);
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }
  for (MPI_Request& request : requests) MPI_Request_free(&request);
}

TEST_CASE(a_send_is_cancelled_or_arrives) {
  for (int round = 0; round < 20; ++round) {
    const int size = round % 2 ? kLarge : 1;
    const std::vector<int> out = numbers(size, round);
    std::vector<int> in(out.size());
    MPI_Request send;
    MPI_Status status;
    MPI_Isend(out.data(), size, MPI_INT, right(), 5, MPI_COMM_WORLD, &send);
    MPI_Cancel(&send);
    // Rendezvous: when it is not cancelled, this needs the receive of the other side below.
    MPI_Request receive;
    MPI_Irecv(in.data(), size, MPI_INT, left(), 5, MPI_COMM_WORLD, &receive);
    MPI_Wait(&send, &status);
    int gone = was_cancelled(status), comes_not = 0;
    MPI_Sendrecv(&gone, 1, MPI_INT, right(), 6, &comes_not, 1, MPI_INT, left(), 6, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    if (comes_not) MPI_Cancel(&receive);
    MPI_Wait(&receive, &status);
    CHECK_EQ(was_cancelled(status), comes_not == 1);
    if (!comes_not) CHECK_EQ(in, out);
  }
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
