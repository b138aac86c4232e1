// What a delta says has changed is what has changed: random programs, random epochs, every tracker.
#include "runtime/capture/change_tracker.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <thread>

#include "runtime/capture/chain.hpp"
#include "runtime/capture/staging.hpp"

namespace cairn::capture {
namespace {

using Bytes = std::vector<std::byte>;

/// Regions and objects that change, grow, shrink, move, come and go.
class Program {
 public:
  explicit Program(std::uint64_t seed) : random_(seed) {}

  void go_on() {
    if (items_.size() < 6 && below(3) == 0) add();
    if (items_.size() > 2 && below(8) == 0) items_.erase(items_.begin() + 1);
    if (items_.empty()) add();
    const bool much = below(5) == 0;
    for (Item& item : items_) change(item, much);
  }

  Capture capture() {
    Capture capture;
    capture.objects.reserve(items_.size());
    for (Item& item : items_) {
      Bytes* bytes = &item.bytes;
      if (item.object) bytes = &capture.objects.emplace_back(item.bytes);
      capture.entries.push_back(
          {item.name, item.object ? ElementType::serialized : ElementType::uint8, 1, {}});
      capture.slabs.push_back({bytes->data(), bytes->size(), {}, {}});
      capture.memory.emplace_back(*bytes);
    }
    return capture;
  }
  std::map<std::string, Bytes> content() const {
    std::map<std::string, Bytes> content;
    for (const Item& item : items_) content[item.name] = item.bytes;
    return content;
  }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

 private:
  struct Item {
    std::string name;
    bool object = false;
    Bytes bytes;
  };

  void add() {
    const bool object = below(4) == 0;
    const std::uint64_t sizes[] = {8, 5000, 70000, 600000, 2000000};
    items_.push_back({fmt::format("item {}", made_++), object, Bytes(sizes[below(5)])});
    fill(items_.back().bytes, 0, items_.back().bytes.size());
  }

  void fill(Bytes& bytes, std::uint64_t at, std::uint64_t count) {
    std::uint64_t value = random_();
    for (std::uint64_t b = at; b < at + count; ++b) {
      value = value * 6364136223846793005 + 1442695040888963407;
      bytes[b] = static_cast<std::byte>(value >> 56U);
    }
  }

  void change(Item& item, bool much) {
    if (below(10) == 0) item.bytes.resize(item.bytes.size() + below(100000));
    if (below(15) == 0) item.bytes.resize(below(item.bytes.size() + 1));
    if (below(15) == 0) item.bytes = Bytes(item.bytes);  // elsewhere
    for (std::uint64_t i = below(much ? 400 : 5); i > 0 && !item.bytes.empty(); --i) {
      const std::uint64_t at = below(item.bytes.size());
      const std::uint64_t count = std::min(below(much ? 50000 : 3000), item.bytes.size() - at);
      fill(item.bytes, at, count);
    }
  }

