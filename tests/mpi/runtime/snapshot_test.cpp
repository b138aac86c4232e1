// The protocol chandy-lamport: checkpoints that nobody waits for.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <cairn/cairn.hpp>

#include "io/store.hpp"
#include "io/verify.hpp"
#include "tests/support/directory.hpp"
#include "tests/support/world.hpp"

namespace cairn {
namespace {

constexpr double longest = 20;  // seconds that a test may take

Options options_in(const test::Directory& directory) {
  Options options;
  options.directory = directory.path();
  options.log_level = "off";
  options.keep = 100;
  options.interval = Interval::every_safe_points(1);
  return options;
}

/// Exchanges a token with the neighbours, with one message in flight at the safe point, until
/// `enough` says so on rank 0.
int run_ring(Session& session, const std::function<bool()>& enough) {
  const int next = (world_rank() + 1) % world_size();
  const int previous = (world_rank() + world_size() - 1) % world_size();
  const double begin = MPI_Wtime();
  int steps = 0;
  for (int stop = 0; stop == 0; ++steps) {
    int value = steps;
    MPI_Send(&value, 1, MPI_INT, next, 1, MPI_COMM_WORLD);
    session.safe_point();
    MPI_Recv(&value, 1, MPI_INT, previous, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    EXPECT_EQ(value, steps);
    stop = enough() || MPI_Wtime() - begin > longest ? 1 : 0;
    MPI_Bcast(&stop, 1, MPI_INT, 0, MPI_COMM_WORLD);
  }
  return steps;
}

TEST(Snapshot, TakesCheckpointsWhileTheProgramGoesOn) {
  const test::Directory directory;
  {
    Session session{MPI_COMM_WORLD, options_in(directory)};
    std::uint64_t state = 7;
    session.protect("state", state);
    session.restart();
    run_ring(session, [&] { return session.epoch() >= 5; });
    EXPECT_GE(session.epoch(), 4u);
    EXPECT_EQ(session.checkpoint().code(), Code::ok);  // of the other kind, in between
    run_ring(session, [&] { return session.epoch() >= 9; });
  }
  if (world_rank() == 0) {
    const io::Store store{directory.path()};
    ASSERT_GE(store.epochs().size(), 8u);
    for (const auto epoch : store.epochs()) {
      const auto info = store.read_commit(epoch);
      ASSERT_TRUE(info.ok()) << info.status().message();
      const bool overlapped = info->protocol == "chandy-lamport";
      EXPECT_EQ(info->messages_in_flight, overlapped ? static_cast<unsigned>(world_size()) : 0u);
      EXPECT_TRUE(io::verify_epoch(store, epoch).good);
    }
  }
}

TEST(Snapshot, NobodyWaitsForALateRank) {
  if (world_size() == 1) GTEST_SKIP() << "needs two ranks";
  const test::Directory directory;
  Session session{MPI_COMM_WORLD, options_in(directory)};
  session.restart();
  MPI_Barrier(MPI_COMM_WORLD);
  const double begin = MPI_Wtime();
  while (world_rank() == 1 && MPI_Wtime() - begin < 1) {  // computing
  }
  session.safe_point();
  if (world_rank() != 1) {
    EXPECT_LT(MPI_Wtime() - begin, 0.7);
  }
  run_ring(session, [&] { return session.epoch() >= 1; });
  EXPECT_GE(session.epoch(), world_rank() == 0 ? 1u : 0u);
}

TEST(Snapshot, APendingRequestPutsItOff) {
  const test::Directory directory;
  Options options = options_in(directory);
  options.interval = Interval::every_safe_points(1000);
  Session session{MPI_COMM_WORLD, options};
  session.restart();
  for (int i = 1; i < 1000; ++i) session.safe_point();
  int value = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  if (world_rank() == 0) MPI_Irecv(&value, 1, MPI_INT, 0, 5, MPI_COMM_WORLD, &request);
  session.safe_point();  // due
  EXPECT_EQ(session.epoch(), 0u);
  run_ring(session, [steps = 0]() mutable { return ++steps > 5; });
  EXPECT_EQ(session.epoch(), 0u);
  if (world_rank() == 0) MPI_Send(&value, 1, MPI_INT, 0, 5, MPI_COMM_WORLD);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  run_ring(session, [&] { return session.epoch() >= 1; });
  EXPECT_GE(session.epoch(), world_rank() == 0 ? 1u : 0u);
}

TEST(Snapshot, ARankThatCanNeverCutAbortsTheEpochAtOnce) {
  if (world_size() == 1) GTEST_SKIP() << "needs two ranks";
  const test::Directory directory;
  Options options = options_in(directory);
  options.interval = Interval::every_safe_points(2);
  options.patience_seconds = 1000;
  Session session{MPI_COMM_WORLD, options};
  session.restart();
  session.safe_point();
  int value = world_rank();
  // The others wait, before their safe point, for what rank 0 sends after its own (E6).
  if (world_rank() == 0) {
    session.safe_point();
    for (int peer = 1; peer < world_size(); ++peer) {
      MPI_Send(&value, 1, MPI_INT, peer, 3, MPI_COMM_WORLD);
    }
  } else {
    MPI_Recv(&value, 1, MPI_INT, 0, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    EXPECT_EQ(value, 0);
    session.safe_point();
  }
  const double begin = MPI_Wtime();
  run_ring(session, [&] { return session.epoch() >= 1; });
  EXPECT_LT(MPI_Wtime() - begin, longest);
}

TEST(Snapshot, WithoutMemoryForACopyTheProgramWaits) {
  const test::Directory directory;
  Options options = options_in(directory);
  options.staging_limit_mib = 1;
  Session session{MPI_COMM_WORLD, options};
  std::vector<double> state(world_rank() == 0 ? 1U << 18U : 1U, 1.5);
  session.protect("state", state);
  session.restart();
  run_ring(session, [&] { return session.epoch() >= 2; });
  EXPECT_GE(session.epoch(), 2u);
  if (world_rank() == 0) {
    const auto info = io::Store{directory.path()}.read_commit(2);
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info->protocol, "coordinated");
  }
}

TEST(Snapshot, MarkerCutInASafeRegion) {
  if (world_size() == 1) GTEST_SKIP() << "needs two ranks";
  const test::Directory directory;
  Options options = options_in(directory);
  options.cut = "marker";
  Session session{MPI_COMM_WORLD, options};
  std::uint64_t state = 1;
  session.protect("state", state);
  session.restart();
  int value = 0;
  if (world_rank() == 0) {
    const double begin = MPI_Wtime();
    while (session.epoch() < 2 && MPI_Wtime() - begin < longest) session.safe_point();
    EXPECT_GE(session.epoch(), 2u);
    for (int peer = 1; peer < world_size(); ++peer) {
      MPI_Send(&value, 1, MPI_INT, peer, 3, MPI_COMM_WORLD);
    }
  } else {
    const SafeRegion region{session};
    MPI_Recv(&value, 1, MPI_INT, 0, MPI_ANY_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  // Nobody is at a safe point any more.
  MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace cairn
