// Damages every part of a checkpoint and requires that it is noticed. One rank.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "io/commit_record.hpp"
#include "io/names.hpp"
#include "io/sealed_json.hpp"
#include "io/state_reader.hpp"
#include "io/verify.hpp"
#include "sample.hpp"

namespace cairn::io {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;

std::string read_file(const fs::path& path) {
  std::ifstream stream{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

void write_file(const fs::path& path, const std::string& content) {
  std::ofstream{path, std::ios::binary | std::ios::trunc} << content;
}

/// Changes one bit of one byte; a second call puts it back.
void flip(const fs::path& path, std::uint64_t offset, int bit) {
  const int file = ::open(path.c_str(), O_RDWR);
  char byte = 0;
  ASSERT_EQ(::pread(file, &byte, 1, static_cast<off_t>(offset)), 1);
  byte = static_cast<char>(byte ^ (1 << bit));
  ASSERT_EQ(::pwrite(file, &byte, 1, static_cast<off_t>(offset)), 1);
  ::close(file);
}

/// With all data in state.h5, or in the file of a node.
class Damage : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    Sample sample{0, 1};
    sample.flat("u", ElementType::float64, 8, 100).flat("object", ElementType::serialized, 1, 77);
    sample.shaped("grid", ElementType::int32, 4, {5, 6}, {0, 0}, {5, 6}).ring(3);
    const Status status = write_epoch(store, sample_info(1, 1), sample.state(), options);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_TRUE(verify_epoch(store, 1).good);
    state = store.epoch_path(1) / state_file;
    files = {state};
    if (GetParam()) files.push_back(store.epoch_path(1) / node_file_name(0));
    commit = store.epoch_path(1) / commit_file;
  }

  SharedDirectory directory;
  Store store{directory.path()};
  TestNodes nodes{GetParam() ? 1 : 0};
  WriteOptions options{.group = nodes.group()};
  fs::path state, commit;
  std::vector<fs::path> files;  ///< all but commit; the last one has the data
};
INSTANTIATE_TEST_SUITE_P(NodeFiles, Damage, testing::Bool());

TEST_P(Damage, EveryByteOfEachFileIsCovered) {
  for (const fs::path& file : files) {
    const std::uint64_t size = fs::file_size(file);
    for (std::uint64_t offset = 0; offset < size; ++offset) {
      const int bit = static_cast<int>(offset % 8);
      flip(file, offset, bit);
      const VerifyReport report = verify_epoch(store, 1);
      ASSERT_FALSE(report.good) << "byte " << offset << " of " << size << " of " << file;
      ASSERT_THAT(report.problems[0], HasSubstr("damaged"));
      ASSERT_THAT(report.problems[0], HasSubstr(file.native()));
      flip(file, offset, bit);
    }
  }
  EXPECT_TRUE(verify_epoch(store, 1).good);
}

TEST_P(Damage, TruncatedAndMissingFilesAreNoticed) {
  const auto expect_noticed = [&](const fs::path& file) {
    const auto read = store.read_commit(1);
    EXPECT_EQ(read.status().code(), Code::corruption);
    EXPECT_THAT(read.status().message(), HasSubstr(file.native()));
    EXPECT_EQ(StateReader::open(store.epoch_path(1), 0).status().code(), Code::corruption);
    EXPECT_FALSE(verify_epoch(store, 1).good);
  };
  for (const fs::path& file : files) {
    const std::string content = read_file(file);
    for (std::size_t length = 0; length < content.size(); length += 97) {
      write_file(file, content.substr(0, length));
      expect_noticed(file);
    }
    write_file(file, content + "x");
    expect_noticed(file);
    fs::remove(file);
    expect_noticed(file);
    write_file(file, content);
  }
  EXPECT_TRUE(verify_epoch(store, 1).good);
}

TEST_P(Damage, EveryByteOfCommitIsCovered) {
  const std::uint64_t size = fs::file_size(commit);
  for (std::uint64_t offset = 0; offset < size; ++offset) {
    for (int bit = 0; bit < 8; ++bit) {
      flip(commit, offset, bit);
      ASSERT_EQ(store.read_commit(1).status().code(), Code::corruption)
          << "bit " << bit << " of byte " << offset;
      flip(commit, offset, bit);
    }
  }
  EXPECT_TRUE(store.read_commit(1).ok());
}

TEST_P(Damage, TornCommitIsNoticed) {
  const std::string content = read_file(commit);
  for (std::size_t length = 0; length < content.size(); ++length) {
    write_file(commit, content.substr(0, length));
    ASSERT_EQ(store.read_commit(1).status().code(), Code::corruption) << length;
  }
  write_file(commit, content + "\n");
  EXPECT_EQ(store.read_commit(1).status().code(), Code::corruption);
}

/// Damage is found by the call that reads the damaged part, and named.
TEST_P(Damage, ReaderNamesTheEntry) {
  auto reader = StateReader::open(store.epoch_path(1));
  ASSERT_TRUE(reader.ok());
  const std::string content = read_file(files.back());
  std::vector<std::byte> bytes(800);
  ASSERT_TRUE(reader->read_slab(reader->slabs(0)[0], bytes).ok());
  const auto* data = reinterpret_cast<const char*>(bytes.data());
  flip(files.back(), content.find(std::string(data, bytes.size())) + 5, 0);
  const Status status = reader->read_slab(reader->slabs(0)[0], bytes);
  EXPECT_EQ(status.code(), Code::corruption);
  EXPECT_THAT(status.message(), HasSubstr("'u' of rank 0"));
  EXPECT_THAT(status.message(), HasSubstr(files.back().native()));
  EXPECT_EQ(reader->read_slab(reader->slabs(0)[0], std::span{bytes}.first(8)).code(),
            Code::invalid_argument);
}

TEST_P(Damage, ForeignFilesAreNoticed) {
  Sample sample{0, 1};
  sample.flat("u", ElementType::float64, 8, 100).flat("object", ElementType::serialized, 1, 77);
  sample.shaped("grid", ElementType::int32, 4, {5, 6}, {0, 0}, {5, 6}).ring(3);
  ASSERT_TRUE(write_epoch(store, sample_info(2, 1), sample.state(), options).ok());
  for (const fs::path& file : files) {
    const std::string content = read_file(file);
    fs::copy_file(store.epoch_path(2) / file.filename(), file,
                  fs::copy_options::overwrite_existing);
    EXPECT_FALSE(verify_epoch(store, 1).good);  // the epoch number in it differs
    write_file(file, content);
  }
}

/// Reads everything that can be read; the answers don't matter.
void read_all(const fs::path& epoch_directory) {
  for (const std::optional<int> rank : {std::optional<int>{}, std::optional<int>{0}}) {
    const auto reader = StateReader::open(epoch_directory, rank);
    if (!reader) continue;
    for (const SlabInfo& slab : reader->slabs(0)) {
      const std::uint64_t bytes = slab.count * reader->entries()[slab.entry].element_bytes;
      std::vector<std::byte> memory(bytes);
      if (reader->read_slab(slab, memory).ok() != reader->check_slab(slab).ok()) ADD_FAILURE();
    }
    reader->counters(0);
    if (const auto messages = reader->messages(0); messages.ok()) {
      EXPECT_LT(messages->size(), 10000u);
    }
  }
}

/// Nonsense under right checksums: what a faulty writer or an attacker could leave.
TEST_P(Damage, NonsenseInTablesIsSurvived) {
  const auto record = read_commit_record(store.epoch_path(1));
  ASSERT_TRUE(record.ok());
  const std::string content = read_file(state);
  const unsigned seed = 20240607;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random{seed};
  const std::uint64_t values[] = {0,
                                  1,
                                  2,
                                  255,
                                  1u << 20,
                                  ~std::uint64_t{0},
                                  ~std::uint64_t{0} >> 1,
                                  std::uint64_t{1} << 63,
                                  content.size()};
  int readable = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string changed = content;
    for (const auto& [path, extent] : record->state.datasets) {
      const bool table = record->state.table_checksums.contains(path);
      if (!table || extent.bytes == 0 || random() % 4 != 0) continue;
      const std::uint64_t value = random() % 2 ? values[random() % std::size(values)] : random();
      const std::size_t bytes = random() % 2 ? 4 : 8;
      const std::uint64_t at = random() % (extent.bytes / 4) * 4;
      std::memcpy(&changed[extent.offset + std::min(at, extent.bytes - bytes)], &value, bytes);
    }
    write_file(state, changed);
    CommitRecord resealed{record->info, *scan_state(state), record->nodes};
    write_file(commit, format_commit(resealed));
    read_all(store.epoch_path(1));
    readable += verify_epoch(store, 1).good;
  }
  EXPECT_LT(readable, 1000);
}

