// Epochs that hold changes: chains of them, in every form that they can have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "io/epoch_data.hpp"
#include "io/full_copy.hpp"
#include "io/names.hpp"
#include "io/sealed_json.hpp"
#include "io/state_reader.hpp"
#include "io/verify.hpp"
#include "sample.hpp"

namespace cairn::io {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

// ---- resolve ------------------------------------------------------------------------------------

/// Against marking each byte.
TEST(Resolve, TakesEachByteFromTheNewestEpochThatHasIt) {
  std::mt19937_64 random{20261123};
  const auto below = [&random](std::uint64_t n) { return random() % n; };
  for (int trial = 0; trial < 3000; ++trial) {
    const std::uint64_t bytes = below(60);
    std::vector<std::vector<Stretch>> held(1 + below(5));
    for (auto& stretches : held) {
      const bool full = &stretches == &held.back() && below(4) != 0;
      for (std::uint64_t at = full ? 0 : below(6); at < 64;) {
        const std::uint64_t length = 1 + below(9);
        stretches.push_back({at, length, 0, length, 0});
        at += length + (full || below(2) == 0 ? 0 : below(20));
      }
    }
    std::vector<int> expected(bytes, -1), got(bytes, -1);
    for (int i = static_cast<int>(held.size()); i-- > 0;) {
      for (const Stretch& stretch : held[static_cast<std::size_t>(i)]) {
        for (std::uint64_t b = stretch.offset; b < std::min(stretch.end(), bytes); ++b) {
          expected[b] = i;
        }
      }
    }
    bool complete = false;
    const auto wanted = resolve(held, bytes, complete);
    ASSERT_EQ(wanted.size(), held.size());
    for (int i = static_cast<int>(wanted.size()); i-- > 0;) {
      for (const Stretch& stretch : wanted[static_cast<std::size_t>(i)]) {
        bool needed = false;
        for (std::uint64_t b = stretch.offset; b < std::min(stretch.end(), bytes); ++b) {
          got[b] = i;
          needed = needed || expected[b] == i;
        }
        EXPECT_TRUE(needed) << "reads what a newer epoch has whole";
      }
    }
    ASSERT_EQ(got, expected);
    EXPECT_EQ(complete, std::count(expected.begin(), expected.end(), -1) == 0);
  }
}

// ---- Chains -------------------------------------------------------------------------------------

struct Form {
  const char* name;
  WriteDriver driver;
  int nodes;
  const char* compression;
};

/// A program whose entries change, grow, shrink, come and go.
class Program {
 public:
  Program(std::uint64_t seed, int rank, bool compressible)
      : shared_(seed), own_(seed * 1000 + static_cast<std::uint64_t>(rank)), text_(compressible) {}

  /// Changes everything somehow; the same names on every rank.
  void go_on() {
    if (names_.size() < 5 && shared_() % 3 == 0) names_.push_back("e" + std::to_string(made_++));
    if (names_.size() > 1 && shared_() % 7 == 0) names_.erase(names_.begin());
    if (names_.empty()) names_.push_back("e" + std::to_string(made_++));
    for (const std::string& name : names_) {
      Bytes& bytes = memory_[name];
      if (bytes.empty() || own_() % 6 == 0) bytes.resize(own_() % 5 == 0 ? 0 : own_() % 400000);
      for (std::uint64_t i = own_() % 6; i > 0 && !bytes.empty(); --i) {
        const std::uint64_t at = own_() % bytes.size();
        const std::uint64_t count = std::min<std::uint64_t>(own_() % 30000, bytes.size() - at);
        for (std::uint64_t b = at; b < at + count; ++b) bytes[b] = next_byte();
      }
    }
    std::erase_if(memory_, [this](const auto& item) {
      return std::find(names_.begin(), names_.end(), item.first) == names_.end();
    });
  }

  RankState state() const {
    RankState state;
    for (const std::string& name : names_) {
      const bool object = name.back() % 2 == 1;
      state.entries.push_back({name, object ? ElementType::serialized : ElementType::uint8, 1, {}});
      const Bytes& bytes = memory_.at(name);
      state.slabs.push_back({bytes.data(), bytes.size(), {}, {}});
    }
    return state;
  }

  /// What differs from `before`, in blocks of 4096 bytes; and all that is new.
  Changes changes(const std::map<std::string, Bytes>& before) const {
    constexpr std::uint64_t block = 4096;
    Changes found;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const Bytes& now = memory_.at(names_[i]);
      const auto old = before.find(names_[i]);
      for (std::uint64_t at = 0; at < now.size(); at += block) {
        const std::uint64_t end = std::min<std::uint64_t>(at + block, now.size());
        if (old == before.end() || old->second.size() < end ||
            std::memcmp(&old->second[at], &now[at], end - at) != 0) {
          add_changes(found, i, at, end, &now[at]);
        }
      }
    }
    return found;
  }
  const std::map<std::string, Bytes>& memory() const { return memory_; }

