// Making, comparing and freeing communicators, with messages on the way: MPI-3.1 sections 6.3, 6.4.
#include <algorithm>

#include "check.hpp"

using namespace conformance;

namespace {

/// One message around the ring of `comm`, received with wildcards; its own group's ranks.
void talk(MPI_Comm comm, int mark) {
  if (comm == MPI_COMM_NULL) return;
  const int rank = comm_rank(comm), size = comm_size(comm);
  const int to = (rank + 1) % size, from = (rank + size - 1) % size;
  int in[2] = {-1, -1};
  const int out[2] = {mark, rank};
  MPI_Request requests[2];
  MPI_Status statuses[2];
  MPI_Irecv(in, 2, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &requests[0]);
  MPI_Isend(out, 2, MPI_INT, to, mark % 100, comm, &requests[1]);
  MPI_Waitall(2, requests, statuses);
  CHECK_STATUS(statuses[0], from, mark % 100, MPI_INT, 2);
  CHECK_EQ(in[0], mark);
  CHECK_EQ(in[1], from);
  MPI_Barrier(comm);
}

int compare(MPI_Comm a, MPI_Comm b) {
  int result = -1;
  MPI_Comm_compare(a, b, &result);
  return result;
}

MPI_Group group_of(MPI_Comm comm) {
  MPI_Group group;
  MPI_Comm_group(comm, &group);
  return group;
}

/// A receive pending on the world while the caller makes communicators.
class Pending {
 public:
  Pending() { MPI_Irecv(&in_, 1, MPI_INT, left(), 777, MPI_COMM_WORLD, &request_); }
  void finish() {
    const int out = 1000 + comm_rank();
    MPI_Send(&out, 1, MPI_INT, right(), 777, MPI_COMM_WORLD);
    MPI_Status status;
    MPI_Wait(&request_, &status);
    CHECK_STATUS(status, left(), 777, MPI_INT, 1);
    CHECK_EQ(in_, 1000 + left());
  }

 private:
  int in_ = -1;
  MPI_Request request_ = MPI_REQUEST_NULL;
};

}  // namespace

TEST_CASE(dup_is_congruent_and_separate) {
  Pending pending;
  std::vector<MPI_Comm> comms(20, MPI_COMM_NULL);
  for (std::size_t i = 0; i < comms.size(); ++i) {
    MPI_Comm_dup(i == 0 ? MPI_COMM_WORLD : comms[i - 1], &comms[i]);
    CHECK_EQ(compare(MPI_COMM_WORLD, comms[i]), MPI_CONGRUENT);
    CHECK_EQ(compare(comms[i], comms[i]), MPI_IDENT);
    talk(comms[i], static_cast<int>(i));
  }
  for (std::size_t i = 0; i < comms.size(); ++i) talk(comms[i], static_cast<int>(i));
  for (MPI_Comm& comm : comms) {
    MPI_Comm_free(&comm);
    CHECK(comm == MPI_COMM_NULL);
  }
  pending.finish();
}

TEST_CASE(made_and_freed_many_times) {
  Pending pending;
  for (int i = 0; i < 60; ++i) {
    MPI_Comm comm;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    talk(comm, i);
    i % 2 ? MPI_Comm_free(&comm) : MPI_Comm_disconnect(&comm);
    CHECK(comm == MPI_COMM_NULL);
  }
  pending.finish();
}

TEST_CASE(dup_with_info) {
  MPI_Info info;
  MPI_Info_create(&info);
  MPI_Info_set(info, "conformance", "yes");
  MPI_Comm comm;
  MPI_Comm_dup_with_info(MPI_COMM_WORLD, info, &comm);
  MPI_Info_free(&info);
  CHECK_EQ(compare(MPI_COMM_WORLD, comm), MPI_CONGRUENT);
  MPI_Comm_get_info(comm, &info);
  CHECK(info != MPI_INFO_NULL);
  MPI_Info_free(&info);
  talk(comm, 5);
  MPI_Comm_free(&comm);
}

