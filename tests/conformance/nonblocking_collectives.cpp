// Non-blocking collectives with point-to-point traffic meanwhile; user-defined and exact
// reductions.
#include <functional>

#include "check.hpp"

using namespace conformance;

namespace {

/// Runs `start`, talks, completes the collective among other requests, then runs `verify`.
void meanwhile(const std::function<void(MPI_Request*)>& start,
               const std::function<void()>& verify) {
  for (int round = 0; round < 5; ++round) {
    const int size = round % 2 ? kLarge : 20;
    const std::vector<int> out = numbers(size, round);
    std::vector<int> in(out.size());
    MPI_Request requests[3];
    MPI_Irecv(in.data(), size, MPI_INT, round % 3 ? left() : MPI_ANY_SOURCE, 1, MPI_COMM_WORLD,
              &requests[0]);
    start(&requests[1]);
    for (int i = 0; i < 8; ++i) {
      int token = i, flag = 0;
      MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 2, left(), 2, MPI_COMM_WORLD,
                           MPI_STATUS_IGNORE);
      CHECK_EQ(token, i);
      if (i == 4) MPI_Request_get_status(requests[1], &flag, MPI_STATUS_IGNORE);
    }
    MPI_Isend(out.data(), size, MPI_INT, right(), 1, MPI_COMM_WORLD, &requests[2]);
    int index = 0, flag = 0, outcount = 0, indices[3];
    switch (round) {
      case 0: MPI_Waitall(3, requests, MPI_STATUSES_IGNORE); break;
      case 1:
        for (int i = 0; i < 3; ++i) MPI_Waitany(3, requests, &index, MPI_STATUS_IGNORE);
        break;
      case 2:
        while (!flag) MPI_Testall(3, requests, &flag, MPI_STATUSES_IGNORE);
        break;
      case 3:
        for (int done = 0; done < 3; done += outcount) {
          MPI_Waitsome(3, requests, &outcount, indices, MPI_STATUSES_IGNORE);
        }
        break;
      default:
        while (!flag) MPI_Test(&requests[1], &flag, MPI_STATUS_IGNORE);
        MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
        MPI_Wait(&requests[2], MPI_STATUS_IGNORE);
    }
    for (const MPI_Request request : requests) CHECK(request == MPI_REQUEST_NULL);
    CHECK_EQ(in, out);
    verify();
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

int ranks_sum() { return comm_size() * (comm_size() - 1) / 2; }

std::vector<int> per_rank(int fill = -1) {
  return std::vector<int>(static_cast<std::size_t>(comm_size()), fill);
}

/// Composition of x -> a x + b: associative, not commutative.
struct Affine {
  int a, b;
};

void compose(void* in, void* inout, int* length, MPI_Datatype*) {
  const Affine* first = static_cast<Affine*>(in);
  Affine* second = static_cast<Affine*>(inout);
  for (int i = 0; i < *length; ++i) {
    second[i] = {first[i].a * second[i].a, second[i].a * first[i].b + second[i].b};
  }
}

}  // namespace

TEST_CASE(ibarrier) {
  meanwhile([](MPI_Request* request) { MPI_Ibarrier(MPI_COMM_WORLD, request); }, [] {});
}

TEST_CASE(ibcast) {
  std::vector<int> data(kLarge);
  meanwhile(
      [&](MPI_Request* request) {
        data = comm_rank() == 1 ? numbers(kLarge, 1) : std::vector<int>(kLarge);
        MPI_Ibcast(data.data(), kLarge, MPI_INT, 1, MPI_COMM_WORLD, request);
      },
      [&] { CHECK_EQ(data, numbers(kLarge, 1)); });
}

TEST_CASE(iallreduce_and_ireduce) {
  const int rank = comm_rank();
  int sum = -1;
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Iallreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, request);
      },
      [&] { CHECK_EQ(sum, ranks_sum()); });
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Ireduce(&rank, &sum, 1, MPI_INT, MPI_MAX, 0, MPI_COMM_WORLD, request);
      },
      [&] { CHECK_EQ(sum, rank == 0 ? comm_size() - 1 : ranks_sum()); });
}

TEST_CASE(igather_iscatter_iallgather) {
  const int rank = comm_rank();
  std::vector<int> all = per_rank();
  int part = -1;
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Iallgather(&rank, 1, MPI_INT, all.data(), 1, MPI_INT, MPI_COMM_WORLD, request);
      },
      [&] {
        for (int i = 0; i < comm_size(); ++i) CHECK_EQ(all[i], i);
      });
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Iscatter(all.data(), 1, MPI_INT, &part, 1, MPI_INT, 0, MPI_COMM_WORLD, request);
      },
      [&] { CHECK_EQ(part, rank); });
  std::vector<int> gathered = per_rank();
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Igather(&part, 1, MPI_INT, gathered.data(), 1, MPI_INT, 0, MPI_COMM_WORLD, request);
      },
      [&] {
        if (rank == 0) CHECK_EQ(gathered, all);
      });
}