  std::mt19937_64 random_;
  int made_ = 0;
  std::deque<Item> items_;
};

/// As a reader of the chain sees the epoch.
std::map<std::string, Bytes> apply(const Capture& capture, const io::FoundChanges& found,
                                   const std::map<std::string, Bytes>& parent) {
  std::map<std::string, Bytes> content;
  std::vector<std::vector<bool>> known;
  for (std::size_t i = 0; i < capture.entries.size(); ++i) {
    Bytes& bytes = content[capture.entries[i].name];
    bytes.resize(capture.slabs[i].count);
    known.emplace_back(bytes.size(), false);
    const auto before = parent.find(capture.entries[i].name);
    if (before == parent.end()) continue;
    const std::size_t common = std::min(bytes.size(), before->second.size());
    std::copy_n(before->second.begin(), common, bytes.begin());
    std::fill_n(known[i].begin(), common, true);
  }
  for (const io::Change& change : found.changes) {
    Bytes& bytes = content.at(capture.entries[change.entry].name);
    EXPECT_LE(change.offset + change.bytes, bytes.size());
    std::memcpy(&bytes[change.offset], change.data, change.bytes);
    std::fill_n(known[change.entry].begin() + static_cast<std::ptrdiff_t>(change.offset),
                change.bytes, true);
  }
  for (std::size_t i = 0; i < known.size(); ++i) {
    EXPECT_EQ(std::count(known[i].begin(), known[i].end(), false), 0)
        << capture.entries[i].name << " is not complete";
  }
  return content;
}

class Tracker : public testing::TestWithParam<std::tuple<TrackingMode, bool>> {};
INSTANTIATE_TEST_SUITE_P(Modes, Tracker,
                         testing::Combine(testing::Values(TrackingMode::automatic,
                                                          TrackingMode::pagemap,
                                                          TrackingMode::hash),
                                          testing::Bool()));

TEST_P(Tracker, MissesNothing) {
  const auto [mode, staged] = GetParam();
  int deltas = 0, ahead = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Program program{seed};
    ChangeTracker tracker{mode};
    Staging staging{std::uint64_t{1} << 30, 1};
    std::map<std::string, Bytes> committed;
    bool has_parent = false;
    for (int epoch = 0; epoch < 25; ++epoch) {
      program.go_on();
      const bool delta = has_parent && program.below(8) != 0;
      if (staged && program.below(2) == 0) {
        Capture soon = program.capture();
        if (tracker.select_ahead(soon, delta)) {
          ASSERT_TRUE(staging.reserve(staged_bytes(soon)).ok());
          staging.copy_ahead(soon);
          ++ahead;
          // All of it is copied by the cut, or a part.
          if (program.below(2) == 0) std::this_thread::sleep_for(std::chrono::milliseconds{2});
          program.go_on();
        }
      }
      Capture capture = program.capture();
      tracker.select(capture, delta);
      const auto now = program.content();
      if (staged) {
        ASSERT_TRUE(staging.reserve(staged_bytes(capture)).ok());
        ASSERT_TRUE(staging.copy(capture).ok());
      }
      const auto find = tracker.finder(capture);
      if (staged) program.go_on();  // while the copy is looked through
      const auto found = find({});
      ASSERT_TRUE(found.ok());
      if (delta && !found->nearly_everything) {
        ++deltas;
        const auto seen = apply(capture, *found, committed);
        ASSERT_TRUE(seen == now) << "seed " << seed << ", epoch " << epoch;
      }
      if (program.below(5) == 0) {
        tracker.aborted();
        continue;
      }
      tracker.committed(delta && !found->nearly_everything);
      committed = now;
      has_parent = true;
    }
  }
  EXPECT_GT(deltas, 15);
  if (staged && mode != TrackingMode::hash && PageTracker::open()) {
    EXPECT_GT(ahead, 5);
  }
}

Capture capture_of(std::span<std::byte> region) {
  Capture capture;
  capture.entries.push_back({"region", ElementType::uint8, 1, {}});
  capture.slabs.push_back({region.data(), region.size(), {}, {}});
  capture.memory.emplace_back(region);
  return capture;
}

/// An epoch of one region that is committed.
io::FoundChanges take(ChangeTracker& tracker, std::span<std::byte> region, bool delta) {
  Capture capture = capture_of(region);
  tracker.select(capture, delta);
  auto found = tracker.finder(capture)({});
  EXPECT_TRUE(found.ok());
  tracker.committed(delta && !found->nearly_everything);
  return *found;
}

/// Whole pages.
std::span<std::byte> map(std::size_t bytes, int sharing) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(memory, MAP_FAILED);
  return {static_cast<std::byte*>(memory), bytes};
}

TEST(ChangeTracker, FindsNothingWhereNothingHasChanged) {
  for (const auto mode : {TrackingMode::pagemap, TrackingMode::hash}) {
    Bytes region(std::size_t{8} << 20, std::byte{1});
    ChangeTracker tracker{mode};
    take(tracker, region, false);
    for (int epoch = 0; epoch < 2; ++epoch) {
      const auto found = take(tracker, region, true);
      EXPECT_LE(io::changed_bytes(found.changes), 2u * 4096) << "the pages at the ends, at most";
    }
  }
}

TEST(ChangeTracker, ComparesWhatTheKernelRefusesToWatch) {
  const std::span<std::byte> shared = map(std::size_t{1} << 20, MAP_SHARED);
  ChangeTracker tracker{TrackingMode::pagemap};
  take(tracker, shared, false);
  EXPECT_EQ(io::changed_bytes(take(tracker, shared, true).changes), 0u);
  ::munmap(shared.data(), shared.size());
}