TEST_P(Damage, NonsenseInCommitIsSurvived) {
  const std::string content = read_file(commit);
  const auto document = nlohmann::ordered_json::parse(content);
  const unsigned seed = 20240608;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random{seed};
  const nlohmann::ordered_json values[] = {
      nullptr, -1, 0, 1, 1e300, "x", true, {1, 2}, {{"a", 1}}, ~std::uint64_t{0}, 4096};
  auto flat = document.flatten();
  flat.erase("/checksum");
  for (int round = 0; round < 1500; ++round) {
    auto changed = flat;
    for (int i = 0; i < 2; ++i) {
      auto item =
          std::next(changed.begin(), static_cast<std::ptrdiff_t>(random() % changed.size()));
      const auto& value = values[random() % std::size(values)];
      if (random() % 4 == 0) {
        changed.erase(item);
      } else if (value.is_primitive()) {
        *item = value;
      }
    }
    nlohmann::ordered_json nested;
    try {
      nested = changed.unflatten();
    } catch (const nlohmann::json::exception&) {
      continue;
    }
    write_file(commit, seal(nested));
    read_all(store.epoch_path(1));
    verify_epoch(store, 1);
  }
}

TEST(Verify, TellsOrphanLostAndDuplicateApart) {
  const SharedDirectory directory;
  const Store store{directory.path()};
  const auto problems = [&](std::uint64_t epoch, std::uint64_t sent, std::uint64_t received,
                            int stored) {
    Sample sample{0, 1};
    sample.ring(stored);
    sample.state().counters = {{7, 0, sent, received}};
    EXPECT_TRUE(write_epoch(store, sample_info(epoch, 1), sample.state()).ok());
    const VerifyReport report = verify_epoch(store, epoch);
    EXPECT_EQ(report.good, report.problems.empty());
    return report.problems;
  };
  EXPECT_TRUE(problems(1, 10, 8, 2).empty());
  EXPECT_THAT(problems(2, 8, 9, 0),
              Contains(HasSubstr("orphan message: world 0 -> 0: 9 received")));
  EXPECT_THAT(problems(3, 10, 8, 1), Contains(HasSubstr("lost message: world 0 -> 0: 10 sent")));
  EXPECT_THAT(problems(4, 10, 8, 3), Contains(HasSubstr("duplicate message: world 0 -> 0")));
}

}  // namespace
}  // namespace cairn::io