 private:
  std::byte next_byte() { return static_cast<std::byte>(text_ ? 'a' + own_() % 2 : own_()); }

  std::mt19937_64 shared_, own_;
  bool text_;
  int made_ = 0;
  std::vector<std::string> names_;
  std::map<std::string, Bytes> memory_;
};

class Chain : public testing::TestWithParam<Form> {
 protected:
  WriteOptions options() const {
    return {.driver = GetParam().driver,
            .group = nodes.group(),
            .compression = *parse_compression(GetParam().compression)};
  }
  /// Everything, or what has changed since the last one.
  void write(Program& program, std::uint64_t epoch, bool full) {
    EpochInfo info = sample_info(epoch, world_size());
    WriteOptions how = options();
    if (!full) {
      info.parent = last.epoch;
      info.parent_id = last.id;
      how.find_changes = [&](const std::stop_token&) -> Result<FoundChanges> {
        return FoundChanges{program.changes(before), false};
      };
    }
    const Status status = write_epoch(store, info, program.state(), how, &last);
    ASSERT_TRUE(status.ok()) << status.message();
    PMPI_Bcast(&last.id, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    last.epoch = epoch;
    before = program.memory();
    states[epoch] = before;
  }
  void check(std::uint64_t epoch) const {
    const auto reader = StateReader::open(store.epoch_path(epoch), world_rank());
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    const auto& expected = states.at(epoch);
    ASSERT_EQ(reader->entries().size(), expected.size());
    for (const SlabInfo& slab : reader->slabs(world_rank())) {
      const Bytes& content = expected.at(reader->entries()[slab.entry].name);
      Bytes read(slab.count);
      ASSERT_EQ(read.size(), content.size());
      const Status status = reader->read_slab(slab, read);
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_TRUE(read == content) << "epoch " << epoch << ", entry " << slab.entry;
    }
  }

  SharedDirectory directory;
  TestNodes nodes{GetParam().nodes};
  Store store{directory.path() / "cairn"};
  EpochInfo last;
  std::map<std::string, Bytes> before;
  std::map<std::uint64_t, std::map<std::string, Bytes>> states;
};
INSTANTIATE_TEST_SUITE_P(Forms, Chain,
                         testing::Values(Form{"shared", WriteDriver::direct, 0, "none"},
                                         Form{"mpiio", WriteDriver::mpiio, 0, "none"},
                                         Form{"nodes", WriteDriver::direct, 2, "none"},
                                         Form{"zstd", WriteDriver::direct, 0, "zstd:3"},
                                         Form{"lz4nodes", WriteDriver::direct, 1, "lz4"}),
                         [](const auto& form) { return std::string{form.param.name}; });

TEST_P(Chain, RestoresEachEpochBitForBit) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Program program{seed, world_rank(), parse_compression(GetParam().compression)->on()};
    states.clear();
    const std::uint64_t first = seed * 100;
    for (std::uint64_t epoch = first; epoch < first + 9; ++epoch) {
      program.go_on();
      write(program, epoch, epoch == first || epoch == first + 6);
    }
    for (const auto& [epoch, content] : states) check(epoch);
    if (world_rank() == 0) {
      for (const auto& [epoch, content] : states) {
        const VerifyReport report = verify_epoch(store, epoch);
        EXPECT_TRUE(report.good) << testing::PrintToString(report.problems);
        const auto info = store.read_commit(epoch);
        ASSERT_TRUE(info.ok());
        EXPECT_EQ(info->parent.has_value(), epoch != first && epoch != first + 6);
      }
    }
    PMPI_Barrier(MPI_COMM_WORLD);
  }
}

/// One without an id, in nodes' files.
TEST_P(Chain, CompactsAnEpochOfAnOlderFormat) {
  if (std::string_view{GetParam().name} != "nodes") GTEST_SKIP() << "has no other form";
  Program program{7, world_rank(), false};
  program.go_on();
  write(program, 1, true);
  if (world_rank() == 0) {
    const fs::path path = store.epoch_path(1) / commit_file;
    nlohmann::ordered_json document = *read_sealed(path);
    document["format_version"] = 2;
    for (const char* newer : {"id", "parent_id", "compression", "state_bytes", "changed_bytes",
                              "chain_bytes", "checksum"}) {
      document.erase(newer);
    }
    std::ofstream{path} << seal(document);
    ASSERT_TRUE(store.read_commit(1).ok()) << store.read_commit(1).status().message();
    EXPECT_EQ(store.read_commit(1)->id, 0u);
    const auto compacted = compact_epoch(store, 1);
    ASSERT_TRUE(compacted.ok()) << compacted.status().message();
    const VerifyReport report = verify_epoch(store, 1);
    EXPECT_TRUE(report.good) << testing::PrintToString(report.problems);
  }
  PMPI_Barrier(MPI_COMM_WORLD);
  check(1);
  PMPI_Barrier(MPI_COMM_WORLD);
}

