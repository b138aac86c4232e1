// MPI_THREAD_MULTIPLE: threads that talk at the same time, each with its own tags or communicator.
#include <functional>
#include <mutex>
#include <thread>

#include "check.hpp"

using namespace conformance;

namespace {

constexpr int kThreads = 3;

void in_threads(const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) threads.emplace_back(body, t);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE(own_tag) {
  in_threads([](int t) {
    for (int i = 0; i < 60; ++i) {
      int token = 1000 * t + i;
      MPI_Status status;
      MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), t, left(), t, MPI_COMM_WORLD, &status);
      CHECK_EQ(token, 1000 * t + i);
      CHECK_STATUS(status, left(), t, MPI_INT, 1);
    }
  });
}

TEST_CASE(own_communicator) {
  MPI_Comm comms[kThreads];
  for (MPI_Comm& comm : comms) MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  in_threads([&](int t) {
    for (int i = 0; i < 30; ++i) {
      const int size = i % 5 == 2 ? kLarge : i;
      const std::vector<int> out = numbers(size, 100 * t + i);
      std::vector<int> in(out.size());
      MPI_Request requests[2];
      MPI_Irecv(in.data(), size, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comms[t], &requests[0]);
      MPI_Isend(out.data(), size, MPI_INT, right(), 1, comms[t], &requests[1]);
      MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
      CHECK_EQ(in, out);
      int sum = -1;
      const int one = 1;
      MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, comms[t]);
      CHECK_EQ(sum, comm_size());
    }
  });
  for (MPI_Comm& comm : comms) MPI_Comm_free(&comm);
}

TEST_CASE(communicators_made_in_every_thread) {
  MPI_Comm comms[kThreads];
  for (MPI_Comm& comm : comms) MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  std::mutex one_on_self;
  in_threads([&](int t) {
    for (int i = 0; i < 15; ++i) {
      MPI_Comm half, group_comm, self;
      MPI_Comm_split(comms[t], i % 3 == 0 ? comm_rank() % 2 : 0, 0, &half);
      int sum = -1;
      const int one = 1;
      MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, half);
      CHECK_EQ(sum, comm_size(half));
      MPI_Comm_free(&half);
      MPI_Group group;
      MPI_Comm_group(comms[t], &group);
      MPI_Comm_create_group(comms[t], group, t, &group_comm);
      MPI_Group_free(&group);
      MPI_Barrier(group_comm);
      MPI_Comm_free(&group_comm);
      {
        const std::lock_guard alone{one_on_self};
        MPI_Comm_dup(MPI_COMM_SELF, &self);
      }
      MPI_Barrier(self);
      MPI_Comm_free(&self);
    }
  });
  for (MPI_Comm& comm : comms) MPI_Comm_free(&comm);
}

TEST_CASE(waitany_in_every_thread) {
  in_threads([](int t) {
    constexpr int kCount = 20;
    for (int round = 0; round < 5; ++round) {
      std::vector<int> in(kCount, -1), out(kCount);
      std::vector<MPI_Request> requests(2 * kCount);
      for (int i = 0; i < kCount; ++i) {
        MPI_Irecv(&in[i], 1, MPI_INT, left(), kCount * t + i, MPI_COMM_WORLD, &requests[i]);
      }
      for (int i = 0; i < kCount; ++i) {
        out[i] = 1000 * t + i;
        MPI_Isend(&out[i], 1, MPI_INT, right(), kCount * t + i, MPI_COMM_WORLD,
                  &requests[kCount + i]);
      }
      for (int done = 0; done < 2 * kCount; ++done) {
        int index = -1;
        MPI_Status status;
        MPI_Waitany(2 * kCount, requests.data(), &index, &status);
        CHECK(index >= 0 && index < 2 * kCount);
        if (index < kCount) CHECK_STATUS(status, left(), kCount * t + index, MPI_INT, 1);
      }
      CHECK_EQ(in, out);
    }
  });
}

TEST_CASE(matched_probes_share_the_messages) {
  constexpr int kEach = 40;
  std::vector<int> seen(kThreads * kEach);
  std::vector<int> out(kThreads * kEach);
  std::vector<MPI_Request> sends(kThreads * kEach);
  for (int i = 0; i < kThreads * kEach; ++i) {
    out[i] = i;
    MPI_Isend(&out[i], 1, MPI_INT, right(), 1, MPI_COMM_WORLD, &sends[i]);
  }
  in_threads([&](int) {  // any thread may get any message, but each message goes to one
    int last = -1;
    for (int i = 0; i < kEach; ++i) {
      MPI_Message message;
      MPI_Status status;
      MPI_Mprobe(left(), 1, MPI_COMM_WORLD, &message, &status);
      int in = -1;
      MPI_Mrecv(&in, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
      CHECK(in > last && in < kThreads * kEach);
      last = in;
      if (in >= 0 && in < kThreads * kEach) ++seen[static_cast<std::size_t>(in)];
    }
  });
  MPI_Waitall(kThreads * kEach, sends.data(), MPI_STATUSES_IGNORE);
  CHECK_EQ(seen, std::vector<int>(kThreads * kEach, 1));
}

TEST_CASE(one_receives_what_another_sends_to_itself) {
  in_threads([](int t) {
    for (int i = 0; i < 40; ++i) {
      const int to = comm_rank();
      int in = -1;
      MPI_Request receive;
      MPI_Irecv(&in, 1, MPI_INT, to, 50 + t, MPI_COMM_WORLD, &receive);
      const int out = 100 * ((t + 1) % kThreads) + i;
      MPI_Send(&out, 1, MPI_INT, to, 50 + (t + 1) % kThreads, MPI_COMM_WORLD);
      MPI_Wait(&receive, MPI_STATUS_IGNORE);
      CHECK_EQ(in, 100 * t + i);
    }
  });
}

TEST_CASE(one_blocks_while_others_talk) {
  in_threads([](int t) {
    int in = -1;
    if (t == 0) {  // blocked until thread 1 of the left neighbour is done
      MPI_Recv(&in, 1, MPI_INT, left(), 90, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK_EQ(in, 49);
      return;
    }
    for (int i = 0; i < 50; ++i) {
      int token = i;
      MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 90 + t, left(), 90 + t, MPI_COMM_WORLD,
                           MPI_STATUS_IGNORE);
      CHECK_EQ(token, i);
      if (t == 1 && i == 49) MPI_Send(&i, 1, MPI_INT, right(), 90, MPI_COMM_WORLD);
    }
  });
}

int main(int argc, char** argv) {
  int provided = -1;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  CHECK_EQ(provided, MPI_THREAD_MULTIPLE);
  const bool passed = conformance::run_cases(argc, argv);
  MPI_Finalize();
  return passed ? 0 : 1;
}
