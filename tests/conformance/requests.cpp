// Wait, Test and their relatives: MPI-3.1 section 3.7 for active, inactive and null requests.
#include <algorithm>
#include <functional>

#include "check.hpp"

using namespace conformance;

namespace {

/// `count` receives from the left and, after them, as many sends to the right.
struct Traffic {
  int count;
  std::vector<std::vector<int>> in, out;
  std::vector<MPI_Request> requests;
  std::vector<bool> done;

  static int size(int i) { return i % 6 == 4 ? kLarge : i % 6; }

  explicit Traffic(int messages)
      : count(messages), requests(2 * static_cast<std::size_t>(messages)), done(requests.size()) {
    for (int i = 0; i < count; ++i) {
      in.emplace_back(static_cast<std::size_t>(size(i)), -1);
      MPI_Irecv(in[i].data(), size(i), MPI_INT, i % 2 ? left() : MPI_ANY_SOURCE, i, MPI_COMM_WORLD,
                &requests[i]);
    }
    for (int i = 0; i < count; ++i) {
      out.push_back(numbers(size(i), 31 * i));
      MPI_Isend(out[i].data(), size(i), MPI_INT, right(), i, MPI_COMM_WORLD, &requests[count + i]);
    }
  }
  int total() const { return 2 * count; }
  void completed(int index, const MPI_Status& status) {
    CHECK(index >= 0 && index < total());
    if (index < 0 || index >= total()) return;
    CHECK(!done[index]);
    done[index] = true;
    CHECK(requests[index] == MPI_REQUEST_NULL);
    if (index < count) CHECK_STATUS(status, left(), index, MPI_INT, size(index));
  }
  void check_all() const {
    for (const bool one : done) CHECK(one);
    for (int i = 0; i < count; ++i) CHECK_EQ(in[i], out[i]);
  }
};

/// All calls that complete lists, with a list in which nothing is active.
void complete_nothing(std::vector<MPI_Request> requests) {
  const std::vector<MPI_Request> before = requests;
  const int count = static_cast<int>(requests.size());
  std::vector<MPI_Status> statuses(requests.size() + 1);
  std::vector<int> indices(requests.size() + 1);
  const auto all_empty = [&] {
    for (int i = 0; i < count; ++i) CHECK_EMPTY(statuses[i]);
    std::memset(statuses.data(), 0x55, statuses.size() * sizeof(MPI_Status));
  };
  int index = 0, flag = 0, outcount = 0;
  MPI_Waitall(count, requests.data(), statuses.data());
  all_empty();
  MPI_Testall(count, requests.data(), &flag, statuses.data());
  CHECK_EQ(flag, 1);
  all_empty();
  MPI_Waitany(count, requests.data(), &index, &statuses[0]);
  CHECK_EQ(index, MPI_UNDEFINED);
  CHECK_EMPTY(statuses[0]);
  index = flag = 0;
  MPI_Testany(count, requests.data(), &index, &flag, &statuses[0]);
  CHECK_EQ(index, MPI_UNDEFINED);
  CHECK_EQ(flag, 1);
  CHECK_EMPTY(statuses[0]);
  MPI_Waitsome(count, requests.data(), &outcount, indices.data(), statuses.data());
  CHECK_EQ(outcount, MPI_UNDEFINED);
  outcount = 0;
  MPI_Testsome(count, requests.data(), &outcount, indices.data(), statuses.data());
  CHECK_EQ(outcount, MPI_UNDEFINED);
  MPI_Waitall(count, requests.data(), MPI_STATUSES_IGNORE);
  MPI_Testall(count, requests.data(), &flag, MPI_STATUSES_IGNORE);
  MPI_Waitany(count, requests.data(), &index, MPI_STATUS_IGNORE);
  MPI_Testany(count, requests.data(), &index, &flag, MPI_STATUS_IGNORE);
  MPI_Waitsome(count, requests.data(), &outcount, indices.data(), MPI_STATUSES_IGNORE);
  MPI_Testsome(count, requests.data(), &outcount, indices.data(), MPI_STATUSES_IGNORE);
  CHECK(requests == before);
}

std::vector<MPI_Request> inactive_requests(int* buffer) {
  std::vector<MPI_Request> requests(4);
  MPI_Send_init(buffer, 1, MPI_INT, right(), 1, MPI_COMM_WORLD, &requests[0]);
  MPI_Recv_init(buffer, 1, MPI_INT, left(), 1, MPI_COMM_WORLD, &requests[1]);
  MPI_Recv_init(buffer, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &requests[2]);
  MPI_Ssend_init(buffer, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &requests[3]);
  return requests;
}

}  // namespace

