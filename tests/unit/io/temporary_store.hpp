// A store in its own temporary directory, and epochs without any data.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "io/files.hpp"
#include "io/layout.hpp"
#include "io/names.hpp"
#include "io/state_file.hpp"
#include "io/store.hpp"

namespace cairn::io {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/cairn-io-test-XXXXXX";
    EXPECT_NE(::mkdtemp(name), nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline Job sample_job() { return {"app", {"./app", "--steps", "10"}, "some-uuid", 1}; }

inline EpochInfo sample_info(std::uint64_t epoch) {
  EpochInfo info;
  info.epoch = epoch;
  info.protocol = "coordinated";
  info.ranks = 1;
  info.application = "app";
  info.uuid = "some-uuid";
  return info;
}

/// begin() and a state file of one rank that protects nothing.
inline void begin_empty(const Store& store, const EpochInfo& info) {
  const auto directory = store.begin(info.epoch);
  ASSERT_TRUE(directory.ok()) << directory.status().message();
  const std::vector<Entry> entries;
  Amounts amounts{0};
  amounts[Amounts::ranks] = 1;
  const auto image =
      Layout{entries, entries.size(), amounts}.make_image(info, Layout::Content::everything);
  ASSERT_TRUE(image.ok()) << image.status().message();
  const auto file = *directory / state_file;
  ASSERT_TRUE(create_state_file(file, image->file.size()).ok());
  ASSERT_TRUE(complete_state_file(file, *image, image->file.size()).ok());
}

inline Status commit_empty(const Store& store, const EpochInfo& info) {
  begin_empty(store, info);
  const auto committed = store.commit(info);
  return committed.ok() ? Status{} : committed.status();
}

}  // namespace cairn::io