TEST_CASE(idup_while_traffic_flows) {
  Pending pending;
  for (int round = 0; round < 10; ++round) {
    MPI_Comm first, second;
    MPI_Request requests[2];
    MPI_Comm_idup(MPI_COMM_WORLD, &first, &requests[0]);
    for (int i = 0; i < 10; ++i) {
      int token = i;
      MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 1, left(), 1, MPI_COMM_WORLD,
                           MPI_STATUS_IGNORE);
      CHECK_EQ(token, i);
    }
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
    talk(first, round);
    MPI_Comm_idup(first, &second, &requests[1]);
    int in = -1;
    MPI_Request receive;
    MPI_Irecv(&in, 1, MPI_INT, left(), 2, first, &receive);
    MPI_Send(&round, 1, MPI_INT, right(), 2, first);
    MPI_Request both[2] = {receive, requests[1]};
    MPI_Waitall(2, both, MPI_STATUSES_IGNORE);
    CHECK_EQ(in, round);
    talk(second, round);
    CHECK_EQ(compare(first, second), MPI_CONGRUENT);
    MPI_Comm_free(&first);
    talk(second, round + 1);
    MPI_Comm_free(&second);
  }
  pending.finish();
}

TEST_CASE(several_idups_at_once) {
  Pending pending;
  constexpr int kMany = 10;
  MPI_Comm comms[kMany];
  MPI_Request requests[kMany];
  for (int i = 0; i < kMany; ++i) MPI_Comm_idup(MPI_COMM_WORLD, &comms[i], &requests[i]);
  MPI_Waitall(kMany, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < kMany; ++i) talk(comms[i], i);
  for (MPI_Comm& comm : comms) MPI_Comm_free(&comm);
  pending.finish();
}

TEST_CASE(idup_and_collectives_on_the_same_communicator) {
  Pending pending;
  for (int round = 0; round < 5; ++round) {
    MPI_Comm later;
    MPI_Request requests[2];
    const int one = 1;
    int sum = 0;
    MPI_Comm_idup(MPI_COMM_WORLD, &later, &requests[0]);
    MPI_Iallreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &requests[1]);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    CHECK_EQ(sum, comm_size());
    talk(later, round);
    MPI_Comm_free(&later);
  }
  pending.finish();
}

TEST_CASE(idup_while_other_communicators_are_made_of_the_same) {
  Pending pending;
  MPI_Comm later;
  MPI_Request request;
  MPI_Comm_idup(MPI_COMM_WORLD, &later, &request);
  MPI_Comm copy, half;
  MPI_Comm_dup(MPI_COMM_WORLD, &copy);
  talk(copy, 1);
  MPI_Comm_split(MPI_COMM_WORLD, comm_rank() % 2, 0, &half);
  talk(half, 2);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  talk(later, 3);
  MPI_Comm_free(&later);
  MPI_Comm_free(&half);
  MPI_Comm_free(&copy);
  pending.finish();
}

TEST_CASE(split_by_colour_and_key) {
  Pending pending;
  const int rank = comm_rank(), size = comm_size();
  MPI_Comm comm;
  MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &comm);  // all, backwards
  CHECK_EQ(comm_rank(comm), size - 1 - rank);
  CHECK_EQ(compare(MPI_COMM_WORLD, comm), MPI_SIMILAR);
  talk(comm, 1);
  MPI_Comm_free(&comm);
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, 0, &comm);  // equal keys keep the order
  CHECK_EQ(comm_rank(comm), rank / 2);
  talk(comm, 2 + rank % 2);
  MPI_Comm inner;
  MPI_Comm_split(comm, comm_rank(comm) == 0 ? 7 : MPI_UNDEFINED, 0, &inner);
  CHECK((inner == MPI_COMM_NULL) == (comm_rank(comm) != 0));
  talk(inner, 4);
  if (inner != MPI_COMM_NULL) {
    CHECK_EQ(comm_size(inner), 1);
    CHECK_EQ(compare(inner, MPI_COMM_SELF), MPI_CONGRUENT);
    MPI_Comm_free(&inner);
  }
  CHECK_EQ(compare(comm, MPI_COMM_WORLD), MPI_UNEQUAL);
  MPI_Comm_free(&comm);
  MPI_Comm_split(MPI_COMM_WORLD, MPI_UNDEFINED, 0, &comm);
  CHECK(comm == MPI_COMM_NULL);
  pending.finish();
}

