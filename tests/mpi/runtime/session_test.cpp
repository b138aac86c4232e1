// Sessions in one process: checkpoint, forget everything, restart.
#include <gtest/gtest.h>

#include <boost/serialization/map.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include <cairn/serialize.hpp>

#include "io/store.hpp"
#include "io/verify.hpp"
#include "mpi_bindings/channel_layer.hpp"
#include "tests/support/directory.hpp"
#include "tests/support/world.hpp"

namespace cairn {
namespace {

Options options_in(const test::Directory& directory) {
  Options options;
  options.directory = directory.path();
  options.interval = Interval::off();
  options.log_level = "error";
  return options;
}

struct Pair {
  std::int32_t a;
  double b;
};

/// All kinds of state.
struct Program {
  std::int64_t step = 0;
  std::vector<double> field;
  std::vector<float> list;
  Pair pair{};
  std::map<std::string, std::vector<int>> object;

  void fill() {
    const int rank = world_rank();
    step = 100 + rank;
    field.assign(12, 0.5 + rank);
    list.assign(static_cast<std::size_t>(3 * rank), 1.5F);
    pair = {rank, 2.5};
    object = {{"ranks", {rank, world_size()}}};
  }
  void protect(Session& session) {
    const auto rows = static_cast<std::uint64_t>(world_size());
    const auto row = static_cast<std::uint64_t>(world_rank());
    session.protect("step", step);
    session.protect("field", field, {{rows * 3, 4}, {row * 3, 0}, {3, 4}});
    session.protect_resizable("list", list);
    session.protect("pair", pair);
    session.serialize("object", object);
  }
};

TEST(Session, FreshStartTouchesNothing) {
  const test::Directory directory;
  Session session{MPI_COMM_WORLD, options_in(directory)};
  int value = 3;
  session.protect("value", value);
  EXPECT_EQ(session.restart(), 0u);
  EXPECT_EQ(value, 3);
  EXPECT_FALSE(std::filesystem::exists(directory.path()));
}

TEST(Session, RestoresEveryKindOfState) {
  const test::Directory directory;
  {
    Program program;
    program.fill();
    Session session{MPI_COMM_WORLD, options_in(directory)};
    program.protect(session);
    session.restart();
    session.safe_point();
    const Status status = session.checkpoint();
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(session.epoch(), 1u);
  }
  Program expected;
  expected.fill();
  Program program;
  program.field.assign(12, 0);
  Session session{MPI_COMM_WORLD, options_in(directory)};
  program.protect(session);
  EXPECT_EQ(session.restart(), 1u);
  EXPECT_EQ(session.safe_points(), 2u);
  EXPECT_EQ(program.step, expected.step);
  EXPECT_EQ(program.field, expected.field);
  EXPECT_EQ(program.list, expected.list);
  EXPECT_EQ(program.pair.a, expected.pair.a);
  EXPECT_EQ(program.object, expected.object);
}

TEST(Session, RestoresMessagesInFlight) {
  const test::Directory directory;
  const int next = (world_rank() + 1) % world_size();
  const int previous = (world_rank() + world_size() - 1) % world_size();
  {
    Session session{MPI_COMM_WORLD, options_in(directory)};
    session.restart();
    for (int i = 0; i < 3; ++i) MPI_Send(&i, 1, MPI_INT, next, i, MPI_COMM_WORLD);
    ASSERT_TRUE(session.checkpoint().ok());
    // The program itself goes on as if nothing had been.
    for (const int tag : {2, 0, 1}) {
      int value = -1;
      MPI_Recv(&value, 1, MPI_INT, previous, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      EXPECT_EQ(value, tag);
    }
  }
  const io::Store store{directory.path()};
  const io::VerifyReport report = io::verify_epoch(store, 1);
  EXPECT_TRUE(report.good) << (report.problems.empty() ? "" : report.problems.front());
  EXPECT_EQ(report.messages_checked, 3u * static_cast<unsigned>(world_size()));
  Session session{MPI_COMM_WORLD, options_in(directory)};
  EXPECT_EQ(session.restart(), 1u);
  for (const int tag : {1, 2, 0}) {
    int value = -1;
    MPI_Status status;
    MPI_Recv(&value, 1, MPI_INT, MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &status);
    EXPECT_EQ(value, tag);
    EXPECT_EQ(status.MPI_SOURCE, previous);
  }
}

TEST(Session, EverySafePointIntervalAndRetention) {
  const test::Directory directory;
  Options options = options_in(directory);
  options.protocol = "coordinated";  // committed when safe_point() returns
  options.interval = Interval::every_safe_points(3);
  options.keep = 2;
  {
    Session session{MPI_COMM_WORLD, options};
    int step = 0;
    session.protect("step", step);
    session.restart();
    for (step = 1; step <= 10; ++step) EXPECT_EQ(session.safe_point(), step % 3 == 0) << step;
    EXPECT_EQ(session.epoch(), 3u);
    EXPECT_EQ(session.checkpoint().code(), Code::ok);
  }
  PMPI_Barrier(MPI_COMM_WORLD);
  if (world_rank() == 0) {
    const std::vector<std::uint64_t> kept = {3, 4};
    EXPECT_EQ(io::Store{directory.path()}.epochs(), kept);
  }
}

TEST(Session, PendingRequestPutsTheCheckpointOff) {
  const test::Directory directory;
  Options options = options_in(directory);
  options.protocol = "coordinated";
  options.interval = Interval::every_safe_points(2);
  Session session{MPI_COMM_WORLD, options};
  session.restart();
  int value = 0;
  int sent = world_rank();
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(&value, 1, MPI_INT, world_rank(), 5, MPI_COMM_WORLD, &request);
  EXPECT_FALSE(session.safe_point());
  EXPECT_FALSE(session.safe_point());  // due, put off
  MPI_Send(&sent, 1, MPI_INT, world_rank(), 5, MPI_COMM_WORLD);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_EQ(value, world_rank());
  EXPECT_TRUE(session.safe_point());  // tried again at once, not two safe points later
}

TEST(Session, ExplicitCheckpointWithAPendingRequestIsBusy) {
  const test::Directory directory;
  Options options = options_in(directory);
  options.log_level = "off";
  Session session{MPI_COMM_WORLD, options};
  session.restart();
  int value = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  if (world_rank() == 0) MPI_Irecv(&value, 1, MPI_INT, 0, 5, MPI_COMM_WORLD, &request);
  EXPECT_EQ(session.checkpoint().code(), Code::busy);
  if (world_rank() == 0) MPI_Send(&value, 1, MPI_INT, 0, 5, MPI_COMM_WORLD);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_EQ(session.checkpoint().code(), Code::ok);
}

TEST(Session, AFailingCheckpointLeavesTheProgramRunning) {
  const test::Directory directory;
  Options options = options_in(directory);
  options.log_level = "off";
  options.directory = (directory.path() / "file" / "cairn").string();
  if (world_rank() == 0) {
    std::filesystem::create_directory(directory.path());
    std::fclose(std::fopen((directory.path() / "file").c_str(), "w"));
  }
  PMPI_Barrier(MPI_COMM_WORLD);
  Session session{MPI_COMM_WORLD, options};
  session.restart();
  const int next = (world_rank() + 1) % world_size();
  int value = world_rank();
  MPI_Send(&value, 1, MPI_INT, next, 1, MPI_COMM_WORLD);
  EXPECT_EQ(session.checkpoint().code(), Code::io_error);
  MPI_Recv(&value, 1, MPI_INT, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  EXPECT_EQ(value, (world_rank() + world_size() - 1) % world_size());
}

TEST(Session, GivesUpWaitingForARankThatDoesNotCome) {
  if (world_size() == 1) GTEST_SKIP() << "needs a rank that waits for another";
  const test::Directory directory;
  Options options = options_in(directory);
  options.log_level = "off";
  options.patience_seconds = 0.2;
  Session session{MPI_COMM_WORLD, options};
  session.restart();
  // Rank 0 wants a checkpoint here; the others are in a collective that needs rank 0 first.
  if (world_rank() == 0) {
    EXPECT_EQ(session.checkpoint().code(), Code::busy);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  if (world_rank() != 0) session.safe_point();
  EXPECT_EQ(session.checkpoint().code(), Code::ok);
}

TEST(Session, OverlappingPartsAreRefused) {
  if (world_size() == 1) GTEST_SKIP() << "needs two ranks that write the same element";
  const test::Directory directory;
  Options options = options_in(directory);
  options.log_level = "off";
  Session session{MPI_COMM_WORLD, options};
  std::vector<double> field(4);
  const auto all = 4 * static_cast<std::uint64_t>(world_size());
  session.protect("field", field, {{all}, {0}, {4}});  // a beginner's mistake: every offset 0
  session.restart();
  const Status status = session.checkpoint();
  EXPECT_EQ(status.code(), Code::invalid_argument);
  EXPECT_NE(status.message().find("overlap"), std::string::npos);
}

TEST(Session, ALateRankDoesNotEndAllCheckpoints) {
  if (world_size() == 1) GTEST_SKIP() << "needs a rank that waits for another";
  const test::Directory directory;
  Options options = options_in(directory);
  options.log_level = "off";
  options.interval = Interval::every_safe_points(1);
  options.keep = 100;
  options.patience_seconds = 0.5;
  Session session{MPI_COMM_WORLD, options};
  session.restart();
  int committed = 0;
  for (int step = 1; step <= 12; ++step) {
    if (step == 2 && world_rank() == 1) {
      const double begin = MPI_Wtime();
      while (MPI_Wtime() - begin < 1.2) {  // computing
      }
    }
    committed += session.safe_point() ? 1 : 0;
  }
  EXPECT_GE(committed, 4);
}

TEST(Session, StepsLongerThanThePatienceAreCheckpointed) {
  const test::Directory directory;
  Options options = options_in(directory);
  options.log_level = "off";
  options.interval = Interval::every_seconds(0.05);
  options.patience_seconds = 0.1;
  Session session{MPI_COMM_WORLD, options};
  session.restart();
  const int next = (world_rank() + 1) % world_size();
  const int previous = (world_rank() + world_size() - 1) % world_size();
  int committed = 0;
  for (int step = 0; step < 10; ++step) {
    const double begin = MPI_Wtime();
    for (int done = 0; done == 0;) {  // a long step that exchanges data all the time
      int value = step;
      MPI_Sendrecv_replace(&value, 1, MPI_INT, next, 0, previous, 0, MPI_COMM_WORLD,
                           MPI_STATUS_IGNORE);
      done = MPI_Wtime() - begin > 0.3 ? 1 : 0;
      MPI_Bcast(&done, 1, MPI_INT, 0, MPI_COMM_WORLD);
    }
    committed += session.safe_point() ? 1 : 0;
  }
  EXPECT_GE(committed, 1);
}

TEST(Session, GoesOnAfterEpochsThatItDidNotRestartFrom) {
  const test::Directory directory;
  auto options = options_in(directory);
  options.restart = {RestartFrom::Kind::never, 0};
  for (std::uint64_t epoch = 1; epoch <= 2; ++epoch) {
    Session session{MPI_COMM_WORLD, options};
    EXPECT_TRUE(session.checkpoint().ok());
    EXPECT_EQ(session.epoch(), epoch);
  }
}

TEST(Session, SettingsOfRank0CountForAll) {
  const test::Directory directory;
  if (world_rank() == 0) setenv("CAIRN_DIR", directory.path().c_str(), 1);
  Options options = options_in(directory);
  options.directory = "not-this-one";
  Session session{MPI_COMM_WORLD, options};
  unsetenv("CAIRN_DIR");
  EXPECT_TRUE(session.checkpoint().ok());
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "epoch-00000001"));
  EXPECT_FALSE(std::filesystem::exists("not-this-one"));
}

// Last: this process takes no checkpoint afterwards.
TEST(Session, MessagesSentPastCairnAbortTheEpoch) {
  const test::Directory directory;
  Options options = options_in(directory);
  options.log_level = "off";
  options.patience_seconds = 1;
  Session session{MPI_COMM_WORLD, options};
  int value = 7;
  // A communicator of Cairn's own is the other colour's. There, nobody counts.
  if (mpi::layer->colour() == 0) {
    EXPECT_TRUE(session.checkpoint().ok());
  }
  const std::uint64_t before = session.epoch();
  const MPI_Comm comm = mpi::layer->coloured(*mpi::layer->find(MPI_COMM_WORLD));
  PMPI_Send(&value, 1, MPI_INT, world_rank(), 3, comm);
  EXPECT_EQ(session.checkpoint().code(), Code::unsupported);
  EXPECT_EQ(session.checkpoint().code(), Code::busy);
  EXPECT_EQ(session.epoch(), before);
  value = 0;
  MPI_Recv(&value, 1, MPI_INT, world_rank(), 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  EXPECT_EQ(value, 7);  // the program goes on
}

}  // namespace
}  // namespace cairn