TEST_CASE(ialltoall_and_ialltoallv) {
  std::vector<int> out = per_rank(), in = per_rank(), ones = per_rank(1), places = per_rank();
  for (int i = 0; i < comm_size(); ++i) {
    out[i] = 10 * comm_rank() + i;
    places[i] = i;
  }
  const auto verify = [&] {
    for (int i = 0; i < comm_size(); ++i) CHECK_EQ(in[i], 10 * i + comm_rank());
    in = per_rank();
  };
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Ialltoall(out.data(), 1, MPI_INT, in.data(), 1, MPI_INT, MPI_COMM_WORLD, request);
      },
      verify);
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Ialltoallv(out.data(), ones.data(), places.data(), MPI_INT, in.data(), ones.data(),
                       places.data(), MPI_INT, MPI_COMM_WORLD, request);
      },
      verify);
}

TEST_CASE(iscan_iexscan_ireduce_scatter) {
  const int rank = comm_rank();
  int value = -1;
  std::vector<int> parts = per_rank(rank), ones = per_rank(1);
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Iscan(&rank, &value, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, request);
      },
      [&] { CHECK_EQ(value, rank * (rank + 1) / 2); });
  meanwhile(
      [&](MPI_Request* request) {
        value = 0;
        MPI_Iexscan(&rank, &value, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, request);
      },
      [&] {
        if (rank > 0) CHECK_EQ(value, rank * (rank - 1) / 2);
      });
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Ireduce_scatter_block(parts.data(), &value, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD,
                                  request);
      },
      [&] { CHECK_EQ(value, ranks_sum()); });
  meanwhile(
      [&](MPI_Request* request) {
        MPI_Ireduce_scatter(parts.data(), &value, ones.data(), MPI_INT, MPI_SUM, MPI_COMM_WORLD,
                            request);
      },
      [&] { CHECK_EQ(value, ranks_sum()); });
}

TEST_CASE(several_pending_at_once) {
  constexpr int kCount = 10;
  for (int round = 0; round < 5; ++round) {
    MPI_Request requests[kCount];
    int in[kCount], out[kCount], data[kCount], token = round;
    for (int i = 0; i < kCount; ++i) {
      out[i] = i + comm_rank();
      data[i] = comm_rank() == i % comm_size() ? i : -1;
      if (i % 3 == 0) MPI_Ibarrier(MPI_COMM_WORLD, &requests[i]);
      if (i % 3 == 1) {
        MPI_Iallreduce(&out[i], &in[i], 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &requests[i]);
      }
      if (i % 3 == 2) {
        MPI_Ibcast(&data[i], 1, MPI_INT, i % comm_size(), MPI_COMM_WORLD, &requests[i]);
      }
      MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), i, left(), i, MPI_COMM_WORLD,
                           MPI_STATUS_IGNORE);
      CHECK_EQ(token, round);
    }
    for (int i = kCount - 1; i >= 0; --i) MPI_Wait(&requests[i], MPI_STATUS_IGNORE);
    for (int i = 0; i < kCount; ++i) {
      if (i % 3 == 1) CHECK_EQ(in[i], i * comm_size() + ranks_sum());
      if (i % 3 == 2) CHECK_EQ(data[i], i);
    }
  }
}

TEST_CASE(user_defined_operation) {
  MPI_Datatype type;
  MPI_Op op;
  MPI_Type_contiguous(2, MPI_INT, &type);
  MPI_Type_commit(&type);
  MPI_Op_create(compose, 0, &op);
  const Affine mine = {comm_rank() % 2 ? -1 : 1, comm_rank() + 1};
  Affine expected = {1, 0};
  for (int i = 0; i < comm_size(); ++i) {
    const int a = i % 2 ? -1 : 1;
    expected = {expected.a * a, a * expected.b + i + 1};
  }
  for (int round = 0; round < 10; ++round) {
    Affine all = {}, later = {};
    MPI_Request request;
    MPI_Iallreduce(&mine, &later, 1, type, op, MPI_COMM_WORLD, &request);
    int token = round;
    MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 1, left(), 1, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
    MPI_Allreduce(&mine, &all, 1, type, op, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    CHECK_EQ(all.a, expected.a);
    CHECK_EQ(all.b, expected.b);
    CHECK_EQ(later.a, expected.a);
    CHECK_EQ(later.b, expected.b);
  }
  MPI_Op_free(&op);
  MPI_Type_free(&type);
}

TEST_CASE(the_same_sum_bit_for_bit) {
  std::vector<double> values(1000), first(1000), again(1000);
  for (int i = 0; i < 1000; ++i) values[i] = 1. / (3 + i + 1000 * comm_rank());
  MPI_Allreduce(values.data(), first.data(), 1000, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  for (int round = 0; round < 20; ++round) {
    int token = round;
    MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 1, left(), 1, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
    MPI_Allreduce(values.data(), again.data(), 1000, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    CHECK(std::memcmp(first.data(), again.data(), first.size() * sizeof(double)) == 0);
  }
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