/// The same data, through HDF5.
void check_export(const Store& store, std::uint64_t epoch, const fs::path& path) {
  const auto reader = StateReader::open(store.epoch_path(epoch));
  ASSERT_TRUE(reader.ok());
  const auto written = write_full_copy(*reader, path);
  ASSERT_TRUE(written.ok()) << written.status().message();
  EXPECT_EQ(write_full_copy(*reader, path).status().code(), Code::invalid_argument);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  for (std::size_t i = 0; i < reader->entries().size(); ++i) {
    Bytes expected;
    for (int rank = 0; rank < reader->ranks(); ++rank) {
      const SlabInfo slab = reader->slabs(rank)[i];
      Bytes bytes(slab.count);
      ASSERT_TRUE(reader->read_slab(slab, bytes).ok());
      expected.insert(expected.end(), bytes.begin(), bytes.end());
    }
    const hid_t dataset = H5Dopen2(file, dataset_path(reader->entries()[i]).c_str(), H5P_DEFAULT);
    ASSERT_GE(dataset, 0);
    Bytes read(expected.size());
    if (!read.empty()) {
      EXPECT_GE(H5Dread(dataset, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.data()), 0);
    }
    EXPECT_TRUE(read == expected) << "entry " << i;
    H5Dclose(dataset);
  }
  H5Fclose(file);
}

TEST_P(Chain, IsTheSameAfterCompacting) {
  Program program{99, world_rank(), parse_compression(GetParam().compression)->on()};
  for (std::uint64_t epoch = 1; epoch <= 7; ++epoch) {
    program.go_on();
    write(program, epoch, epoch == 1);
  }
  for (const std::uint64_t epoch : {4, 7, 1, 4}) {
    if (world_rank() == 0) {
      const auto compacted = compact_epoch(store, epoch);
      ASSERT_TRUE(compacted.ok()) << compacted.status().message();
      EXPECT_FALSE(compacted->parent.has_value());
      Verifier verifier{store};
      for (const auto& [other, content] : states) {
        EXPECT_TRUE(verifier.report(other).good)
            << other << ": " << testing::PrintToString(verifier.report(other).problems);
      }
    }
    PMPI_Barrier(MPI_COMM_WORLD);
    for (const auto& [other, content] : states) check(other);
    PMPI_Barrier(MPI_COMM_WORLD);
  }
  // Epoch 4 no longer needs what is before it, and 7 nothing.
  if (world_rank() == 0) {
    check_export(store, 6, directory.path() / "6.h5");
    ASSERT_TRUE(store.retain(2).ok());
    EXPECT_EQ(store.epochs(), (std::vector<std::uint64_t>{4, 5, 6, 7}));
  }
  PMPI_Barrier(MPI_COMM_WORLD);
  for (const std::uint64_t epoch : {4, 5, 6, 7}) check(epoch);
}

