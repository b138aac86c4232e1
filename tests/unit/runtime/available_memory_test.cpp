#include "runtime/capture/available_memory.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <string>

namespace cairn::capture {
namespace {

/// A directory that looks like the root of a system.
class AvailableMemory : public testing::Test {
 protected:
  AvailableMemory() {
    char name[] = "/tmp/cairn-memory-test-XXXXXX";
    EXPECT_NE(::mkdtemp(name), nullptr);
    root = name;
    write("proc/meminfo", "MemTotal:       16000 kB\nMemAvailable:    8000 kB\nMemFree: 1 kB\n");
  }
  ~AvailableMemory() override { std::filesystem::remove_all(root); }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root / path).parent_path());
    std::ofstream{root / path} << text;
  }
  void group(const std::string& path, const std::string& limit, const std::string& usage) const {
    write("sys/fs/cgroup/" + path + "/memory.max", limit + "\n");
    write("sys/fs/cgroup/" + path + "/memory.current", usage + "\n");
  }

  std::filesystem::path root;
};

TEST_F(AvailableMemory, IsWhatTheKernelEstimates) {
  EXPECT_EQ(available_memory(root), 8000u * 1024);
  group("job", "max", "5000");
  write("proc/self/cgroup", "0::/job\n");
  EXPECT_EQ(available_memory(root), 8000u * 1024) << "a group without a limit";
}

TEST_F(AvailableMemory, IsNoMoreThanAControlGroupLeaves) {
  write("proc/self/cgroup", "0::/job/step\n");
  group("job", "900000", "300000");
  EXPECT_EQ(available_memory(root), 600000u) << "of a group above";
  group("job/step", "500000", "300000");
  EXPECT_EQ(available_memory(root), 200000u);
  write("sys/fs/cgroup/job/step/memory.stat", "anon 7\ninactive_file 50000\nactive_file 9\n");
  EXPECT_EQ(available_memory(root), 250000u) << "page cache can be reclaimed";
  group("job/step", "200000", "300000");
  EXPECT_EQ(available_memory(root), 0u) << "over the limit";
}

TEST_F(AvailableMemory, KnowsVersion1) {
  write("proc/self/cgroup", "7:cpu:/other\n4:memory:/job\n0::/\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "700000\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "600000\n");
  write("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 20000\n");
  EXPECT_EQ(available_memory(root), 120000u);
}

TEST_F(AvailableMemory, IsUnknownWhereNothingSays) {
  EXPECT_FALSE(available_memory(root / "missing").has_value());
}

TEST(ThisSystem, HasSomeMemoryLeft) { EXPECT_GT(available_memory().value_or(0), 1u << 20); }

}  // namespace
}  // namespace cairn::capture
