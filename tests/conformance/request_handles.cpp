// What else a program may do with a request: look without freeing, free while active, go through
// Fortran's handles, mix it with generalized requests.
#include <algorithm>
#include <numeric>

#include "check.hpp"

using namespace conformance;

namespace {

/// Waits, with MPI progressing, until memory that a freed request writes to has the last value.
bool arrives(const std::vector<int>& in, const std::vector<int>& expected) {
  const volatile int* last = &in.back();
  while (*last != expected.back()) {
    int flag = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, 32'000, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
  }
  usleep(2'000);
  return in == expected;
}

struct Generalized {
  int queries = 0, frees = 0, cancels = 0;
  MPI_Request request = MPI_REQUEST_NULL;

  explicit Generalized() { MPI_Grequest_start(query, free, cancel, this, &request); }
  static int query(void* self, MPI_Status* status) {
    ++static_cast<Generalized*>(self)->queries;
    MPI_Status_set_elements(status, MPI_INT, 3);
    MPI_Status_set_cancelled(status, 0);
    status->MPI_SOURCE = 12;
    status->MPI_TAG = 34;
    return MPI_SUCCESS;
  }
  static int free(void* self) { return ++static_cast<Generalized*>(self)->frees, MPI_SUCCESS; }
  static int cancel(void* self, int) {
    return ++static_cast<Generalized*>(self)->cancels, MPI_SUCCESS;
  }
};

}  // namespace

TEST_CASE(get_status_does_not_free) {
  for (int round = 0; round < 30; ++round) {
    int in = -1, flag = -1;
    MPI_Request receive, send;
    MPI_Status status;
    MPI_Irecv(&in, 1, MPI_INT, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &receive);
    const MPI_Request before = receive;
    MPI_Request_get_status(receive, &flag, MPI_STATUS_IGNORE);
    MPI_Isend(&round, 1, MPI_INT, right(), 1, MPI_COMM_WORLD, &send);
    for (flag = 0; !flag;) MPI_Request_get_status(receive, &flag, &status);
    for (int i = 0; i < 5; ++i) {
      MPI_Request_get_status(receive, &flag, &status);
      CHECK_EQ(flag, 1);
      CHECK_STATUS(status, left(), 1, MPI_INT, 1);
      CHECK_EQ(in, round);
    }
    CHECK(receive == before);
    MPI_Wait(&receive, &status);
    CHECK_STATUS(status, left(), 1, MPI_INT, 1);
    CHECK(receive == MPI_REQUEST_NULL);
    for (flag = 0; !flag;) MPI_Request_get_status(send, &flag, MPI_STATUS_IGNORE);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

TEST_CASE(get_status_of_null_and_inactive) {
  int flag = 0, buffer = 0;
  MPI_Status status;
  MPI_Request_get_status(MPI_REQUEST_NULL, &flag, &status);
  CHECK_EQ(flag, 1);
  CHECK_EMPTY(status);
  MPI_Request inactive;
  MPI_Recv_init(&buffer, 1, MPI_INT, left(), 1, MPI_COMM_WORLD, &inactive);
  flag = 0;
  MPI_Request_get_status(inactive, &flag, &status);
  CHECK_EQ(flag, 1);
  CHECK_EMPTY(status);
  MPI_Request_free(&inactive);
}

TEST_CASE(get_status_says_no_until_sent) {
  int in = -1, flag = -1;
  MPI_Request receive;
  MPI_Irecv(&in, 1, MPI_INT, left(), 1, MPI_COMM_WORLD, &receive);
  for (int i = 0; i < 50; ++i) {
    MPI_Request_get_status(receive, &flag, MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Send(&flag, 1, MPI_INT, right(), 1, MPI_COMM_WORLD);
  MPI_Wait(&receive, MPI_STATUS_IGNORE);
  CHECK_EQ(in, 0);
}

TEST_CASE(freed_sends_arrive) {
  constexpr int kCount = 30;
  const auto size = [](int i) { return i % 5 == 3 ? kLarge : 1 + i; };
  std::vector<std::vector<int>> out;
  for (int i = 0; i < kCount; ++i) {
    out.push_back(numbers(size(i), i));
    MPI_Request request;
    (i % 2 ? MPI_Isend : MPI_Issend)(out[i].data(), size(i), MPI_INT, right(), 1, MPI_COMM_WORLD,
                                     &request);
    MPI_Request_free(&request);
    CHECK(request == MPI_REQUEST_NULL);
  }
  for (int i = 0; i < kCount; ++i) {
    std::vector<int> in(static_cast<std::size_t>(size(i)));
    MPI_Recv(in.data(), size(i), MPI_INT, left(), 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(in, numbers(size(i), i));
  }
  MPI_Barrier(MPI_COMM_WORLD);  // all have received: the buffers are free
}

TEST_CASE(freed_receives_still_receive) {
  for (int round = 0; round < 20; ++round) {
    const int size = round % 2 ? kLarge : 5;
    std::vector<int> freed(static_cast<std::size_t>(size)), kept(freed.size());
    const std::vector<int> first = numbers(size, 2 * round), second = numbers(size, 2 * round + 1);
    MPI_Request requests[4];
    MPI_Irecv(freed.data(), size, MPI_INT, left(), 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(kept.data(), size, MPI_INT, left(), 1, MPI_COMM_WORLD, &requests[1]);
    MPI_Request_free(&requests[0]);
    CHECK(requests[0] == MPI_REQUEST_NULL);
    MPI_Isend(first.data(), size, MPI_INT, right(), 1, MPI_COMM_WORLD, &requests[2]);
    MPI_Isend(second.data(), size, MPI_INT, right(), 1, MPI_COMM_WORLD, &requests[3]);
    MPI_Waitall(3, &requests[1], MPI_STATUSES_IGNORE);
    CHECK_EQ(kept, second);
    CHECK(arrives(freed, first));
  }
}

TEST_CASE(request_handles_survive_fortran) {
  int in = -1;
  const int out = comm_rank();
  MPI_Request receive, send;
  MPI_Irecv(&in, 1, MPI_INT, left(), 1, MPI_COMM_WORLD, &receive);
  const MPI_Fint handle = MPI_Request_c2f(receive);
  for (int i = 0; i < 10; ++i) {
    int flag = -1;
    MPI_Request again = MPI_Request_f2c(handle);
    CHECK(again == receive);
    MPI_Test(&again, &flag, MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Isend(&out, 1, MPI_INT, right(), 1, MPI_COMM_WORLD, &send);
  MPI_Request again = MPI_Request_f2c(handle);
  MPI_Wait(&again, MPI_STATUS_IGNORE);
  CHECK(again == MPI_REQUEST_NULL);
  CHECK_EQ(in, left());
  again = MPI_Request_f2c(MPI_Request_c2f(send));
  MPI_Wait(&again, MPI_STATUS_IGNORE);
  CHECK(MPI_Request_f2c(MPI_Request_c2f(MPI_REQUEST_NULL)) == MPI_REQUEST_NULL);
}

TEST_CASE(copied_handles_name_one_request) {
  constexpr int kCount = 30;
  std::vector<int> in(kCount), out(kCount), order(kCount);
  std::vector<MPI_Request> receives(kCount), sends(kCount), moved(kCount);
  for (int i = 0; i < kCount; ++i) {
    MPI_Irecv(&in[i], 1, MPI_INT, left(), i, MPI_COMM_WORLD, &receives[i]);
  }
  std::iota(order.begin(), order.end(), 0);
  for (int i = 0; i < kCount; ++i) order[i] = i * 7 % kCount;
  for (int i = 0; i < kCount; ++i) moved[i] = receives[order[i]];  // the handles move in memory
  for (int i = 0; i < kCount; ++i) {
    out[i] = i;
    MPI_Isend(&out[i], 1, MPI_INT, right(), i, MPI_COMM_WORLD, &sends[i]);
  }
  std::vector<MPI_Status> statuses(kCount);
  MPI_Waitall(kCount, moved.data(), statuses.data());
  MPI_Waitall(kCount, sends.data(), MPI_STATUSES_IGNORE);
  for (int i = 0; i < kCount; ++i) CHECK_STATUS(statuses[i], left(), order[i], MPI_INT, 1);
  CHECK_EQ(in, out);
}

TEST_CASE(generalized_request_alone) {
  Generalized one;
  int flag = -1;
  MPI_Test(&one.request, &flag, MPI_STATUS_IGNORE);
  CHECK_EQ(flag, 0);
  MPI_Cancel(&one.request);
  CHECK_EQ(one.cancels, 1);
  MPI_Grequest_complete(one.request);
  MPI_Status status;
  MPI_Wait(&one.request, &status);
  CHECK_STATUS(status, 12, 34, MPI_INT, 3);
  CHECK(one.request == MPI_REQUEST_NULL);
  CHECK_EQ(one.queries, 1);
  CHECK_EQ(one.frees, 1);
}

TEST_CASE(generalized_requests_among_others) {
  for (int form = 0; form < 6; ++form) {
    Generalized made[2];
    int in = -1;
    MPI_Request requests[4];
    MPI_Irecv(&in, 1, MPI_INT, left(), form, MPI_COMM_WORLD, &requests[0]);
    requests[1] = made[0].request;
    MPI_Isend(&form, 1, MPI_INT, right(), form, MPI_COMM_WORLD, &requests[2]);
    requests[3] = made[1].request;
    MPI_Status statuses[4];
    for (const Generalized& one : made) MPI_Grequest_complete(one.request);
    int flag = 0, index = 0, outcount = 0, indices[4];
    MPI_Status some[4];
    switch (form) {
      case 0: MPI_Waitall(4, requests, statuses); break;
      case 1:
        while (!flag) MPI_Testall(4, requests, &flag, statuses);
        break;
      default:
        for (int done = 0; done < 4;) {
          outcount = 1;
          if (form == 2) MPI_Waitany(4, requests, indices, some);
          if (form == 3) MPI_Testany(4, requests, indices, &outcount, some);
          if (form == 4) MPI_Waitsome(4, requests, &outcount, indices, some);
          if (form == 5) MPI_Testsome(4, requests, &outcount, indices, some);
          for (index = 0; index < outcount; ++index) statuses[indices[index]] = some[index];
          done += outcount;
        }
    }
    CHECK_STATUS(statuses[0], left(), form, MPI_INT, 1);
    CHECK_STATUS(statuses[1], 12, 34, MPI_INT, 3);
    CHECK_STATUS(statuses[3], 12, 34, MPI_INT, 3);
    CHECK_EQ(in, form);
    for (const MPI_Request request : requests) CHECK(request == MPI_REQUEST_NULL);
    for (const Generalized& one : made) CHECK_EQ(one.frees, 1);
  }
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
