// Writing while the program goes on: ranks that poll at different rates, and ranks that fail.
#include "io/state_write.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <tuple>

#include "io/names.hpp"
#include "io/state_reader.hpp"
#include "io/verify.hpp"
#include "sample.hpp"

namespace cairn::io {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t epoch = 3;

/// What a program does between two calls that let Cairn work. More on some ranks than on others.
void compute(int amount) {
  volatile double x = 1;
  for (int i = 0; i < 1000 * amount; ++i) x = x * 1.0000001 + 0.1;
}

/// Polls until `over`; fails the test when that takes too long.
template <class Over>
void poll_until(StateWrite& write, Over over) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (!over()) {
    ASSERT_LT(Clock::now(), deadline) << "rank " << world_rank() << " waits for ever";
    compute(world_rank() * 7 % 5);
    write.poll();
  }
}

Status poll_to_the_end(StateWrite& write) {
  bool over = false;
  poll_until(write, [&] { return over = over || write.poll(); });
  return write.status();
}

class StateWriteTest : public testing::Test {
 protected:
  StateWriteTest() {
    if (world_rank() != 0) return;
    EXPECT_TRUE(store.prepare({"sample", {"./sample"}, "uuid", world_size()}).ok());
    EXPECT_TRUE(store.begin(epoch).ok());
  }
  /// Everything up to the commit.
  Status commit() const {
    int good = 1;
    if (world_rank() == 0) good = store.commit(info).ok() ? 1 : 0;
    PMPI_Bcast(&good, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return good != 0 ? Status{} : Status{Code::io_error, "the commit failed"};
  }
  void expect_failure(StateWrite& write, Code code, const std::string& message) const {
    const Status status = poll_to_the_end(write);
    EXPECT_EQ(status.code(), code);
    EXPECT_EQ(status.message(), message);
    EXPECT_FALSE(write.slabs_in_use());
    PMPI_Barrier(MPI_COMM_WORLD);
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_FALSE(std::filesystem::exists(path.parent_path() / node_file_name(0)));
  }
  static std::string from(int rank, const std::string& message) {
    return rank == 0 ? message : fmt::format("rank {}: {}", rank, message);
  }

  SharedDirectory directory;
  Store store{directory.path() / "cairn"};
  EpochInfo info = sample_info(epoch, world_size());
  std::filesystem::path path = store.directory() /
                               (std::string{temporary_prefix} + epoch_directory_name(epoch)) /
                               state_file;
};

std::string content(const std::filesystem::path& file) {
  std::ifstream stream{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

TEST_F(StateWriteTest, MakesTheFileThatBlockingMakes) {
  Sample sample = Sample::full(world_rank(), world_size());
  const RankState& state = sample.state();
  const auto blocking = directory.path() / "blocking.h5";
  ASSERT_TRUE(write_state(MPI_COMM_WORLD, blocking, info, state).ok());

  compute(1000 * (world_rank() % 3));  // ranks begin at different times
  StateWrite write{MPI_COMM_WORLD, path, info};
  EXPECT_FALSE(write.poll());
  write.begin(state.entries, state.slabs);
  for (int i = 0; i < 50 * world_rank(); ++i) {
    compute(1);
    EXPECT_FALSE(write.poll()) << "nothing can be over before finish()";
  }
  write.finish(state.counters, state.messages, state.communicators);
  const Status status = poll_to_the_end(write);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_GT(write.written_bytes(), std::uint64_t{3} << 20);
  EXPECT_GT(write.writer_seconds(), 0.0);
  EXPECT_TRUE(content(path) == content(blocking));
  PMPI_Barrier(MPI_COMM_WORLD);  // the commit renames the directory
  ASSERT_TRUE(commit().ok());
  if (world_rank() == 0) {
    EXPECT_TRUE(verify_epoch(store, epoch).good);
  }
}

/// The data is written before anybody knows how much was in the channels; afterwards the program
/// may have its memory back.
TEST_F(StateWriteTest, WritesTheDataBeforeTheChannelsAreKnown) {
  Sample sample{world_rank(), world_size()};
  sample.flat("x", ElementType::float64, 8, 300000).ring(5);
  const RankState& state = sample.state();
  const std::vector<std::byte> expected = sample.bytes(0);
  StateWrite write{MPI_COMM_WORLD, path, info};
  EXPECT_FALSE(write.slabs_in_use());
  write.begin(state.entries, state.slabs);
  EXPECT_TRUE(write.slabs_in_use());
  poll_until(write, [&] { return !write.slabs_in_use(); });
  // The sample's own memory, which the slabs point to.
  std::fill_n(const_cast<std::byte*>(state.slabs[0].data), expected.size(), std::byte{42});

  write.finish(state.counters, state.messages, state.communicators);
  const Status status = poll_to_the_end(write);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_TRUE(commit().ok());
  const auto reader = StateReader::open(store.epoch_path(epoch), world_rank());
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  std::vector<std::byte> read(expected.size());
  EXPECT_TRUE(reader->read_slab(reader->slabs(world_rank())[0], read).ok());
  EXPECT_TRUE(read == expected);
  EXPECT_EQ(*reader->messages(world_rank()), state.messages);
}

/// One rank fails at one of several moments; the others hear of it, each at its own pace.
class OneRankFails : public StateWriteTest,
                     public testing::WithParamInterface<std::tuple<int, int>> {};
INSTANTIATE_TEST_SUITE_P(MomentsAndNodes, OneRankFails,
                         testing::Combine(testing::Range(0, 5), testing::Values(0, 1, 2)));

TEST_P(OneRankFails, AllEndWithItsStatusAndNoFile) {
  const int moment = std::get<0>(GetParam());
  const TestNodes nodes{std::get<1>(GetParam())};
  const int victim = world_size() - 1;
  const bool fails = world_rank() == victim;
  const Status why{Code::busy, "the victim's own reason"};
  Sample sample = Sample::full(world_rank(), world_size());
  const RankState& state = sample.state();
  StateWrite write{MPI_COMM_WORLD, path, info, {.group = nodes.group()}};
  if (fails && moment == 0) write.fail(why);
  if (!fails || moment > 0) write.begin(state.entries, state.slabs);
  if (fails && moment == 1) write.fail(why);
  if (moment >= 2 && moment < 4) {
    poll_until(write, [&] { return !write.slabs_in_use(); });
    if (fails && moment == 2) write.fail(why);
  }
  if (!fails || moment > 2) {
    write.finish(state.counters, state.messages, state.communicators);
    if (fails) write.fail(why);
  }
  expect_failure(write, why.code(), from(victim, why.message()));
}

TEST_F(StateWriteTest, NamesTheLowestRankThatFails) {
  const int lowest = world_size() / 2;
  StateWrite write{MPI_COMM_WORLD, path, info};
  const auto why = [](int rank) { return fmt::format("reason {}", rank); };
  if (world_rank() >= lowest) {
    write.fail({Code::unsupported, why(world_rank())});
    write.fail({Code::busy, "only the first failure of a rank counts"});
  } else {
    write.begin({}, {});
    write.finish({}, {}, {});
  }
  expect_failure(write, Code::unsupported, from(lowest, why(lowest)));
}

TEST_F(StateWriteTest, IsTooLateToFailWhenAllIsOver) {
  StateWrite write{MPI_COMM_WORLD, path, info};
  write.begin({}, {});
  write.finish({}, {}, {});
  EXPECT_TRUE(poll_to_the_end(write).ok());
  write.fail({Code::busy, "too late"});
  EXPECT_TRUE(write.poll());
  EXPECT_TRUE(write.status().ok());
  EXPECT_TRUE(commit().ok());
}

TEST_F(StateWriteTest, RefusesWhatOnlyOneRankHasWrong) {
  Sample sample{world_rank(), world_size()};
  sample.flat("x", ElementType::float64, 8, 100);
  sample.state().messages.push_back({7, 0, 99, 0, {}});  // to a rank that is not this one
  if (world_rank() != world_size() - 1) sample.state().messages.clear();
  const RankState& state = sample.state();
  StateWrite write{MPI_COMM_WORLD, path, info};
  write.begin(state.entries, state.slabs);
  write.finish(state.counters, state.messages, state.communicators);
  expect_failure(write, Code::invalid_argument,
                 from(world_size() - 1, fmt::format("a message to rank 99 can't be saved by rank "
                                                    "{}",
                                                    world_size() - 1)));
}

TEST_F(StateWriteTest, RefusesToUseMpiIoWhileTheProgramGoesOn) {
  StateWrite write{MPI_COMM_WORLD, path, info, {.driver = WriteDriver::mpiio}};
  write.begin({}, {});
  write.finish({}, {}, {});
  expect_failure(write, Code::invalid_argument,
                 "the driver mpiio can't write while the program goes on");
}

/// With the store's calls in the thread, nothing is left for the program's thread to wait for.
TEST_F(StateWriteTest, PreparesAndPublishesInTheThread) {
  const std::uint64_t next = epoch + 1;
  info.epoch = next;
  StateWrite::Options options;
  options.prepare = [&] {
    const auto made = store.begin(next);
    return made ? Status{} : made.status();
  };
  options.publish = [&](const DataForm& /*form*/, const WrittenFiles& files) {
    const auto committed = store.commit(info, files);
    return committed ? Status{} : committed.status();
  };
  Sample sample = Sample::full(world_rank(), world_size());
  const RankState& state = sample.state();
  const auto attempt = [&] {
    StateWrite write{MPI_COMM_WORLD, store.temporary_path(next) / state_file, info, options};
    write.begin(state.entries, state.slabs);
    write.finish(state.counters, state.messages, state.communicators);
    return poll_to_the_end(write);
  };
  const Status status = attempt();
  ASSERT_TRUE(status.ok()) << status.message();
  PMPI_Barrier(MPI_COMM_WORLD);
  EXPECT_EQ(store.epochs(), std::vector<std::uint64_t>{next});
  EXPECT_TRUE(verify_epoch(store, next).good);
  PMPI_Barrier(MPI_COMM_WORLD);

  const Status again = attempt();
  EXPECT_EQ(again.code(), Code::invalid_argument);
  EXPECT_THAT(again.message(), HasSubstr("exists already"));
}

class NodeFiles : public StateWriteTest, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Nodes, NodeFiles, testing::Values(1, 2, 3, -2));

TEST_P(NodeFiles, AreWrittenWhileTheProgramGoesOn) {
  const TestNodes nodes{GetParam()};
  StateWrite::Options options{.group = nodes.group()};
  options.publish = [&](const DataForm& /*form*/, const WrittenFiles& files) {
    EXPECT_EQ(files.nodes.size(), static_cast<std::size_t>(nodes.count()));
    const auto committed = store.commit(info, files);
    return committed ? Status{} : committed.status();
  };
  Sample sample = Sample::full(world_rank(), world_size());
  const RankState& state = sample.state();
  StateWrite write{MPI_COMM_WORLD, path, info, options};
  write.begin(state.entries, state.slabs);
  poll_until(write, [&] { return !write.slabs_in_use(); });
  write.finish(state.counters, state.messages, state.communicators);
  const Status status = poll_to_the_end(write);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_GT(write.written_bytes(), std::uint64_t{3} << 20);
  PMPI_Barrier(MPI_COMM_WORLD);
  // HDF5 finds in the files what their writers have told.
  const VerifyReport report = verify_epoch(store, epoch);
  EXPECT_TRUE(report.good) << testing::PrintToString(report.problems);
  std::uint64_t bytes = 0;
  for (int i = 0; i < nodes.count(); ++i) {
    bytes += std::filesystem::file_size(store.epoch_path(epoch) /
                                        node_file_name(static_cast<std::uint64_t>(i)));
  }
  bytes += std::filesystem::file_size(store.epoch_path(epoch) / state_file);
  EXPECT_EQ(store.read_commit(epoch)->bytes, bytes);
}

/// The directory is there, but one file of a node can't be made: nobody hangs, no other file stays.
TEST_P(NodeFiles, FailTogetherWhenOneCantBeMade) {
  const TestNodes nodes{GetParam()};
  const int victim = nodes.count() - 1;  // a node
  const auto in_the_way = path.parent_path() / node_file_name(static_cast<std::uint64_t>(victim));
  if (world_rank() == 0) std::filesystem::create_directory(in_the_way);
  PMPI_Barrier(MPI_COMM_WORLD);
  Sample sample = Sample::full(world_rank(), world_size());
  const RankState& state = sample.state();
  StateWrite write{MPI_COMM_WORLD, path, info, {.group = nodes.group()}};
  write.begin(state.entries, state.slabs);
  write.finish(state.counters, state.messages, state.communicators);
  const Status status = poll_to_the_end(write);
  EXPECT_EQ(status.code(), Code::io_error);
  EXPECT_THAT(status.message(), HasSubstr(in_the_way.native()));
  const int leader = GetParam() > 0 ? victim * GetParam() : victim;
  EXPECT_THAT(status.message(), testing::StartsWith(from(leader, "")));
  PMPI_Barrier(MPI_COMM_WORLD);
  EXPECT_FALSE(std::filesystem::exists(path));
  if (victim > 0) {
    EXPECT_FALSE(std::filesystem::exists(path.parent_path() / node_file_name(0)));
  }
}

TEST_F(StateWriteTest, RefusesMpiIoWithNodeFiles) {
  const TestNodes nodes{1};
  StateWrite write{MPI_COMM_WORLD,
                   path,
                   info,
                   {.driver = WriteDriver::mpiio, .blocking = true, .group = nodes.group()}};
  write.begin({}, {});
  write.finish({}, {}, {});
  expect_failure(write, Code::invalid_argument,
                 "the driver mpiio can't write a file for each node");
}

TEST_F(StateWriteTest, TellsEveryRankThatPublishingFailed) {
  StateWrite::Options options;
  int calls = 0;
  options.publish = [&](const DataForm& /*form*/, const WrittenFiles& files) {
    calls += files.state.count(ranks_table) == 1 ? 1 : 100;
    return Status{Code::io_error, "can't publish it"};
  };
  StateWrite write{MPI_COMM_WORLD, path, info, options};
  write.begin({}, {});
  write.finish({}, {}, {});
  expect_failure(write, Code::io_error, "can't publish it");
  EXPECT_EQ(calls, world_rank() == 0 ? 1 : 0);
}

TEST_F(StateWriteTest, FailsWithoutItsDirectory) {
  StateWrite write{MPI_COMM_WORLD, directory.path() / "missing" / state_file, info};
  write.begin({}, {});
  write.finish({}, {}, {});
  const Status status = poll_to_the_end(write);
  EXPECT_EQ(status.code(), Code::not_found);
  EXPECT_THAT(status.message(), HasSubstr("missing"));
}

}  // namespace
}  // namespace cairn::io