TEST(ChangeTracker, ChangesSinceTheLastFullEpochAreThoseThatARestartReads) {
  for (const auto mode : {TrackingMode::pagemap, TrackingMode::hash}) {
    Bytes region(std::size_t{8} << 20, std::byte{1});
    ChangeTracker tracker{mode};
    take(tracker, region, false);
    std::fill(region.begin(), region.end(), std::byte{2});
    EXPECT_TRUE(take(tracker, region, true).nearly_everything) << "so it became a full one";
    region[5] = std::byte{3};
    EXPECT_LE(take(tracker, region, true).chain_bytes, 3 * io::change_bytes);
    std::fill_n(region.begin(), 3000000, std::byte{4});
    EXPECT_GE(take(tracker, region, true).chain_bytes, 3000000u);
    region.resize(2000000);
    region[5] = std::byte{5};
    EXPECT_LE(take(tracker, region, true).chain_bytes, 2000000u);
  }
}

/// Watching would split them, which slows the program down.
TEST(ChangeTracker, LeavesHugePagesAloneUnlessToldNotTo) {
  if (!PageTracker::open()) GTEST_SKIP() << PageTracker::open().status().message();
  for (const auto mode : {TrackingMode::automatic, TrackingMode::pagemap}) {
    for (const int advice : {MADV_HUGEPAGE, MADV_NOHUGEPAGE}) {
      const std::span<std::byte> region = map(std::size_t{16} << 20, MAP_PRIVATE);
      ASSERT_EQ(::madvise(region.data(), region.size(), advice), 0);
      std::fill(region.begin(), region.end(), std::byte{1});
      const bool huge = PageTracker::open()->mostly_in_huge_pages(region);
      if (advice == MADV_HUGEPAGE && !huge) GTEST_SKIP() << "transparent huge pages";
      EXPECT_EQ(huge, advice == MADV_HUGEPAGE);
      ChangeTracker tracker{mode};
      take(tracker, region, false);
      for (std::size_t i = 0; i < region.size(); i += std::size_t{1} << 20)
        region[i] = std::byte{2};
      EXPECT_EQ(io::changed_bytes(take(tracker, region, true).changes), 16u * 4096);
      EXPECT_EQ(PageTracker::open()->mostly_in_huge_pages(region),
                huge && mode == TrackingMode::automatic);
      ::munmap(region.data(), region.size());
    }
  }
}

/// Copies for a cut that never came; another epoch, which has no use for them; then nothing to
/// copy, and a cut at which all of it has changed again, but for what changed before that epoch.
TEST(ChangeTracker, CopiesAheadOfAnotherCutAreNotTakenForThoseOfThisOne) {
  if (!PageTracker::open()) GTEST_SKIP() << PageTracker::open().status().message();
  const std::span<std::byte> region = map(std::size_t{4} << 20, MAP_PRIVATE);
  std::fill(region.begin(), region.end(), std::byte{1});
  ChangeTracker tracker{TrackingMode::pagemap};
  Staging staging{std::uint64_t{1} << 30, 1};
  take(tracker, region, false);
  std::fill(region.begin(), region.end(), std::byte{2});
  Capture soon = capture_of(region);
  ASSERT_TRUE(tracker.select_ahead(soon, true));
  ASSERT_TRUE(staging.reserve(staged_bytes(soon)).ok());
  staging.copy_ahead(soon);
  std::this_thread::sleep_for(std::chrono::milliseconds{50});
  std::fill_n(region.begin(), 4096, std::byte{3});
  take(tracker, region, true);
  Capture later = capture_of(region);
  ASSERT_FALSE(tracker.select_ahead(later, true));
  std::fill(region.begin() + 4096, region.end(), std::byte{4});
  Capture cut = capture_of(region);
  tracker.select(cut, false);
  ASSERT_TRUE(staging.reserve(staged_bytes(cut)).ok());
  ASSERT_TRUE(staging.copy(cut).ok());
  EXPECT_TRUE(std::equal(region.begin(), region.end(), cut.slabs[0].data));
  tracker.aborted();
  ::munmap(region.data(), region.size());
}

/// Two names that change their memory, as double buffers do, and then stay where they are.
TEST(ChangeTracker, TracksByPagesAgainAfterASwap) {
  if (!PageTracker::open()) GTEST_SKIP() << PageTracker::open().status().message();
  Bytes a(std::size_t{4} << 20, std::byte{1}), b(std::size_t{4} << 20, std::byte{2});
  ChangeTracker tracker{TrackingMode::pagemap};
  std::vector<std::uint64_t> changed;
  for (int epoch = 0; epoch < 5; ++epoch) {
    if (epoch == 2) a.swap(b);
    a[1000000] ^= std::byte{1};
    Capture capture;
    for (Bytes* bytes : {&a, &b}) {
      capture.entries.push_back({bytes == &a ? "a" : "b", ElementType::uint8, 1, {}});
      capture.slabs.push_back({bytes->data(), bytes->size(), {}, {}});
      capture.memory.emplace_back(*bytes);
    }
    tracker.select(capture, epoch > 0);
    const auto found = tracker.finder(capture)({});
    ASSERT_TRUE(found.ok());
    changed.push_back(io::changed_bytes(found->changes));
    tracker.committed(epoch > 0 && !found->nearly_everything);
  }
  EXPECT_LE(changed[1], 5u * 4096);
  EXPECT_EQ(changed[2], a.size() + b.size());
  EXPECT_LE(changed[3], 5u * 4096) << "not by hashes: these find just one block";
  EXPECT_GE(changed[3], 2u * 4096) << "but the pages at the ends, too";
}

