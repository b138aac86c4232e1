// Buffered, ready and synchronous sends, Sendrecv, and the corners of point-to-point: nobody,
// oneself, nothing, the largest tag, large messages.
#include <algorithm>

#include "check.hpp"

using namespace conformance;

TEST_CASE(bsend_returns_without_a_receive) {
  constexpr int kCount = 20;
  const auto size = [](int i) { return i % 5 == 3 ? kLarge : i; };
  std::size_t bytes = 0;
  for (int i = 0; i < kCount; ++i) {
    bytes += static_cast<std::size_t>(size(i)) * sizeof(int) + MPI_BSEND_OVERHEAD + 64;
  }
  std::vector<char> buffer(bytes);
  for (int round = 0; round < 4; ++round) {
    MPI_Buffer_attach(buffer.data(), static_cast<int>(bytes));
    for (int i = 0; i < kCount; ++i) {
      std::vector<int> out = numbers(size(i), i + round);
      if (i % 2) {
        MPI_Bsend(out.data(), size(i), MPI_INT, right(), i % 3, MPI_COMM_WORLD);
      } else {
        MPI_Request request;
        MPI_Ibsend(out.data(), size(i), MPI_INT, right(), i % 3, MPI_COMM_WORLD, &request);
        MPI_Wait(&request, MPI_STATUS_IGNORE);  // local
      }
      std::fill(out.begin(), out.end(), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < kCount; ++i) {
      std::vector<int> in(static_cast<std::size_t>(size(i)));
      MPI_Recv(in.data(), size(i), MPI_INT, left(), i % 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      CHECK_EQ(in, numbers(size(i), i + round));
    }
    void* attached = nullptr;
    int attached_bytes = 0;
    MPI_Buffer_detach(&attached, &attached_bytes);
    CHECK(attached == buffer.data());
    CHECK_EQ(attached_bytes, bytes);
  }
}

TEST_CASE(detach_waits_for_what_is_buffered) {
  for (const int size : {5, kLarge}) {
    std::vector<char> buffer(static_cast<std::size_t>(size) * sizeof(int) + MPI_BSEND_OVERHEAD);
    std::vector<int> in(static_cast<std::size_t>(size));
    MPI_Request receive;
    MPI_Irecv(in.data(), size, MPI_INT, left(), 1, MPI_COMM_WORLD, &receive);
    MPI_Buffer_attach(buffer.data(), static_cast<int>(buffer.size()));
    MPI_Bsend(numbers(size, 3).data(), size, MPI_INT, right(), 1, MPI_COMM_WORLD);
    void* attached = nullptr;
    int bytes = 0;
    MPI_Buffer_detach(&attached, &bytes);
    std::fill(buffer.begin(), buffer.end(), '\0');
    MPI_Wait(&receive, MPI_STATUS_IGNORE);
    CHECK_EQ(in, numbers(size, 3));
  }
}

TEST_CASE(ready_sends) {
  for (int round = 0; round < 20; ++round) {
    const int size = round % 4 ? round : kLarge;
    const std::vector<int> out = numbers(size, round);
    std::vector<int> in[2] = {std::vector<int>(out.size()), std::vector<int>(out.size())};
    MPI_Request receives[2], send;
    for (int i = 0; i < 2; ++i) {
      MPI_Irecv(in[i].data(), size, MPI_INT, i ? MPI_ANY_SOURCE : left(), i, MPI_COMM_WORLD,
                &receives[i]);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Irsend(out.data(), size, MPI_INT, right(), 1, MPI_COMM_WORLD, &send);
    MPI_Rsend(out.data(), size, MPI_INT, right(), 0, MPI_COMM_WORLD);
    MPI_Waitall(2, receives, MPI_STATUSES_IGNORE);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    CHECK_EQ(in[0], out);
    CHECK_EQ(in[1], out);
  }
}

TEST_CASE(synchronous_sends) {
  for (int round = 0; round < 20; ++round) {
    const int size = round % 4 ? round : kLarge;
    const std::vector<int> out = numbers(size, round);
    std::vector<int> in(out.size());
    MPI_Request send;
    MPI_Issend(out.data(), size, MPI_INT, right(), 1, MPI_COMM_WORLD, &send);
    MPI_Recv(in.data(), size, MPI_INT, left(), 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(in, out);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Request receive;
    std::fill(in.begin(), in.end(), 0);
    MPI_Irecv(in.data(), size, MPI_INT, left(), 1, MPI_COMM_WORLD, &receive);
    MPI_Ssend(out.data(), size, MPI_INT, right(), 1, MPI_COMM_WORLD);
    MPI_Wait(&receive, MPI_STATUS_IGNORE);
    CHECK_EQ(in, out);
  }
}

TEST_CASE(sendrecv_in_all_directions) {
  for (int round = 0; round < 30; ++round) {
    const int size = round % 5 ? round : kLarge;
    const std::vector<int> out = numbers(size, 7 * comm_rank() + round);
    std::vector<int> in(out.size() + 1);
    MPI_Status status;
    const bool wild = round % 2;
    MPI_Sendrecv(out.data(), size, MPI_INT, right(), round, in.data(), size + 1, MPI_INT,
                 wild ? MPI_ANY_SOURCE : left(), wild ? round : MPI_ANY_TAG, MPI_COMM_WORLD,
                 &status);
    CHECK_STATUS(status, left(), round, MPI_INT, size);
    in.pop_back();
    CHECK_EQ(in, numbers(size, 7 * left() + round));
    in.resize(out.size() + 1);
    MPI_Sendrecv(out.data(), size, MPI_INT, comm_rank(), 1, in.data(), size, MPI_INT, comm_rank(),
                 1, MPI_COMM_WORLD, &status);
    CHECK_STATUS(status, comm_rank(), 1, MPI_INT, size);
  }
}

TEST_CASE(sendrecv_with_other_calls_on_the_other_side) {
  for (int round = 0; round < 20; ++round) {
    const int size = round % 4 ? 3 : kLarge, partner = comm_rank() ^ 1;
    if (partner >= comm_size()) continue;
    const std::vector<int> out = numbers(size, comm_rank() + round);
    std::vector<int> in(out.size());
    if (comm_rank() % 2) {
      MPI_Sendrecv(out.data(), size, MPI_INT, partner, 1, in.data(), size, MPI_INT, partner, 2,
                   MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
      MPI_Recv(in.data(), size, MPI_INT, partner, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(out.data(), size, MPI_INT, partner, 2, MPI_COMM_WORLD);
    }
    CHECK_EQ(in, numbers(size, partner + round));
  }
}

TEST_CASE(sendrecv_replace) {
  MPI_Datatype column;
  MPI_Type_vector(100, 1, 3, MPI_INT, &column);
  MPI_Type_commit(&column);
  for (int round = 0; round < 30; ++round) {
    const int size = round % 5 ? 3 * round : 4 * kLarge;
    MPI_Status status;
    std::vector<int> data = numbers(size, 9 * comm_rank() + round);
    MPI_Sendrecv_replace(data.data(), size, MPI_INT, right(), 4, left(), 4, MPI_COMM_WORLD,
                         &status);
    CHECK_STATUS(status, left(), 4, MPI_INT, size);
    CHECK_EQ(data, numbers(size, 9 * left() + round));
    MPI_Sendrecv_replace(data.data(), size, MPI_INT, left(), 5, MPI_ANY_SOURCE, 5, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
    CHECK_EQ(data, numbers(size, 9 * comm_rank() + round));  // back again
    std::vector<int> table = numbers(300, comm_rank()), expected = table;
    for (int i = 0; i < 300; i += 3) expected[i] = numbers(300, left())[i];
    MPI_Sendrecv_replace(table.data(), 1, column, right(), 6, left(), MPI_ANY_TAG, MPI_COMM_WORLD,
                         &status);
    CHECK_STATUS(status, left(), 6, column, 1);
    CHECK_EQ(table, expected);
    MPI_Sendrecv_replace(table.data(), 1, column, comm_rank(), 7, comm_rank(), 7, MPI_COMM_WORLD,
                         &status);
    CHECK_EQ(table, expected);
  }
  MPI_Type_free(&column);
}

TEST_CASE(nobody) {
  int data = 42, flag = 0;
  MPI_Status status;
  MPI_Request requests[2];
  MPI_Send(&data, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD);
  MPI_Ssend(&data, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD);
  MPI_Rsend(&data, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD);
  MPI_Bsend(&data, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD);
  MPI_Recv(&data, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &status);
  CHECK_STATUS(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  MPI_Irecv(&data, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &requests[0]);
  MPI_Issend(&data, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &requests[1]);
  MPI_Test(&requests[0], &flag, &status);
  CHECK_EQ(flag, 1);
  CHECK_STATUS(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
  MPI_Sendrecv_replace(&data, 1, MPI_INT, MPI_PROC_NULL, 1, MPI_PROC_NULL, 1, MPI_COMM_WORLD,
                       &status);
  CHECK_STATUS(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
  CHECK_EQ(data, 42);
  // A chain: the ends have nobody on one side.
  const int rank = comm_rank(), last = comm_size() - 1;
  for (int i = 0; i < 20; ++i) {
    int in = -1;
    MPI_Sendrecv(&i, 1, MPI_INT, rank == last ? MPI_PROC_NULL : rank + 1, 1, &in, 1, MPI_INT,
                 rank == 0 ? MPI_PROC_NULL : rank - 1, 1, MPI_COMM_WORLD, &status);
    CHECK_EQ(in, rank == 0 ? -1 : i);
    CHECK_EQ(status.MPI_SOURCE, rank == 0 ? MPI_PROC_NULL : rank - 1);
  }
}

TEST_CASE(nothing_is_still_a_message) {
  for (int i = 0; i < 40; ++i) {
    MPI_Request send;
    MPI_Status status;
    MPI_Isend(nullptr, 0, MPI_INT, right(), i, MPI_COMM_WORLD, &send);
    if (i % 2) MPI_Probe(left(), i, MPI_COMM_WORLD, &status);
    if (i % 2) CHECK_STATUS(status, left(), i, MPI_INT, 0);
    MPI_Recv(nullptr, 0, MPI_DOUBLE, left(), MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    CHECK_STATUS(status, left(), i, MPI_DOUBLE, 0);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
  }
}

TEST_CASE(the_largest_tag) {
  int* bound = nullptr;
  int flag = 0;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &bound, &flag);
  CHECK(flag && *bound >= 32'767);
  for (const int tag : {0, 32'767, *bound}) {
    int in = -1;
    MPI_Request receive;
    MPI_Status status;
    MPI_Irecv(&in, 1, MPI_INT, left(), tag ? tag : MPI_ANY_TAG, MPI_COMM_WORLD, &receive);
    MPI_Send(&tag, 1, MPI_INT, right(), tag, MPI_COMM_WORLD);
    MPI_Wait(&receive, &status);
    CHECK_STATUS(status, left(), tag, MPI_INT, 1);
    CHECK_EQ(in, tag);
  }
}

TEST_CASE(oneself) {
  constexpr int kCount = 30;
  const auto size = [](int i) { return i % 4 == 1 ? kLarge : i; };
  std::vector<std::vector<int>> in(kCount), out(kCount);
  std::vector<MPI_Request> requests(2 * kCount);
  for (int i = 0; i < 2 * kCount; ++i) {
    const int k = i / 2;  // receives first for one half of them, sends first for the other
    if ((i + (k < kCount / 2)) % 2) {
      in[k].resize(static_cast<std::size_t>(size(k)));
      MPI_Irecv(in[k].data(), size(k), MPI_INT, k % 2 ? comm_rank() : MPI_ANY_SOURCE, 1,
                MPI_COMM_WORLD, &requests[i]);
    } else {
      out[k] = numbers(size(k), k);
      MPI_Isend(out[k].data(), size(k), MPI_INT, comm_rank(), 1, MPI_COMM_WORLD, &requests[i]);
    }
  }
  MPI_Waitall(2 * kCount, requests.data(), MPI_STATUSES_IGNORE);
  for (int i = 0; i < kCount; ++i) CHECK_EQ(in[i], out[i]);
}

TEST_CASE(large_messages_in_both_directions) {
  constexpr int kHuge = 2'000'000;
  const std::vector<int> out = numbers(kHuge, comm_rank());
  std::vector<int> from_left(kHuge), from_right(kHuge);
  MPI_Request requests[4];
  MPI_Irecv(from_left.data(), kHuge, MPI_INT, left(), 1, MPI_COMM_WORLD, &requests[0]);
  MPI_Isend(out.data(), kHuge, MPI_INT, right(), 1, MPI_COMM_WORLD, &requests[1]);
  MPI_Isend(out.data(), kHuge, MPI_INT, left(), 2, MPI_COMM_WORLD, &requests[2]);
  for (int i = 0; i < 20; ++i) {
    int token = i;
    MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 0, left(), 0, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
  }
  MPI_Irecv(from_right.data(), kHuge, MPI_INT, right(), 2, MPI_COMM_WORLD, &requests[3]);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  CHECK_EQ(from_left, numbers(kHuge, left()));
  CHECK_EQ(from_right, numbers(kHuge, right()));
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