TEST_P(Chain, IsFullWhenNearlyEverythingHasChangedEverywhere) {
  Program program{7, world_rank(), false};
  program.go_on();
  write(program, 1, true);
  program.go_on();
  // All ranks but the last, then all.
  for (const bool all : {false, true}) {
    EpochInfo info = sample_info(all ? 3 : 2, world_size());
    info.parent = last.epoch;
    info.parent_id = last.id;
    WriteOptions how = options();
    how.find_changes = [&](const std::stop_token&) -> Result<FoundChanges> {
      return FoundChanges{program.changes(before), all || world_rank() != world_size() - 1};
    };
    ASSERT_TRUE(write_epoch(store, info, program.state(), how, &last).ok());
    PMPI_Bcast(&last.id, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    last.epoch = info.epoch;
    states[info.epoch] = before = program.memory();
    const auto reader = StateReader::open(store.epoch_path(info.epoch), world_rank());
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(reader->chain_length(), all ? 1u : 2u);
    check(info.epoch);
  }
}

/// Files take what has changed, and little more.
TEST_P(Chain, TakesNoMoreSpaceThanWhatHasChanged) {
  Sample sample{world_rank(), world_size()};
  sample.flat("x", ElementType::float64, 8, 1 << 20);
  ASSERT_TRUE(
      write_epoch(store, sample_info(1, world_size()), sample.state(), options(), &last).ok());
  PMPI_Bcast(&last.id, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
  EpochInfo info = sample_info(2, world_size());
  info.parent = 1;
  info.parent_id = last.id;
  WriteOptions how = options();
  constexpr std::uint64_t pages = 500;
  how.find_changes = [&](const std::stop_token&) -> Result<FoundChanges> {
    Changes changes;
    for (std::uint64_t i = 0; i < pages; ++i) {
      add_changes(changes, 0, i * 16384, i * 16384 + 4096, sample.bytes(0).data() + i * 16384);
    }
    return FoundChanges{std::move(changes), false};
  };
  ASSERT_TRUE(write_epoch(store, info, sample.state(), how, &last).ok());
  if (world_rank() != 0) return;
  const double changed = static_cast<double>(world_size()) * pages * 4096;
  EXPECT_EQ(last.changed_bytes, static_cast<std::uint64_t>(changed));
  EXPECT_LE(static_cast<double>(last.bytes), 1.05 * changed + (1 << 20));
}

class BrokenChain : public testing::Test {
 protected:
  void SetUp() override {
    if (world_size() > 1) GTEST_SKIP() << "one rank is enough";
    sample.flat("x", ElementType::float64, 8, 1 << 17);
    ASSERT_TRUE(write_epoch(store, sample_info(1, 1), sample.state(), {}, &last).ok());
    for (std::uint64_t epoch = 2; epoch <= 3; ++epoch) write_delta(epoch);
  }
  void write_delta(std::uint64_t epoch) {
    EpochInfo info = sample_info(epoch, 1);
    info.parent = last.epoch;
    info.parent_id = last.id;
    const auto find = [this](const std::stop_token&) -> Result<FoundChanges> {
      Changes changes;
      add_changes(changes, 0, 4096, 8192, sample.bytes(0).data() + 4096);
      return FoundChanges{std::move(changes), false};
    };
    ASSERT_TRUE(write_epoch(store, info, sample.state(), {.find_changes = find}, &last).ok());
  }
  std::string problem(std::uint64_t epoch) const {
    const VerifyReport report = verify_epoch(store, epoch);
    return report.problems.empty() ? "" : report.problems[0];
  }

  SharedDirectory directory;
  Store store{directory.path() / "cairn"};
  Sample sample{0, 1};
  EpochInfo last;
};

TEST_F(BrokenChain, IsGoodAtFirst) {
  for (const std::uint64_t epoch : {1, 2, 3}) EXPECT_EQ(problem(epoch), "");
}

TEST_F(BrokenChain, SaysThatAnEpochIsGone) {
  fs::remove_all(store.epoch_path(1));
  EXPECT_THAT(problem(2), testing::HasSubstr("epoch 2 builds on epoch 1, which is gone"));
  EXPECT_THAT(problem(3), testing::HasSubstr("epoch 2 builds on epoch 1, which is gone"));
}

TEST_F(BrokenChain, SaysThatAnEpochIsAnother) {
  fs::remove_all(store.epoch_path(1));
  ASSERT_TRUE(write_epoch(store, sample_info(1, 1), sample.state(), {}).ok());
  EXPECT_THAT(problem(2), testing::HasSubstr("there is another one of that number"));
}

TEST_F(BrokenChain, FindsDamageInWhatItBuildsOn) {
  const fs::path path = store.epoch_path(1) / state_file;
  const auto info = StateReader::open(store.epoch_path(1));
  ASSERT_TRUE(info.ok());
  // A byte in the middle of the data.
  std::FILE* file = std::fopen(path.c_str(), "r+b");
  ASSERT_NE(file, nullptr);
  std::fseek(file, static_cast<long>(fs::file_size(path) / 2), SEEK_SET);
  const int byte = std::fgetc(file);
  std::fseek(file, -1, SEEK_CUR);
  std::fputc(byte ^ 1, file);
  std::fclose(file);
  EXPECT_THAT(problem(1), testing::HasSubstr("wrong checksum"));
  EXPECT_THAT(problem(3), testing::HasSubstr("builds on epoch 2, which is not good"));
  const auto reader = StateReader::open(store.epoch_path(3), 0);
  ASSERT_TRUE(reader.ok());
  Bytes read(sample.bytes(0).size());
  EXPECT_EQ(reader->read_slab(reader->slabs(0)[0], read).code(), Code::corruption);
}

TEST_F(BrokenChain, KeepsWhatItBuildsOn) {
  ASSERT_TRUE(store.retain(1).ok());
  EXPECT_EQ(store.epochs(), (std::vector<std::uint64_t>{1, 2, 3}));
  ASSERT_TRUE(write_epoch(store, sample_info(4, 1), sample.state(), {}, &last).ok());
  write_delta(5);
  ASSERT_TRUE(store.retain(3).ok());
  EXPECT_EQ(store.epochs(), (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
  ASSERT_TRUE(store.retain(2).ok());
  EXPECT_EQ(store.epochs(), (std::vector<std::uint64_t>{4, 5}));
}

}  // namespace
}  // namespace cairn::io
