// Wait, Test and their kin: served from MPI and from the store alike.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "epoch.hpp"

namespace cairn::mpi {
namespace {

int peer() { return world_size() - 1 - world_rank(); }

void send_ints(int first, int count) {
  for (int i = first; i < first + count; ++i) {
    MPI_Send(&i, 1, MPI_INT, peer(), i % 3, MPI_COMM_WORLD);
  }
}

/// Four receives, two of which the store serves and two MPI.
struct Four {
  std::array<int, 4> values{};
  std::array<MPI_Request, 4> requests{};

  Four() {
    send_ints(0, 2);
    drain_everything();
    send_ints(2, 2);
    for (std::size_t i = 0; i < 4; ++i) {
      MPI_Irecv(&values[i], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &requests[i]);
    }
  }
  void check() const {
    EXPECT_EQ(values, (std::array<int, 4>{0, 1, 2, 3}));
    EXPECT_EQ(global_balance(), 0);
    EXPECT_EQ(layer->pending_requests(), 0u);
  }
};

void check_status(const MPI_Status& status, int i) {
  EXPECT_EQ(status.MPI_SOURCE, peer());
  EXPECT_EQ(status.MPI_TAG, i % 3);
  int count = 0;
  MPI_Get_count(&status, MPI_INT, &count);
  EXPECT_EQ(count, 1);
}

TEST(Requests, Waitall) {
  Four four;
  std::array<MPI_Status, 4> statuses;
  MPI_Waitall(4, four.requests.data(), statuses.data());
  for (int i = 0; i < 4; ++i) check_status(statuses[static_cast<std::size_t>(i)], i);
  for (const MPI_Request request : four.requests) EXPECT_EQ(request, MPI_REQUEST_NULL);
  four.check();
}

/// More than an eager message: plain Open MPI 4.1 sends it right only once.
TEST(Requests, PersistentBufferedSendsAgain) {
  constexpr int count = 4096;
  constexpr int times = 4;
  constexpr int bytes = count * static_cast<int>(sizeof(int));
  std::vector<char> space(static_cast<std::size_t>(2 * times * (bytes + MPI_BSEND_OVERHEAD)));
  MPI_Buffer_attach(space.data(), static_cast<int>(space.size()));
  std::vector<int> sent(count);
  MPI_Datatype type = MPI_DATATYPE_NULL;
  MPI_Type_contiguous(count, MPI_INT, &type);
  MPI_Type_commit(&type);
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Bsend_init(sent.data(), 1, type, peer(), 0, MPI_COMM_WORLD, &request);
  MPI_Type_free(&type);
  for (int i = 0; i < times; ++i) {
    sent.assign(count, i + 1);
    MPI_Start(&request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  }
  MPI_Request_free(&request);
  std::vector<int> received(count);
  for (int i = 0; i < times; ++i) {
    MPI_Recv(received.data(), count, MPI_INT, peer(), 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    EXPECT_EQ(received, std::vector<int>(count, i + 1));
  }
  void* detached = nullptr;
  int size = 0;
  MPI_Buffer_detach(&detached, &size);
}

TEST(Requests, WaitallWithoutStatuses) {
  Four four;
  MPI_Waitall(4, four.requests.data(), MPI_STATUSES_IGNORE);
  four.check();
}

TEST(Requests, WaitInAnyOrder) {
  Four four;
  for (const int i : {3, 0, 2, 1}) {
    MPI_Status status;
    MPI_Wait(&four.requests[static_cast<std::size_t>(i)], &status);
    check_status(status, i);
  }
  four.check();
}

TEST(Requests, Waitany) {
  Four four;
  for (int done = 0; done < 4; ++done) {
    int index = -1;
    MPI_Status status;
    MPI_Waitany(4, four.requests.data(), &index, &status);
    ASSERT_GE(index, 0);
    check_status(status, index);
  }
  int index = -1;
  MPI_Waitany(4, four.requests.data(), &index, MPI_STATUS_IGNORE);
  EXPECT_EQ(index, MPI_UNDEFINED);
  four.check();
}

TEST(Requests, Waitsome) {
  Four four;
  for (int done = 0; done < 4;) {
    int count = 0;
    std::array<int, 4> indices{};
    std::array<MPI_Status, 4> statuses;
    MPI_Waitsome(4, four.requests.data(), &count, indices.data(), statuses.data());
    ASSERT_GT(count, 0);
    for (int i = 0; i < count; ++i) {
      check_status(statuses[static_cast<std::size_t>(i)], indices[static_cast<std::size_t>(i)]);
    }
    done += count;
  }
  int count = 0;
  std::array<int, 4> indices{};
  MPI_Waitsome(4, four.requests.data(), &count, indices.data(), MPI_STATUSES_IGNORE);
  EXPECT_EQ(count, MPI_UNDEFINED);
  four.check();
}

TEST(Requests, TestUntilDone) {
  Four four;
  for (int i = 0; i < 4; ++i) {
    int flag = 0;
    MPI_Status status;
    while (flag == 0) MPI_Test(&four.requests[static_cast<std::size_t>(i)], &flag, &status);
    check_status(status, i);
  }
  four.check();
}

TEST(Requests, Testall) {
  Four four;
  int flag = 0;
  while (flag == 0) MPI_Testall(4, four.requests.data(), &flag, MPI_STATUSES_IGNORE);
  four.check();
}

TEST(Requests, TestanyAndTestsome) {
  Four four;
  int done = 0;
  while (done < 2) {
    int index = -1;
    int flag = 0;
    MPI_Status status;
    MPI_Testany(4, four.requests.data(), &index, &flag, &status);
    if (flag == 0) continue;
    check_status(status, index);
    ++done;
  }
  while (done < 4) {
    int count = 0;
    std::array<int, 4> indices{};
    MPI_Testsome(4, four.requests.data(), &count, indices.data(), MPI_STATUSES_IGNORE);
    done += count;
  }
  four.check();
}

TEST(Requests, NullHandlesAndProcNull) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Status status;
  MPI_Wait(&request, &status);
  int value = 7;
  MPI_Irecv(&value, 1, MPI_INT, MPI_PROC_NULL, 0, MPI_COMM_WORLD, &request);
  MPI_Wait(&request, &status);
  EXPECT_EQ(status.MPI_SOURCE, MPI_PROC_NULL);
  MPI_Sendrecv(&value, 1, MPI_INT, MPI_PROC_NULL, 0, &value, 1, MPI_INT, MPI_PROC_NULL, 0,
               MPI_COMM_WORLD, &status);
  EXPECT_EQ(status.MPI_SOURCE, MPI_PROC_NULL);
  EXPECT_EQ(value, 7);
  EXPECT_EQ(global_balance(), 0);
}

TEST(Requests, CancelledReceivesAreNotCounted) {
  int value = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(&value, 1, MPI_INT, peer(), 99, MPI_COMM_WORLD, &request);
  MPI_Cancel(&request);
  MPI_Status status;
  MPI_Wait(&request, &status);
  int cancelled = 0;
  MPI_Test_cancelled(&status, &cancelled);
  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(global_balance(), 0);
  EXPECT_EQ(layer->pending_requests(), 0u);
  EXPECT_FALSE(layer->refusal().has_value());
}

TEST(Requests, SendsOfAllModesAreCounted) {
  std::vector<char> buffer(1024 + MPI_BSEND_OVERHEAD);
  MPI_Buffer_attach(buffer.data(), static_cast<int>(buffer.size()));
  int values[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  int got[8] = {};
  MPI_Request receives[8];
  MPI_Request sends[4];
  for (int i = 0; i < 8; ++i) {
    MPI_Irecv(&got[i], 1, MPI_INT, peer(), 40 + i, MPI_COMM_WORLD, &receives[i]);
  }
  MPI_Barrier(MPI_COMM_WORLD);  // ready sends need their receives
  MPI_Send(&values[0], 1, MPI_INT, peer(), 40, MPI_COMM_WORLD);
  MPI_Ssend(&values[1], 1, MPI_INT, peer(), 41, MPI_COMM_WORLD);
  MPI_Rsend(&values[2], 1, MPI_INT, peer(), 42, MPI_COMM_WORLD);
  MPI_Bsend(&values[3], 1, MPI_INT, peer(), 43, MPI_COMM_WORLD);
  MPI_Isend(&values[4], 1, MPI_INT, peer(), 44, MPI_COMM_WORLD, &sends[0]);
  MPI_Issend(&values[5], 1, MPI_INT, peer(), 45, MPI_COMM_WORLD, &sends[1]);
  MPI_Irsend(&values[6], 1, MPI_INT, peer(), 46, MPI_COMM_WORLD, &sends[2]);
  MPI_Ibsend(&values[7], 1, MPI_INT, peer(), 47, MPI_COMM_WORLD, &sends[3]);
  MPI_Waitall(4, sends, MPI_STATUSES_IGNORE);
  MPI_Waitall(8, receives, MPI_STATUSES_IGNORE);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(got[i], i);
  int size = 0;
  void* detached = nullptr;
  MPI_Buffer_detach(static_cast<void*>(&detached), &size);
  EXPECT_EQ(global_balance(), 0);
  EXPECT_EQ(layer->pending_requests(), 0u);
}

/// What a Waitall hands to MPI at once, and what it can't.
TEST(Requests, WaitallOfAllKinds) {
  constexpr std::size_t pairs = 100;
  std::vector<int> got(pairs + 2);
  std::vector<int> sent(pairs + 2);
  std::vector<double> large(1 << 15, world_rank());
  std::vector<double> large_got(large.size());
  const int bytes = static_cast<int>(large.size());
  std::vector<MPI_Request> requests;
  const auto begin = [&](MPI_Request request) { requests.push_back(request); };
  const auto begin_all = [&] {
    requests.clear();
    for (std::size_t i = 0; i < pairs; ++i) {
      MPI_Request receive = MPI_REQUEST_NULL;
      MPI_Request send = MPI_REQUEST_NULL;
      got[i] = -1;
      sent[i] = static_cast<int>(i);
      MPI_Irecv(&got[i], 1, MPI_INT, peer(), 6, MPI_COMM_WORLD, &receive);
      MPI_Isend(&sent[i], 1, MPI_INT, peer(), 6, MPI_COMM_WORLD, &send);
      begin(receive);
      begin(send);
      begin(MPI_REQUEST_NULL);
    }
    MPI_Request both[2];
    MPI_Irecv(large_got.data(), bytes, MPI_DOUBLE, peer(), 7, MPI_COMM_WORLD, &both[0]);
    MPI_Isend(large.data(), bytes, MPI_DOUBLE, peer(), 7, MPI_COMM_WORLD, &both[1]);
    begin(both[0]);
    begin(both[1]);
  };
  const auto wait_for_all = [&](MPI_Status* statuses) {
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), statuses);
    for (std::size_t i = 0; i < pairs; ++i) EXPECT_EQ(got[i], sent[i]);
    EXPECT_EQ(large_got, std::vector<double>(large.size(), peer()));
    EXPECT_EQ(global_balance(), 0);
  };
  begin_all();
  wait_for_all(MPI_STATUSES_IGNORE);
  for (const MPI_Request request : requests) EXPECT_EQ(request, MPI_REQUEST_NULL);
  EXPECT_EQ(layer->pending_requests(), 0U);

  begin_all();
  std::vector<MPI_Status> statuses(requests.size());
  wait_for_all(statuses.data());
  for (std::size_t i = 0; i < pairs; ++i) EXPECT_EQ(statuses[3 * i].MPI_TAG, 6);
  EXPECT_EQ(statuses[3 * pairs].MPI_TAG, 7);

  // The last two are none of those.
  begin_all();
  MPI_Request last[2];
  MPI_Recv_init(&got[pairs], 1, MPI_INT, peer(), 8, MPI_COMM_WORLD, &last[0]);
  MPI_Start(&last[0]);
  MPI_Irecv(&got[pairs + 1], 1, MPI_INT, MPI_ANY_SOURCE, 9, MPI_COMM_WORLD, &last[1]);
  begin(last[0]);
  begin(last[1]);
  for (const int tag : {8, 9}) MPI_Send(&tag, 1, MPI_INT, peer(), tag, MPI_COMM_WORLD);
  wait_for_all(MPI_STATUSES_IGNORE);
  EXPECT_EQ(got[pairs], 8);
  EXPECT_EQ(got[pairs + 1], 9);
  EXPECT_EQ(requests[requests.size() - 2], last[0]);
  MPI_Request_free(&last[0]);
  EXPECT_EQ(layer->pending_requests(), 0U);
}

TEST(Requests, AFailedWaitallLeavesWhatIsNotComplete) {
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  for (const bool wants_statuses : {false, true}) {
    int values[3] = {1, 2, 3};
    int got[3] = {};
    MPI_Request requests[4];
    MPI_Irecv(&got[0], 1, MPI_INT, peer(), 60, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&got[1], 1, MPI_INT, peer(), 61, MPI_COMM_WORLD, &requests[1]);  // of two
    MPI_Isend(&values[0], 1, MPI_INT, peer(), 60, MPI_COMM_WORLD, &requests[2]);
    MPI_Isend(&values[1], 2, MPI_INT, peer(), 61, MPI_COMM_WORLD, &requests[3]);
    MPI_Status statuses[4];
    int error = MPI_Waitall(4, requests, wants_statuses ? statuses : MPI_STATUSES_IGNORE);
    EXPECT_EQ(error, MPI_ERR_IN_STATUS);
    if (wants_statuses) {
      EXPECT_EQ(statuses[1].MPI_ERROR, MPI_ERR_TRUNCATE);
    }
    error = MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
    EXPECT_EQ(error, MPI_SUCCESS);
    EXPECT_EQ(got[0], 1);
    EXPECT_EQ(global_balance(), 0);
    EXPECT_EQ(layer->pending_requests(), 0U);
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

TEST(Requests, ARefusedReceiveIsNotPending) {
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int value = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Send(&value, 1, MPI_INT, peer(), 1, MPI_COMM_WORLD);
  MPI_Recv(&value, 1, MPI_INT, peer(), 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  EXPECT_NE(MPI_Irecv(&value, -1, MPI_INT, peer(), 1, MPI_COMM_WORLD, &request), MPI_SUCCESS);
  EXPECT_NE(MPI_Isend(&value, -1, MPI_INT, peer(), 1, MPI_COMM_WORLD, &request), MPI_SUCCESS);
  EXPECT_EQ(request, MPI_REQUEST_NULL);
  EXPECT_EQ(global_balance(), 0);
  EXPECT_EQ(layer->pending_requests(), 0U);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

TEST(Requests, OutliveTheirCommunicator) {
  MPI_Comm twin = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &twin);
  int got = -1;
  int sent = world_rank();
  MPI_Request requests[2];
  MPI_Irecv(&got, 1, MPI_INT, peer(), 4, twin, &requests[0]);
  MPI_Isend(&sent, 1, MPI_INT, peer(), 4, twin, &requests[1]);
  MPI_Comm_free(&twin);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  EXPECT_EQ(got, peer());
  EXPECT_EQ(layer->pending_requests(), 0u);
  EXPECT_EQ(layer->communicators().size(), 2u);
}

TEST(Requests, GetStatusOfADelivery) {
  int value = world_rank();
  MPI_Send(&value, 1, MPI_INT, peer(), 21, MPI_COMM_WORLD);
  drain_everything();
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(&value, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &request);
  int flag = 0;
  MPI_Status status;
  while (flag == 0) MPI_Request_get_status(request, &flag, &status);
  EXPECT_EQ(status.MPI_SOURCE, peer());
  EXPECT_EQ(status.MPI_TAG, 21);
  MPI_Wait(&request, &status);
  EXPECT_EQ(status.MPI_SOURCE, peer());
  EXPECT_EQ(value, peer());
  EXPECT_EQ(global_balance(), 0);
}

TEST(Requests, SendrecvReplace) {
  int value = world_rank();
  MPI_Send(&value, 1, MPI_INT, peer(), 1, MPI_COMM_WORLD);
  drain_everything();
  int pair[2] = {10 + world_rank(), -1};
  MPI_Status status;
  MPI_Sendrecv_replace(pair, 1, MPI_INT, peer(), 1, peer(), 1, MPI_COMM_WORLD, &status);
  EXPECT_EQ(pair[0], peer());  // the stored message comes first
  int count = 0;
  MPI_Get_count(&status, MPI_INT, &count);
  EXPECT_EQ(count, 1);
  MPI_Sendrecv_replace(pair, 2, MPI_INT, world_rank(), 2, world_rank(), 2, MPI_COMM_WORLD, &status);
  EXPECT_EQ(pair[1], -1);
  MPI_Recv(pair, 1, MPI_INT, peer(), 1, MPI_COMM_WORLD, &status);
  EXPECT_EQ(pair[0], 10 + peer());
  EXPECT_EQ(global_balance(), 0);
}

TEST(Requests, SendrecvFromTheStore) {
  int mine = 100 + world_rank();
  MPI_Send(&mine, 1, MPI_INT, peer(), 1, MPI_COMM_WORLD);
  drain_everything();
  int got = -1;
  int later = 200 + world_rank();
  MPI_Sendrecv(&later, 1, MPI_INT, peer(), 1, &got, 1, MPI_INT, peer(), 1, MPI_COMM_WORLD,
               MPI_STATUS_IGNORE);
  EXPECT_EQ(got, 100 + peer());
  MPI_Recv(&got, 1, MPI_INT, peer(), 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  EXPECT_EQ(got, 200 + peer());
}

}  // namespace
}  // namespace cairn::mpi
