// Matched probes: a message that was probed is out of the reach of every other receive and probe.
#include <algorithm>

#include "check.hpp"

using namespace conformance;

namespace {

/// Iprobe's matched form until it finds something, or the blocking form.
void mprobe(bool blocking, int source, int tag, MPI_Comm comm, MPI_Message* message,
            MPI_Status* status) {
  if (blocking) {
    MPI_Mprobe(source, tag, comm, message, status);
    return;
  }
  int flag = 0;
  while (!flag) MPI_Improbe(source, tag, comm, &flag, message, status);
}

}  // namespace

TEST_CASE(mprobe_takes_the_message_away) {
  for (int round = 0; round < 40; ++round) {
    const int out[2] = {2 * round, 2 * round + 1};
    int in = -1;
    MPI_Request sends[2];
    for (int i = 0; i < 2; ++i) {
      MPI_Isend(&out[i], 1, MPI_INT, right(), 4, MPI_COMM_WORLD, &sends[i]);
    }
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    mprobe(round % 2, left(), 4, MPI_COMM_WORLD, &message, &status);
    CHECK_STATUS(status, left(), 4, MPI_INT, 1);
    CHECK(message != MPI_MESSAGE_NULL);
    MPI_Recv(&in, 1, MPI_INT, left(), 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(in, 2 * round + 1);
    MPI_Mrecv(&in, 1, MPI_INT, &message, &status);
    CHECK_STATUS(status, left(), 4, MPI_INT, 1);
    CHECK(message == MPI_MESSAGE_NULL);
    CHECK_EQ(in, 2 * round);
    MPI_Waitall(2, sends, MPI_STATUSES_IGNORE);
  }
}

TEST_CASE(a_held_message_is_not_probed_again) {
  const int out = comm_rank();
  int in = -1, flag = -1;
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Request send;
  MPI_Isend(&out, 1, MPI_INT, right(), 4, comm, &send);
  MPI_Message message, other;
  MPI_Mprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &message, MPI_STATUS_IGNORE);
  for (int i = 0; i < 20; ++i) {
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &flag, MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);
    MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &flag, &other, MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);
  }
  MPI_Mrecv(&in, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
  CHECK_EQ(in, left());
  MPI_Wait(&send, MPI_STATUS_IGNORE);
  MPI_Comm_free(&comm);
}

TEST_CASE(many_messages_held_and_received_backwards) {
  constexpr int kCount = 40;
  const auto size = [](int i) { return i % 5 == 2 ? kLarge : i % 5 == 4 ? 0 : i + 1; };
  std::vector<std::vector<int>> out;
  std::vector<MPI_Request> sends(kCount);
  for (int i = 0; i < kCount; ++i) {
    out.push_back(numbers(size(i), i));
    MPI_Isend(out.back().data(), size(i), MPI_INT, right(), i % 2, MPI_COMM_WORLD, &sends[i]);
  }
  std::vector<MPI_Message> held(kCount);
  for (int i = 0; i < kCount; ++i) {
    MPI_Status status;
    mprobe(i % 3, i % 2 ? left() : MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &held[i], &status);
    CHECK_STATUS(status, left(), i % 2, MPI_INT, size(i));
  }
  MPI_Barrier(MPI_COMM_WORLD);  // an epoch may pass while they are held
  for (int i = kCount - 1; i >= 0; --i) {
    std::vector<int> in(static_cast<std::size_t>(size(i)));
    MPI_Status status;
    MPI_Mrecv(in.data(), size(i), MPI_INT, &held[i], &status);
    CHECK_STATUS(status, left(), i % 2, MPI_INT, size(i));
    CHECK_EQ(in, numbers(size(i), i));
  }
  MPI_Waitall(kCount, sends.data(), MPI_STATUSES_IGNORE);
}

TEST_CASE(imrecv_requests_among_others) {
  constexpr int kCount = 20;
  std::vector<std::vector<int>> out, in(2 * kCount, std::vector<int>(kLarge));
  std::vector<MPI_Request> requests(2 * kCount), sends(2 * kCount);
  for (int i = 0; i < kCount; ++i) {
    MPI_Irecv(in[i].data(), kLarge, MPI_INT, left(), 1, MPI_COMM_WORLD, &requests[i]);
  }
  for (int i = 0; i < 2 * kCount; ++i) {
    out.push_back(numbers(i % 3 ? 50 : kLarge, i));
    MPI_Isend(out[i].data(), static_cast<int>(out[i].size()), MPI_INT, right(), i / kCount ? 2 : 1,
              MPI_COMM_WORLD, &sends[i]);
  }
  for (int i = kCount; i < 2 * kCount; ++i) {
    MPI_Message message;
    MPI_Mprobe(left(), 2, MPI_COMM_WORLD, &message, MPI_STATUS_IGNORE);
    MPI_Imrecv(in[i].data(), kLarge, MPI_INT, &message, &requests[i]);
    CHECK(message == MPI_MESSAGE_NULL);
  }
  std::vector<MPI_Status> statuses(2 * kCount);
  MPI_Waitall(2 * kCount, requests.data(), statuses.data());
  for (int i = 0; i < 2 * kCount; ++i) {
    CHECK_STATUS(statuses[i], left(), i / kCount ? 2 : 1, MPI_INT, i % 3 ? 50 : kLarge);
    in[i].resize(i % 3 ? 50 : kLarge);
    CHECK_EQ(in[i], numbers(i % 3 ? 50 : kLarge, i));
  }
  MPI_Waitall(2 * kCount, sends.data(), MPI_STATUSES_IGNORE);
}

