// A file for each node: what other programs see in state.h5.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstdlib>

#include "io/names.hpp"
#include "sample.hpp"

namespace cairn::io {
namespace {

namespace fs = std::filesystem;

/// What TestNodes is made of.
class NodeFiles : public testing::TestWithParam<int> {
 protected:
  /// Writes state.h5, and what belongs to it, into a directory of its own.
  fs::path write(const char* name, const RankState& state, const WriteOptions& options) const {
    const fs::path made = directory.path() / name;
    if (world_rank() == 0) fs::create_directory(made);
    PMPI_Barrier(MPI_COMM_WORLD);
    const Status status = write_state(MPI_COMM_WORLD, made / state_file,
                                      sample_info(1, world_size()), state, options);
    EXPECT_TRUE(status.ok()) << status.message();
    PMPI_Barrier(MPI_COMM_WORLD);
    return made;
  }
  /// h5diff's exit status, in another directory than the files'.
  static int compare(const fs::path& a, const fs::path& b) {
    const int status =
        std::system(fmt::format("cd / && h5diff --exclude-path /index/places {} {} > /dev/null",
                                (a / state_file).native(), (b / state_file).native())
                        .c_str());
    return WEXITSTATUS(status);
  }

  SharedDirectory directory;
  TestNodes nodes{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Nodes, NodeFiles, testing::Values(1, 2, 3, -2));

TEST_P(NodeFiles, StateLooksAsIfItHeldTheData) {
  Sample sample = Sample::full(world_rank(), world_size());
  const fs::path whole = write("whole", sample.state(), {});
  const fs::path parts = write("parts", sample.state(), {.group = nodes.group()});
  // One that differs in the last rank's data, to see that the comparison looks there.
  if (world_rank() == world_size() - 1) {
    const_cast<std::byte*>(sample.state().slabs[16].data)[0] ^= std::byte{1};
  }
  const fs::path other = write("other", sample.state(), {.group = nodes.group()});
  if (world_rank() != 0) return;
  EXPECT_EQ(compare(whole, parts), 0);
  EXPECT_EQ(compare(whole, other), 1);
  // The names of the nodes' files are relative to state.h5.
  fs::create_directory(directory.path() / "below");
  fs::rename(parts, directory.path() / "below" / "moved");
  EXPECT_EQ(compare(whole, directory.path() / "below" / "moved"), 0);
}

TEST_P(NodeFiles, HoldTheDataInsteadOfState) {
  Sample sample{world_rank(), world_size()};
  sample.flat("x", ElementType::float64, 8, 100000);
  const fs::path made = write("parts", sample.state(), {.group = nodes.group()});
  EXPECT_LT(fs::file_size(made / state_file), 64u << 10);
  std::uint64_t bytes = 0;
  for (int i = 0; i < nodes.count(); ++i) {
    bytes += fs::file_size(made / node_file_name(static_cast<std::uint64_t>(i)));
  }
  EXPECT_GE(bytes, static_cast<std::uint64_t>(world_size()) * 800000);
  EXPECT_FALSE(fs::exists(made / node_file_name(static_cast<std::uint64_t>(nodes.count()))));
}

herr_t count_object(hid_t, const char*, const H5O_info_t*, void* count) {
  ++*static_cast<int*>(count);
  return 0;
}

int count_objects(const fs::path& path) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  int count = 0;
  H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_NATIVE, count_object, &count, H5O_INFO_BASIC);
  H5Fclose(file);
  return count;
}

TEST_P(NodeFiles, ObjectCountDoesNotDependOnRanks) {
  Sample sample = Sample::full(world_rank(), world_size());
  const fs::path made = write("parts", sample.state(), {.group = nodes.group()});
  if (world_rank() != 0) return;
  const int entries = static_cast<int>(sample.state().entries.size());
  EXPECT_EQ(count_objects(made / state_file), 17 + entries);
  // The root and 3 groups.
  EXPECT_EQ(count_objects(made / node_file_name(0)), 4 + entries);
}

}  // namespace
}  // namespace cairn::io
