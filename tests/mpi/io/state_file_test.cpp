// Writing and reading state.h5 with any number of ranks.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstdlib>

#include "io/names.hpp"
#include "io/state_reader.hpp"
#include "io/verify.hpp"
#include "sample.hpp"

namespace cairn::io {
namespace {

using testing::HasSubstr;

void expect_equal(const StateReader& reader, int rank, Sample& expected) {
  const RankState& state = expected.state();
  ASSERT_EQ(reader.entries(), state.entries);
  const auto slabs = reader.slabs(rank);
  ASSERT_EQ(slabs.size(), state.entries.size());
  for (std::size_t i = 0; i < slabs.size(); ++i) {
    ASSERT_EQ(slabs[i].count, state.slabs[i].count) << state.entries[i].name;
    EXPECT_EQ(slabs[i].offset, state.slabs[i].offset);
    std::vector<std::byte> bytes(expected.bytes(i).size());
    const Status status = reader.read_slab(slabs[i], bytes);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(bytes == expected.bytes(i)) << state.entries[i].name;
  }
  EXPECT_EQ(reader.counters(rank), state.counters);
  const auto messages = reader.messages(rank);
  ASSERT_TRUE(messages.ok()) << messages.status().message();
  EXPECT_EQ(*messages, state.messages);
}

/// How a file is written, and what TestNodes is made of.
struct Way {
  WriteDriver driver;
  int ranks;
};

class RoundTrip : public testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Ways, RoundTrip,
                         testing::Values(Way{WriteDriver::direct, 0}, Way{WriteDriver::mpiio, 0},
                                         Way{WriteDriver::direct, 1}, Way{WriteDriver::direct, 2},
                                         Way{WriteDriver::direct, 3},
                                         Way{WriteDriver::direct, -2}));

TEST_P(RoundTrip, RestoresEverything) {
  const SharedDirectory directory;
  const Store store{directory.path() / "cairn"};
  const TestNodes nodes{GetParam().ranks};
  Sample sample = Sample::full(world_rank(), world_size());
  const Status status = write_epoch(store, sample_info(3, world_size()), sample.state(),
                                    {.driver = GetParam().driver, .group = nodes.group()});
  ASSERT_TRUE(status.ok()) << status.message();

  const auto mine = StateReader::open(store.epoch_path(3), world_rank());
  ASSERT_TRUE(mine.ok()) << mine.status().message();
  expect_equal(*mine, world_rank(), sample);
  EXPECT_EQ(mine->slabs((world_rank() + 1) % world_size()).empty(), world_size() > 1);

  const auto reader = StateReader::open(store.epoch_path(3));
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  EXPECT_EQ(reader->ranks(), world_size());
  EXPECT_EQ(reader->info().messages_in_flight, 3u * static_cast<unsigned>(world_size()));
  EXPECT_EQ(reader->info().safe_point, 12345678901u);
  ASSERT_EQ(reader->communicators().size(), 1u);
  EXPECT_EQ(reader->communicators()[0].label, "world");
  for (int rank = 0; rank < world_size(); ++rank) {
    Sample theirs = Sample::full(rank, world_size());
    expect_equal(*reader, rank, theirs);
  }
  if (world_rank() == 0) {
    const VerifyReport report = verify_epoch(store, 3);
    EXPECT_TRUE(report.good) << testing::PrintToString(report.problems);
    EXPECT_EQ(report.messages_checked, 3u * static_cast<unsigned>(world_size()));
    EXPECT_GT(report.channels_checked, 0u);
  }
}

TEST(StateFile, HoldsAnEmptyState) {
  const SharedDirectory directory;
  const Store store{directory.path()};
  const Status status = write_epoch(store, sample_info(1, world_size()), {});
  ASSERT_TRUE(status.ok()) << status.message();
  const auto reader = StateReader::open(store.epoch_path(1));
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  EXPECT_TRUE(reader->entries().empty());
  EXPECT_TRUE(reader->messages(0)->empty());
  EXPECT_TRUE(verify_epoch(store, 1).good);
}

herr_t count_object(hid_t, const char*, const H5O_info_t*, void* count) {
  ++*static_cast<int*>(count);
  return 0;
}

TEST(StateFile, ObjectCountDoesNotDependOnRanks) {
  const SharedDirectory directory;
  const Store store{directory.path()};
  Sample sample = Sample::full(world_rank(), world_size());
  ASSERT_TRUE(write_epoch(store, sample_info(1, world_size()), sample.state()).ok());
  if (world_rank() != 0) return;
  const hid_t file =
      H5Fopen((store.epoch_path(1) / state_file).c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  int count = 0;
  H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_NATIVE, count_object, &count, H5O_INFO_BASIC);
  H5Fclose(file);
  // The root, 5 groups, 10 tables, the payload, and one dataset for each entry.
  EXPECT_EQ(count, 17 + static_cast<int>(sample.state().entries.size()));
}

TEST(StateFile, SmallOnesAreSmall) {
  const SharedDirectory directory;
  const Store store{directory.path()};
  Sample sample{world_rank(), world_size()};
  sample.flat("x", ElementType::float64, 8, 10);
  ASSERT_TRUE(write_epoch(store, sample_info(1, world_size()), sample.state()).ok());
  EXPECT_LT(std::filesystem::file_size(store.epoch_path(1) / state_file), 32u << 10);
}

TEST(StateFile, IsOrdinaryHdf5) {
  const SharedDirectory directory;
  const Store store{directory.path()};
  Sample sample = Sample::full(world_rank(), world_size());
  ASSERT_TRUE(write_epoch(store, sample_info(1, world_size()), sample.state()).ok());
  if (world_rank() != 0) return;
  const std::string file = store.epoch_path(1) / state_file;
  const auto run = [](const std::string& command) { return std::system(command.c_str()); };
  EXPECT_EQ(run("h5ls -r " + file + " > /dev/null"), 0);
  EXPECT_EQ(run("h5dump -H " + file + " > /dev/null"), 0);
  EXPECT_EQ(run("h5dump -d /index/slabs -d /index/entries " + file + " > /dev/null"), 0);
  const std::string script = fmt::format(
      "import h5py; f = h5py.File('{}', 'r'); n = {}\n"
      "assert f.attrs['format_version'] == 3 and f.attrs['application'] == b'sample'\n"
      "assert f['regions/rows'].shape == (4 * n, 10) and f['regions/rows'].dtype == 'f8'\n"
      "assert f['regions/columns'][:].shape == (700, 600 * n)\n"
      "assert 'odd%2Fna%25me \\u00e9 %01' in f['regions'], list(f['regions'])\n"
      "assert f['objects/object'].dtype == 'u1'\n"
      "assert f['index/entries']['name'][0] == b'int8'\n"
      "assert len(f['index/slabs']) == n * len(f['index/entries'])\n",
      file, world_size());
  EXPECT_EQ(run(fmt::format("/usr/bin/python3 -c \"{}\"", script)), 0);
}

TEST(StateFile, IsTheSameWithBothDrivers) {
  const SharedDirectory directory;
  const EpochInfo info = sample_info(1, world_size());
  Sample sample = Sample::full(world_rank(), world_size());
  const auto write = [&](const char* name, WriteDriver driver) {
    const auto path = directory.path() / name;
    const Status status =
        write_state(MPI_COMM_WORLD, path, info, sample.state(), {.driver = driver});
    EXPECT_TRUE(status.ok()) << status.message();
    return path.native();
  };
  const std::string direct = write("direct.h5", WriteDriver::direct);
  const std::string mpiio = write("mpiio.h5", WriteDriver::mpiio);
  // A file that differs, to see that the comparison looks.
  const_cast<std::byte*>(sample.state().slabs[0].data)[0] ^= std::byte{1};
  const std::string other = write("other.h5", WriteDriver::direct);
  if (world_rank() != 0) return;
  const auto compare = [](const std::string& a, const std::string& b) {
    const int status = std::system(fmt::format("h5diff {} {} > /dev/null", a, b).c_str());
    return WEXITSTATUS(status);
  };
  EXPECT_EQ(compare(direct, mpiio), 0);
  EXPECT_EQ(compare(direct, other), 1);
}

/// Both the code and the message are those of the first rank that failed, on every rank.
void expect_refused(RankState& state, Code code, const std::string& text) {
  const SharedDirectory directory;
  const Store store{directory.path()};
  const Status status = write_epoch(store, sample_info(1, world_size()), state);
  EXPECT_EQ(status.code(), code);
  EXPECT_THAT(status.message(), HasSubstr(text));
  EXPECT_TRUE(store.epochs().empty());
}

TEST(StateFile, RefusesEntriesThatDiffer) {
  if (world_size() == 1) GTEST_SKIP() << "needs two ranks";
  Sample other{world_rank(), world_size()};
  other.flat("a", ElementType::int32, 4, 1);
  const bool last = world_rank() == world_size() - 1;
  other.flat(last ? "u" : "v", ElementType::float64, 8, 1);
  expect_refused(other.state(), Code::invalid_argument,
                 fmt::format("rank {}: entry 1 is 'u' (float64", world_size() - 1));
  Sample longer{world_rank(), world_size()};
  if (last) longer.flat("u", ElementType::float64, 8, 1);
  expect_refused(longer.state(), Code::invalid_argument, "on rank 0 nothing more");
}

TEST(StateFile, RefusesBadEntries) {
  Sample outside{world_rank(), world_size()};
  outside.shaped("u", ElementType::float64, 8, {4, 4}, {1, 0}, {4, 4});
  expect_refused(outside.state(), Code::invalid_argument, "'u'");
  Sample twice{world_rank(), world_size()};
  twice.flat("u", ElementType::int8, 1, 1).flat("u", ElementType::int8, 1, 1);
  expect_refused(twice.state(), Code::invalid_argument, "two of this name");
  Sample nameless{world_rank(), world_size()};
  nameless.flat("", ElementType::int8, 1, 1);
  expect_refused(nameless.state(), Code::invalid_argument, "no name");
  if (world_size() == 1) return;
  Sample overlapping{world_rank(), world_size()};
  overlapping.shaped("u", ElementType::float64, 8, {4, 4}, {0, 0}, {4, 4});
  expect_refused(overlapping.state(), Code::invalid_argument, "overlap");
}

}  // namespace
}  // namespace cairn::io
