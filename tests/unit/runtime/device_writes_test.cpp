#include "runtime/capture/device_writes.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace cairn::capture {
namespace {

namespace fs = std::filesystem;

class DeviceWrites : public testing::Test {
 protected:
  DeviceWrites() {
    char name[] = "/tmp/cairn-devices-test-XXXXXX";
    EXPECT_NE(::mkdtemp(name), nullptr);
    root = name;
  }
  ~DeviceWrites() override { fs::remove_all(root); }

  fs::path root;
};

TEST_F(DeviceWrites, AreNotExpectedWithoutADevice) {
  EXPECT_FALSE(memory_may_be_written_by_devices(root));
  fs::create_directories(root / "sys/class/infiniband");
  fs::create_directories(root / "sys/class/net/eth0");
  EXPECT_FALSE(memory_may_be_written_by_devices(root)) << "the module without a card";
}

TEST_F(DeviceWrites, AreExpectedOfEachKind) {
  for (const std::string device :
       {"sys/class/infiniband/mlx5_0", "sys/class/cxi/cxi0", "sys/class/kfd/kfd",
        "proc/driver/nvidia/gpus/0000:01:00.0", "sys/class/misc/xpmem"}) {
    fs::create_directories(root / device);
    EXPECT_TRUE(memory_may_be_written_by_devices(root)) << device;
    fs::remove_all(root / device);
    EXPECT_FALSE(memory_may_be_written_by_devices(root)) << device;
  }
}

}  // namespace
}  // namespace cairn::capture