TEST_CASE(split_by_shared_memory) {
  MPI_Comm comm;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, comm_rank(), MPI_INFO_NULL, &comm);
  CHECK(comm != MPI_COMM_NULL);
  talk(comm, 3);
  MPI_Comm_free(&comm);
  MPI_Comm_split_type(MPI_COMM_WORLD, comm_rank() ? MPI_UNDEFINED : MPI_COMM_TYPE_SHARED, 0,
                      MPI_INFO_NULL, &comm);
  CHECK((comm == MPI_COMM_NULL) == (comm_rank() != 0));
  if (comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
}

TEST_CASE(create_from_disjoint_groups) {
  Pending pending;
  const int size = comm_size(), half = (size + 1) / 2;
  const bool low = comm_rank() < half;
  MPI_Group world = group_of(MPI_COMM_WORLD), mine;
  int ranges[1][3] = {{low ? 0 : half, low ? half - 1 : size - 1, 1}};
  MPI_Group_range_incl(world, 1, ranges, &mine);
  MPI_Comm comm;
  MPI_Comm_create(MPI_COMM_WORLD, mine, &comm);
  CHECK_EQ(comm_size(comm), low ? half : size - half);
  CHECK_EQ(comm_rank(comm), comm_rank() - (low ? 0 : half));
  MPI_Group_free(&mine);
  talk(comm, low ? 10 : 20);
  MPI_Comm_free(&comm);
  const int zero = 0;
  MPI_Group_incl(world, 1, &zero, &mine);  // the same group on all ranks: others get null
  MPI_Comm_create(MPI_COMM_WORLD, mine, &comm);
  CHECK((comm == MPI_COMM_NULL) == (comm_rank() != 0));
  talk(comm, 6);
  if (comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
  MPI_Group_free(&mine);
  MPI_Group_free(&world);
  pending.finish();
}

TEST_CASE(create_group_by_members_only) {
  Pending pending;
  MPI_Group world = group_of(MPI_COMM_WORLD), pair;
  for (int round = 0; round < 5; ++round) {
    const int first = comm_rank() / 2 * 2;  // several pairs at once; the last may be alone
    const int count = first + 1 < comm_size() ? 2 : 1, members[2] = {first + 1, first};
    MPI_Group_incl(world, count, count == 2 ? members : &first, &pair);
    MPI_Comm comm;
    MPI_Comm_create_group(MPI_COMM_WORLD, pair, round, &comm);
    CHECK_EQ(comm_size(comm), count);
    if (count == 2) CHECK_EQ(comm_rank(comm), comm_rank() == first ? 1 : 0);
    talk(comm, round);
    MPI_Comm_free(&comm);
    MPI_Group_free(&pair);
  }
  MPI_Group_free(&world);
  pending.finish();
}

TEST_CASE(create_group_while_the_others_talk, 3) {
  const int outsider = comm_size() - 1;
  if (comm_rank() != outsider) {
    MPI_Group world = group_of(MPI_COMM_WORLD), members;
    MPI_Group_excl(world, 1, &outsider, &members);
    for (int i = 0; i < 5; ++i) {
      MPI_Comm comm;
      MPI_Comm_create_group(MPI_COMM_WORLD, members, 3, &comm);
      talk(comm, i);
      MPI_Comm_free(&comm);
    }
    MPI_Group_free(&members);
    MPI_Group_free(&world);
  }
  // The outsider has been here all the time, waiting for its first message.
  for (int i = 0; i < 20; ++i) {
    if (comm_rank() == 0) MPI_Ssend(&i, 1, MPI_INT, outsider, 1, MPI_COMM_WORLD);
    int got = -1;
    if (comm_rank() != outsider) continue;
    MPI_Recv(&got, 1, MPI_INT, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(got, i);
  }
}

TEST_CASE(freed_with_communication_pending) {
  for (int round = 0; round < 10; ++round) {
    const int size = round % 2 ? kLarge : 3;
    MPI_Comm comm;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    std::vector<int> in(static_cast<std::size_t>(size));
    const std::vector<int> out = numbers(size, round);
    MPI_Request requests[2];
    MPI_Irecv(in.data(), size, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &requests[0]);
    MPI_Isend(out.data(), size, MPI_INT, right(), 1, comm, &requests[1]);
    MPI_Comm_free(&comm);
    CHECK(comm == MPI_COMM_NULL);
    int token = round;
    MPI_Sendrecv_replace(&token, 1, MPI_INT, right(), 0, left(), 0, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
    MPI_Status statuses[2];
    MPI_Waitall(2, requests, statuses);
    CHECK_STATUS(statuses[0], left(), 1, MPI_INT, size);
    CHECK_EQ(in, out);
  }
}

TEST_CASE(handles_survive_fortran_and_names_stay) {
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  CHECK(MPI_Comm_f2c(MPI_Comm_c2f(comm)) == comm);
  CHECK(MPI_Comm_f2c(MPI_Comm_c2f(MPI_COMM_WORLD)) == MPI_COMM_WORLD);
  MPI_Comm_set_name(comm, "ours");
  talk(MPI_Comm_f2c(MPI_Comm_c2f(comm)), 9);
  char name[MPI_MAX_OBJECT_NAME];
  int length = 0;
  MPI_Comm_get_name(comm, name, &length);
  CHECK_EQ(std::string(name), "ours");
  MPI_Comm_get_name(MPI_COMM_WORLD, name, &length);
  CHECK_EQ(std::string(name), "MPI_COMM_WORLD");
  MPI_Comm_free(&comm);
}

TEST_CASE(self_is_a_world_of_one) {
  CHECK_EQ(comm_size(MPI_COMM_SELF), 1);
  for (int i = 0; i < 10; ++i) {
    talk(MPI_COMM_SELF, i);
    MPI_Comm comm;
    MPI_Comm_dup(MPI_COMM_SELF, &comm);
    talk(comm, i);
    MPI_Comm_free(&comm);
  }
}

TEST_CASE(traffic_on_many_at_once) {
  constexpr int kComms = 24, kEach = 8;
  std::vector<MPI_Comm> comms(kComms);
  for (int c = 0; c < kComms; ++c) {
    MPI_Comm_split(MPI_COMM_WORLD, 0, c % 2 ? -comm_rank() : comm_rank(), &comms[c]);
  }
  std::vector<int> in(kComms * kEach), out(in.size());
  std::vector<MPI_Request> requests;
  for (int i = 0; i < kComms * kEach; ++i) {
    requests.emplace_back();
    MPI_Irecv(&in[i], 1, MPI_INT, MPI_ANY_SOURCE, i % 3 ? 1 : MPI_ANY_TAG, comms[i % kComms],
              &requests.back());
  }
  for (int i = kComms * kEach - 1; i >= 0; --i) {
    const MPI_Comm comm = comms[i % kComms];
    out[i] = i;
    requests.emplace_back();
    MPI_Isend(&out[i], 1, MPI_INT, (comm_rank(comm) + 1) % comm_size(comm), 1, comm,
              &requests.back());
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  for (int i = 0; i < kComms * kEach; ++i) {
    CHECK_EQ(in[i], kComms * (kEach - 1 - i / kComms) + i % kComms);  // the last sent was first
  }
  for (MPI_Comm& comm : comms) MPI_Comm_free(&comm);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