TEST_CASE(null_requests) {
  MPI_Request null = MPI_REQUEST_NULL;
  MPI_Status status;
  int flag = 0;
  MPI_Wait(&null, &status);
  CHECK_EMPTY(status);
  MPI_Test(&null, &flag, &status);
  CHECK_EQ(flag, 1);
  CHECK_EMPTY(status);
  MPI_Wait(&null, MPI_STATUS_IGNORE);
  for (const int count : {1, 2, 7}) {
    complete_nothing(std::vector<MPI_Request>(static_cast<std::size_t>(count), MPI_REQUEST_NULL));
  }
}

TEST_CASE(empty_lists) { complete_nothing({}); }

TEST_CASE(inactive_requests_count_as_null) {
  int buffer = 0;
  std::vector<MPI_Request> requests = inactive_requests(&buffer);
  for (MPI_Request& request : requests) {
    MPI_Status status;
    int flag = 0;
    MPI_Wait(&request, &status);
    CHECK_EMPTY(status);
    MPI_Test(&request, &flag, &status);
    CHECK_EQ(flag, 1);
    CHECK_EMPTY(status);
    CHECK(request != MPI_REQUEST_NULL);
  }
  complete_nothing(requests);
  requests.push_back(MPI_REQUEST_NULL);
  requests.insert(requests.begin(), MPI_REQUEST_NULL);
  complete_nothing(requests);
  for (MPI_Request& request : requests) {
    if (request != MPI_REQUEST_NULL) MPI_Request_free(&request);
    CHECK(request == MPI_REQUEST_NULL);
  }
}

TEST_CASE(active_among_null_and_inactive) {
  int buffer = 0, index = -1, flag = 0, outcount = 0, indices[6];
  std::vector<MPI_Request> requests = inactive_requests(&buffer);
  const std::vector<MPI_Request> inactive = requests;
  requests.push_back(MPI_REQUEST_NULL);
  requests.push_back(MPI_REQUEST_NULL);
  MPI_Status status, statuses[6];
  for (int form = 0; form < 6; ++form) {
    int in = -1;
    MPI_Irecv(&in, 1, MPI_INT, left(), form, MPI_COMM_WORLD, &requests[4]);
    MPI_Request send;
    MPI_Isend(&form, 1, MPI_INT, right(), form, MPI_COMM_WORLD, &send);
    switch (form) {
      case 0: MPI_Waitall(6, requests.data(), statuses); break;
      case 1:
        for (flag = 0; !flag;) MPI_Testall(6, requests.data(), &flag, statuses);
        break;
      case 2: MPI_Waitany(6, requests.data(), &index, &status); break;
      case 3:
        for (flag = 0; !flag;) MPI_Testany(6, requests.data(), &index, &flag, &status);
        break;
      case 4: MPI_Waitsome(6, requests.data(), &outcount, indices, statuses); break;
      default:
        for (outcount = 0; !outcount;) {
          MPI_Testsome(6, requests.data(), &outcount, indices, statuses);
        }
    }
    if (form < 2) {
      for (const int i : {0, 1, 2, 3, 5}) CHECK_EMPTY(statuses[i]);
      status = statuses[4];
    } else if (form < 4) {
      CHECK_EQ(index, 4);
    } else {
      CHECK_EQ(outcount, 1);
      CHECK_EQ(indices[0], 4);
      status = statuses[0];
    }
    CHECK_STATUS(status, left(), form, MPI_INT, 1);
    CHECK_EQ(in, form);
    CHECK(requests[4] == MPI_REQUEST_NULL);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(requests[i] == inactive[i]);
    MPI_Request_free(&requests[i]);
  }
}

TEST_CASE(waitall) {
  Traffic traffic(80);
  std::vector<MPI_Status> statuses(160);
  MPI_Waitall(160, traffic.requests.data(), statuses.data());
  for (int i = 0; i < 160; ++i) traffic.completed(i, statuses[i]);
  traffic.check_all();
}

TEST_CASE(waitany_returns_each_once) {
  Traffic traffic(60);
  MPI_Status status;
  int index = -1;
  for (int i = 0; i < traffic.total(); ++i) {
    MPI_Waitany(traffic.total(), traffic.requests.data(), &index, &status);
    traffic.completed(index, status);
  }
  MPI_Waitany(traffic.total(), traffic.requests.data(), &index, &status);
  CHECK_EQ(index, MPI_UNDEFINED);
  traffic.check_all();
}

