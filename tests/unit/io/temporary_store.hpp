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
  const auto image = Layout{entries, amounts}.make_image(info);
  ASSERT_TRUE(image.ok()) << image.status().message();
  const auto file = File::open(*directory / state_file, O_RDWR | O_CREAT);
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(*directory / state_file, image->file.size());
  for (const auto& [number, page] : image->file.pages()) {
    const std::uint64_t offset = number * MemoryFile::page_bytes;
    const std::uint64_t bytes = std::min<std::uint64_t>(page.size(), image->file.size() - offset);
    ASSERT_TRUE(file->write_at(offset, std::span{page}.first(bytes)).ok());
  }
}

inline Status commit_empty(const Store& store, const EpochInfo& info) {
  begin_empty(store, info);
  const auto committed = store.commit(info);
  return committed.ok() ? Status{} : committed.status();
}

}  // namespace cairn::io