TEST_CASE(mprobe_from_everybody) {
  constexpr int kEach = 30;
  const int ranks = comm_size(), total = kEach * ranks;
  std::vector<int> out(static_cast<std::size_t>(total)), next(static_cast<std::size_t>(ranks));
  std::vector<MPI_Request> sends;
  for (int i = 0; i < kEach; ++i) {
    for (int to = 0; to < ranks; ++to) {
      out[i * ranks + to] = i;
      sends.emplace_back();
      MPI_Isend(&out[i * ranks + to], 1, MPI_INT, to, i, MPI_COMM_WORLD, &sends.back());
    }
  }
  for (int i = 0; i < total; ++i) {
    MPI_Message message;
    MPI_Status probed, received;
    mprobe(i % 2, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &message, &probed);
    int in = -1;
    MPI_Mrecv(&in, 1, MPI_INT, &message, &received);
    CHECK_EQ(in, next[static_cast<std::size_t>(probed.MPI_SOURCE)]++);
    CHECK_STATUS(received, probed.MPI_SOURCE, in, MPI_INT, 1);
  }
  MPI_Waitall(total, sends.data(), MPI_STATUSES_IGNORE);
}

TEST_CASE(a_pending_receive_comes_before_an_mprobe) {
  for (int round = 0; round < 30; ++round) {
    int pending = -1, in = -1;
    const int out[2] = {round, -round};
    MPI_Request receive, sends[2];
    MPI_Irecv(&pending, 1, MPI_INT, left(), MPI_ANY_TAG, MPI_COMM_WORLD, &receive);
    for (int i = 0; i < 2; ++i) {
      MPI_Isend(&out[i], 1, MPI_INT, right(), 6, MPI_COMM_WORLD, &sends[i]);
    }
    MPI_Message message;
    mprobe(round % 2, left(), 6, MPI_COMM_WORLD, &message, MPI_STATUS_IGNORE);
    MPI_Mrecv(&in, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
    MPI_Wait(&receive, MPI_STATUS_IGNORE);
    CHECK_EQ(pending, round);
    CHECK_EQ(in, -round);
    MPI_Waitall(2, sends, MPI_STATUSES_IGNORE);
  }
}

TEST_CASE(mprobe_of_a_message_to_oneself) {
  const std::vector<int> out = numbers(kLarge, comm_rank());
  std::vector<int> in(kLarge);
  MPI_Request send;
  MPI_Isend(out.data(), kLarge, MPI_INT, comm_rank(), 1, MPI_COMM_WORLD, &send);
  MPI_Message message;
  MPI_Status status;
  MPI_Mprobe(comm_rank(), 1, MPI_COMM_WORLD, &message, &status);
  CHECK_STATUS(status, comm_rank(), 1, MPI_INT, kLarge);
  MPI_Request receive;
  MPI_Imrecv(in.data(), kLarge, MPI_INT, &message, &receive);
  MPI_Wait(&receive, &status);
  CHECK_STATUS(status, comm_rank(), 1, MPI_INT, kLarge);
  MPI_Wait(&send, MPI_STATUS_IGNORE);
  CHECK_EQ(in, out);
}

TEST_CASE(mprobe_of_nobody) {
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status;
  int flag = 0, in = 42;
  MPI_Mprobe(MPI_PROC_NULL, 1, MPI_COMM_WORLD, &message, &status);
  CHECK_STATUS(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  CHECK(message == MPI_MESSAGE_NO_PROC);
  MPI_Mrecv(&in, 1, MPI_INT, &message, &status);
  CHECK_STATUS(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  CHECK(message == MPI_MESSAGE_NULL);
  MPI_Improbe(MPI_PROC_NULL, 1, MPI_COMM_WORLD, &flag, &message, &status);
  CHECK_EQ(flag, 1);
  CHECK(message == MPI_MESSAGE_NO_PROC);
  MPI_Request request;
  MPI_Imrecv(&in, 1, MPI_INT, &message, &request);
  CHECK(message == MPI_MESSAGE_NULL);
  MPI_Wait(&request, &status);
  CHECK_STATUS(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  CHECK_EQ(in, 42);
}

TEST_CASE(improbe_says_no_when_there_is_nothing) {
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Message message = MPI_MESSAGE_NULL;
  for (int i = 0; i < 30; ++i) {
    int flag = -1;
    MPI_Improbe(i % 2 ? left() : MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &flag, &message,
                MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);
  }
  MPI_Comm_free(&comm);
}

TEST_CASE(message_handles_survive_fortran) {
  const int out = 77 + comm_rank();
  int in = -1;
  MPI_Request send;
  MPI_Isend(&out, 1, MPI_INT, right(), 2, MPI_COMM_WORLD, &send);
  MPI_Message message;
  MPI_Mprobe(left(), 2, MPI_COMM_WORLD, &message, MPI_STATUS_IGNORE);
  MPI_Message again = MPI_Message_f2c(MPI_Message_c2f(message));
  MPI_Mrecv(&in, 1, MPI_INT, &again, MPI_STATUS_IGNORE);
  CHECK_EQ(in, 77 + left());
  CHECK(MPI_Message_f2c(MPI_Message_c2f(MPI_MESSAGE_NULL)) == MPI_MESSAGE_NULL);
  CHECK(MPI_Message_f2c(MPI_Message_c2f(MPI_MESSAGE_NO_PROC)) == MPI_MESSAGE_NO_PROC);
  MPI_Wait(&send, MPI_STATUS_IGNORE);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
