// A directory of one test's own.
#pragma once

#include <gtest/gtest.h>
#include <mpi.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "tests/support/world.hpp"

namespace cairn::test {

/// The same on every rank, empty when made, and removed in the end. Collective.
class Directory {
 public:
  Directory() {
    const auto& info = *testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::current_path() / (std::string{info.test_suite_name()} + "." +
                                               info.name() + "." + std::to_string(world_size()));
    if (world_rank() == 0) std::filesystem::remove_all(path_);
    PMPI_Barrier(MPI_COMM_WORLD);
  }
  ~Directory() {
    PMPI_Barrier(MPI_COMM_WORLD);
    // A session that the test has closed may still be writing.
    std::error_code error;
    if (world_rank() == 0) std::filesystem::remove_all(path_, error);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace cairn::test