// ---- The choice ---------------------------------------------------------------------------------

TEST(TrackingChoice, GoesToHashesWhenMostChanges) {
  TrackingChoice choice{Tracking::pages};
  const TrackingCosts costs;
  for (int i = 0; i < 5; ++i) choice.observe({1 << 30, 1 << 30}, costs);
  EXPECT_EQ(choice.now(), Tracking::hashes);
  for (int i = 0; i < 5; ++i) choice.observe({1 << 30, 1 << 20}, costs);
  EXPECT_EQ(choice.now(), Tracking::pages);
}

TEST(TrackingChoice, StaysWithPagesWhenLittleChanges) {
  TrackingChoice choice{Tracking::pages};
  for (int i = 0; i < 50; ++i) choice.observe({1 << 30, 1 << 24}, {});
  EXPECT_EQ(choice.now(), Tracking::pages);
}

/// Many pages are written to, but little in them changes: each of the two makes the other one look
/// better.
TEST(TrackingChoice, DoesNotGoToAndFroForever) {
  TrackingChoice choice{Tracking::pages};
  int changes = 0;
  for (int i = 0; i < 200; ++i) {
    const Tracking before = choice.now();
    const bool pages = before == Tracking::pages;
    choice.observe({1 << 30, std::uint64_t{1} << (pages ? 30 : 20)}, {});
    changes += choice.now() != before ? 1 : 0;
  }
  EXPECT_LT(changes, 14);
}

// ---- The chain ----------------------------------------------------------------------------------

io::EpochInfo committed(std::uint64_t epoch, const Chain& chain, std::uint64_t changed,
                        std::uint64_t since_full) {
  io::EpochInfo info;
  info.epoch = epoch;
  info.parent = chain.next_parent();
  info.state_bytes = 1000;
  info.changed_bytes = changed;
  info.chain_bytes = info.parent ? since_full : 0;
  return info;
}

TEST(Chain, IsFullEverySoOften) {
  Chain chain{4};
  std::vector<bool> full;
  for (std::uint64_t epoch = 1; epoch <= 9; ++epoch) {
    full.push_back(!chain.next_parent());
    chain.committed(committed(epoch, chain, 1, 1));
  }
  EXPECT_EQ(full, (std::vector{true, false, false, false, true, false, false, false, true}));
}

TEST(Chain, IsNeverTooLongToBeOpened) {
  Chain chain{100000};
  std::uint64_t epoch = 1;
  chain.committed(committed(epoch, chain, 0, 0));
  while (chain.next_parent() && epoch < 200) chain.committed(committed(++epoch, chain, 0, 0));
  EXPECT_EQ(epoch, 101u);
}

TEST(Chain, EndsWhenItIsBroken) {
  Chain chain{0};
  chain.committed(committed(1, chain, 0, 0));
  EXPECT_TRUE(chain.next_parent());
  chain.broken();
  EXPECT_FALSE(chain.next_parent());
}

TEST(Chain, EndsWhenARestartWouldReadTooMuch) {
  Chain chain{0};
  std::uint64_t epoch = 1, since_full = 0;
  chain.committed(committed(epoch, chain, 0, 0));
  while (chain.next_parent() && epoch < 50) {
    since_full += 50;
    chain.committed(committed(++epoch, chain, 50, since_full));
  }
  EXPECT_EQ(since_full, 250u);
}

TEST(Chain, EndsWhenItTakesTheSpaceOfAFullOne) {
  Chain chain{0};
  std::uint64_t epoch = 1;
  chain.committed(committed(epoch, chain, 0, 0));
  // The same pages each time.
  while (chain.next_parent() && epoch < 50) chain.committed(committed(++epoch, chain, 150, 150));
  EXPECT_EQ(epoch, 8u);
}

}  // namespace
}  // namespace cairn::capture