TEST_CASE(testany_returns_each_once) {
  Traffic traffic(60);
  MPI_Status status;
  int index = -1, flag = 0;
  for (int done = 0; done < traffic.total();) {
    MPI_Testany(traffic.total(), traffic.requests.data(), &index, &flag, &status);
    if (!flag) {
      CHECK_EQ(index, MPI_UNDEFINED);
      continue;
    }
    traffic.completed(index, status);
    ++done;
  }
  traffic.check_all();
}

TEST_CASE(waitsome_and_testsome_return_each_once) {
  for (const bool wait : {true, false}) {
    Traffic traffic(60);
    std::vector<MPI_Status> statuses(traffic.requests.size());
    std::vector<int> indices(traffic.requests.size());
    for (int done = 0; done < traffic.total();) {
      int outcount = -1;
      (wait ? MPI_Waitsome : MPI_Testsome)(traffic.total(), traffic.requests.data(), &outcount,
                                           indices.data(), statuses.data());
      CHECK(outcount >= (wait ? 1 : 0));
      if (outcount == MPI_UNDEFINED) break;
      for (int i = 0; i < outcount; ++i) traffic.completed(indices[i], statuses[i]);
      done += outcount;
    }
    traffic.check_all();
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

TEST_CASE(testall_changes_nothing_before_all_are_done) {
  int in[2] = {-1, -1}, flag = -1;
  const int out = 5;
  MPI_Request receives[2], send;
  for (int i = 0; i < 2; ++i) {
    MPI_Irecv(&in[i], 1, MPI_INT, left(), i, MPI_COMM_WORLD, &receives[i]);
  }
  const MPI_Request before[2] = {receives[0], receives[1]};
  MPI_Send(&out, 1, MPI_INT, right(), 0, MPI_COMM_WORLD);
  for (int i = 0; i < 40; ++i) {
    MPI_Testall(2, receives, &flag, MPI_STATUSES_IGNORE);
    CHECK_EQ(flag, 0);  // nobody has sent tag 1
    CHECK(receives[0] == before[0] && receives[1] == before[1]);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Isend(&out, 1, MPI_INT, right(), 1, MPI_COMM_WORLD, &send);
  MPI_Status statuses[2];
  for (flag = 0; !flag;) MPI_Testall(2, receives, &flag, statuses);
  for (int i = 0; i < 2; ++i) {
    CHECK_STATUS(statuses[i], left(), i, MPI_INT, 1);
    CHECK(receives[i] == MPI_REQUEST_NULL);
    CHECK_EQ(in[i], 5);
  }
  MPI_Wait(&send, MPI_STATUS_IGNORE);
}

TEST_CASE(waits_in_the_opposite_order) {
  Traffic traffic(40);
  for (int i = traffic.total() - 1; i >= 0; --i) {
    MPI_Status status;
    int flag = 0;
    if (i % 2) {
      MPI_Wait(&traffic.requests[i], &status);
    } else {
      while (!flag) MPI_Test(&traffic.requests[i], &flag, &status);
    }
    traffic.completed(i, status);
  }
  traffic.check_all();
}

TEST_CASE(test_says_no_for_long) {
  int in = -1, flag = -1;
  MPI_Request request;
  MPI_Irecv(&in, 1, MPI_INT, left(), 3, MPI_COMM_WORLD, &request);
  const MPI_Request before = request;
  for (int i = 0; i < 100; ++i) {
    int token = i, index = 0, outcount = -1, got = -1;
    MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);
    MPI_Testany(1, &request, &index, &flag, MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);
    CHECK_EQ(index, MPI_UNDEFINED);
    MPI_Testsome(1, &request, &outcount, &index, MPI_STATUSES_IGNORE);
    CHECK_EQ(outcount, 0);
    CHECK(request == before);
    MPI_Sendrecv(&token, 1, MPI_INT, right(), 4, &got, 1, MPI_INT, left(), 4, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    CHECK_EQ(got, i);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  const int out = 9;
  MPI_Send(&out, 1, MPI_INT, right(), 3, MPI_COMM_WORLD);
  for (flag = 0; !flag;) MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
  CHECK_EQ(in, 9);
  CHECK(request == MPI_REQUEST_NULL);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
