// Messages in flight at a cut: found, kept in order, delivered as MPI would have delivered them.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "epoch.hpp"

namespace cairn::mpi {
namespace {

int next() { return (world_rank() + 1) % world_size(); }
int previous() { return (world_rank() + world_size() - 1) % world_size(); }

void send_int(int value, int destination, int tag, MPI_Comm comm = MPI_COMM_WORLD) {
  MPI_Send(&value, 1, MPI_INT, destination, tag, comm);
}

int receive_int(int source, int tag, MPI_Status* status = MPI_STATUS_IGNORE,
                MPI_Comm comm = MPI_COMM_WORLD) {
  int value = -1;
  MPI_Recv(&value, 1, MPI_INT, source, tag, comm, status);
  return value;
}

TEST(ChannelLayer, DrainsWhatIsInFlight) {
  send_int(1, next(), 7);
  send_int(2, next(), 7);
  drain_everything();
  EXPECT_EQ(layer->messages().size(), 2u);
  EXPECT_EQ(global_balance(), 2L * world_size());
  EXPECT_EQ(receive_int(previous(), 7), 1);
  EXPECT_EQ(receive_int(previous(), 7), 2);
  EXPECT_TRUE(layer->messages().empty());
  EXPECT_EQ(layer->window().stored_bytes(), 0u);
  EXPECT_EQ(global_balance(), 0);
}

TEST(ChannelLayer, StoredMessagesComeBeforeNewerOnes) {
  for (int i = 0; i < 3; ++i) {
    send_int(i, next(), 7);
    drain_everything();
  }
  send_int(3, next(), 7);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(receive_int(previous(), MPI_ANY_TAG), i);
  EXPECT_EQ(global_balance(), 0);
}

TEST(ChannelLayer, TagsAreMatchedInTheStore) {
  send_int(10, next(), 1);
  send_int(20, next(), 2);
  send_int(11, next(), 1);
  drain_everything();
  EXPECT_EQ(receive_int(previous(), 2), 20);
  EXPECT_EQ(receive_int(previous(), MPI_ANY_TAG), 10);
  MPI_Status status;
  EXPECT_EQ(receive_int(MPI_ANY_SOURCE, MPI_ANY_TAG, &status), 11);
  EXPECT_EQ(status.MPI_SOURCE, previous());
  EXPECT_EQ(status.MPI_TAG, 1);
  int count = 0;
  MPI_Get_count(&status, MPI_INT, &count);
  EXPECT_EQ(count, 1);
}

TEST(ChannelLayer, CommunicatorsDoNotMix) {
  MPI_Comm twin = MPI_COMM_NULL;
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &twin);
  MPI_Comm_split(MPI_COMM_WORLD, world_rank() % 2, -world_rank(), &half);
  int half_rank = 0;
  int half_size = 0;
  MPI_Comm_rank(half, &half_rank);
  MPI_Comm_size(half, &half_size);
  send_int(1, next(), 5);
  send_int(2, next(), 5, twin);
  send_int(3, (half_rank + 1) % half_size, 5, half);
  drain_everything();
  EXPECT_EQ(layer->messages().size(), 3u);
  EXPECT_EQ(receive_int((half_rank + half_size - 1) % half_size, 5, MPI_STATUS_IGNORE, half), 3);
  EXPECT_EQ(receive_int(previous(), 5, MPI_STATUS_IGNORE, twin), 2);
  EXPECT_EQ(receive_int(previous(), 5), 1);
  EXPECT_NE(layer->find(twin), nullptr);
  EXPECT_NE(layer->find(half)->id, layer->find(twin)->id);
  MPI_Comm_free(&twin);
  MPI_Comm_free(&half);
  EXPECT_EQ(layer->communicators().size(), 2u);  // world and self
}

TEST(ChannelLayer, MessagesToOneselfNeedNoMarker) {
  send_int(42, world_rank(), 3);
  send_int(43, 0, 3, MPI_COMM_SELF);
  drain_everything();
  EXPECT_EQ(layer->messages().size(), 2u);
  EXPECT_EQ(receive_int(world_rank(), 3), 42);
  EXPECT_EQ(receive_int(0, 3, MPI_STATUS_IGNORE, MPI_COMM_SELF), 43);
}

TEST(ChannelLayer, RendezvousMessagesAreDrained) {
  std::vector<int> big(1 << 18);
  std::iota(big.begin(), big.end(), world_rank());
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Isend(big.data(), static_cast<int>(big.size()), MPI_INT, next(), 9, MPI_COMM_WORLD, &request);
  drain_everything();
  MPI_Wait(&request, MPI_STATUS_IGNORE);  // the receiver has taken it
  std::vector<int> got(big.size());
  MPI_Recv(got.data(), static_cast<int>(got.size()), MPI_INT, previous(), 9, MPI_COMM_WORLD,
           MPI_STATUS_IGNORE);
  EXPECT_EQ(got.front(), previous());
  EXPECT_EQ(got.back(), previous() + (1 << 18) - 1);
  EXPECT_EQ(global_balance(), 0);
}

TEST(ChannelLayer, DeliversIntoDerivedTypes) {
  const int values[4] = {1, 2, 3, 4};
  MPI_Send(values, 4, MPI_INT, next(), 4, MPI_COMM_WORLD);
  drain_everything();
  MPI_Datatype strided = MPI_DATATYPE_NULL;
  MPI_Type_vector(4, 1, 2, MPI_INT, &strided);
  MPI_Type_commit(&strided);
  int got[8] = {};
  MPI_Recv(got, 1, strided, previous(), 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Type_free(&strided);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(got[2 * i], i + 1);
}

TEST(ChannelLayer, DeliversPartialElements) {
  const int values[5] = {1, 2, 3, 4, 5};
  MPI_Send(values, 5, MPI_INT, next(), 4, MPI_COMM_WORLD);
  drain_everything();
  MPI_Datatype pair = MPI_DATATYPE_NULL;
  MPI_Type_contiguous(2, MPI_INT, &pair);
  MPI_Type_commit(&pair);
  int got[8] = {};
  MPI_Status status;
  MPI_Recv(got, 4, pair, previous(), 4, MPI_COMM_WORLD, &status);
  int count = 0;
  int elements = 0;
  MPI_Get_count(&status, pair, &count);
  MPI_Get_elements(&status, pair, &elements);
  MPI_Type_free(&pair);
  EXPECT_EQ(count, MPI_UNDEFINED);
  EXPECT_EQ(elements, 5);
  EXPECT_EQ(got[4], 5);
}

int errors_seen = 0;
void count_error(MPI_Comm*, int*, ...) { ++errors_seen; }

TEST(ChannelLayer, TruncationIsReportedToTheProgramsErrorHandler) {
  const int values[4] = {1, 2, 3, 4};
  MPI_Send(values, 4, MPI_INT, next(), 4, MPI_COMM_WORLD);
  drain_everything();
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  MPI_Comm_create_errhandler(count_error, &handler);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler);
  errors_seen = 0;
  int got[2] = {};
  const int error = MPI_Recv(got, 2, MPI_INT, previous(), 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  int error_class = MPI_SUCCESS;
  MPI_Error_class(error, &error_class);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
  MPI_Errhandler_free(&handler);
  EXPECT_EQ(error_class, MPI_ERR_TRUNCATE);
  EXPECT_EQ(errors_seen, 1);
  EXPECT_EQ(global_balance(), 0);
}

TEST(ChannelLayer, ProbesSeeStoredMessages) {
  send_int(1, next(), 6);
  MPI_Send(nullptr, 0, MPI_INT, next(), 8, MPI_COMM_WORLD);
  drain_everything();
  MPI_Status status;
  int flag = 0;
  int count = -1;
  MPI_Probe(MPI_ANY_SOURCE, 8, MPI_COMM_WORLD, &status);
  MPI_Get_count(&status, MPI_INT, &count);
  EXPECT_EQ(count, 0);
  EXPECT_EQ(status.MPI_SOURCE, previous());
  MPI_Iprobe(previous(), MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &status);
  EXPECT_EQ(flag, 1);
  EXPECT_EQ(status.MPI_TAG, 6);
  EXPECT_EQ(receive_int(previous(), 6), 1);
  MPI_Recv(nullptr, 0, MPI_INT, previous(), 8, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &status);
  EXPECT_EQ(flag, 0);
  PMPI_Barrier(MPI_COMM_WORLD);  // the next test's messages must not be seen by this one
}

TEST(ChannelLayer, PullingBeforeTheCutKeepsOrderAndCounts) {
  send_int(1, next(), 2);
  PMPI_Barrier(MPI_COMM_WORLD);
  while (layer->messages().empty()) layer->window().pull_current(SIZE_MAX);
  send_int(2, next(), 2);
  drain_everything();
  EXPECT_EQ(receive_int(previous(), 2), 1);
  EXPECT_EQ(receive_int(previous(), 2), 2);
  EXPECT_EQ(global_balance(), 0);
}

TEST(ChannelLayer, PullingStopsAtItsLimit) {
  const std::vector<char> kilobyte(1000);
  for (int i = 0; i < 4; ++i) MPI_Send(kilobyte.data(), 1000, MPI_CHAR, next(), 2, MPI_COMM_WORLD);
  PMPI_Barrier(MPI_COMM_WORLD);
  while (layer->window().stored_bytes() < 2000) layer->window().pull_current(2000);
  layer->window().pull_current(2000);
  EXPECT_EQ(layer->messages().size(), 2u);
  std::vector<char> got(1000);
  for (int i = 0; i < 4; ++i) {
    MPI_Recv(got.data(), 1000, MPI_CHAR, previous(), 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  EXPECT_EQ(global_balance(), 0);
}

TEST(ChannelLayer, RestoresMessagesAndCounters) {
  send_int(5, next(), 1);
  drain_everything();
  const auto counts = layer->counts();
  const auto messages = layer->messages();
  EXPECT_EQ(receive_int(previous(), 1), 5);
  ASSERT_FALSE(layer->restore(counts, messages).has_value());
  EXPECT_EQ(layer->counts().size(), counts.size());
  EXPECT_EQ(global_balance(), world_size());
  EXPECT_EQ(receive_int(MPI_ANY_SOURCE, MPI_ANY_TAG), 5);
  EXPECT_EQ(global_balance(), 0);
}

TEST(ChannelLayer, RefusesMessagesOfAMissingCommunicator) {
  const auto missing = layer->restore({}, {{12345, 0, 1, {}}});
  ASSERT_TRUE(missing.has_value());
  EXPECT_EQ(*missing, 12345u);
}

TEST(ChannelLayer, CollectiveFingerprintFindsACollectiveThatIsCrossed) {
  const auto sum = [] {
    std::uint64_t value = layer->collective_fingerprint();
    PMPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    return value;
  };
  EXPECT_EQ(sum(), 0u);
  if (world_rank() == 0) MPI_Barrier(MPI_COMM_SELF);
  EXPECT_EQ(sum(), 0u);  // a communicator of one rank can't be crossed
  // Rank 0 is behind a barrier that the others have yet to enter.
  if (world_rank() == 0) ++layer->find(MPI_COMM_WORLD)->collectives;
  EXPECT_NE(sum(), 0u);
  if (world_rank() == 0) --layer->find(MPI_COMM_WORLD)->collectives;
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_EQ(sum(), 0u);
}

}  // namespace
}  // namespace cairn::mpi
