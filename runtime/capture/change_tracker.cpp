#include "runtime/capture/change_tracker.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "runtime/capture/device_writes.hpp"

namespace cairn::capture {
namespace {

/// Smaller regions are copied and hashed sooner than a page fault is dealt with.
constexpr std::uint64_t smallest_watched = std::uint64_t{64} << 10;
/// A state of which a delta would hold more than a half, or that is smaller than this, is written
/// whole: the file is plain HDF5 then, and a restart reads no more than one.
constexpr std::uint64_t smallest_state = std::uint64_t{1} << 20;
/// Memory may be what another name has left just now: it is tried again.
constexpr int most_refusals = 8;
/// After copies ahead of the cut in vain, so many cuts at most are without.
constexpr int most_skipped = 64;

bool hardly_less(std::uint64_t part, std::uint64_t state) {
  return state < smallest_state || part > state / 2;
}

ByteRanges all_of(std::uint64_t bytes) {
  return bytes == 0 ? ByteRanges{} : ByteRanges{{0, bytes}};
}

std::uint64_t bytes_of(const Capture& capture, std::size_t i) {
  return capture.slabs[i].count * capture.entries[i].element_bytes;
}

}  // namespace

std::optional<TrackingMode> parse_tracking_mode(std::string_view text) {
  if (text == "auto") return TrackingMode::automatic;
  if (text == "pagemap") return TrackingMode::pagemap;
  if (text == "hash") return TrackingMode::hash;
  if (text == "off") return TrackingMode::off;
  return std::nullopt;
}

/// One region or object.
struct ChangeTracker::Tracked {
  io::Entry entry;
  TrackingChoice choice{Tracking::hashes};
  int refusals = 0;              // by the kernel, to watch it
  bool watchable = false;        // by pages; not objects, nor what the kernel refuses
  std::span<std::byte> watched;  // by pages; empty: not watched
  bool beginning = false;        // watched since the present cut, for which hashes are used still
  ByteRanges pending;            // by pages: changed before the cut, since the last commit
  BlockHashes hashes;            // of the last committed epoch; empty: not known
  bool known = false;            // there is a committed epoch that this is compared with
  ByteRanges since_full;         // of the chain
  std::span<std::byte> ahead;    // selected ahead of the cut; empty: not
  ByteRanges ahead_ranges;       // of it
  ByteRanges fresh;              // written to since

  bool by_pages() const { return !watched.empty() && !beginning; }
};

/// What the thread needs, and what it finds.
struct ChangeTracker::Cut {
  struct Part {
    std::string name;
    std::span<const std::byte> content;  // empty for what is not whole
    Selection selection;                 // of what is watched
    bool by_pages = false;
    std::uint64_t phase = 0;
    BlockHashes before, hashes;
    ByteRanges changed, since_full;
    std::uint64_t bytes = 0;
  };
  std::vector<Part> parts;
  std::uint64_t state_bytes = 0;
  bool delta = false, whole = true;

  Result<io::FoundChanges> find(const std::stop_token& cancelled);
};

/// Outside a delta there are no changes to be told, but hashes for the next one.
Result<io::FoundChanges> ChangeTracker::Cut::find(const std::stop_token& cancelled) {
  io::FoundChanges found;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Part& part = parts[i];
    if (!part.by_pages) {
      if (!part.hashes.compute(part.content, part.phase, cancelled)) {
        return Status{Code::busy, "the checkpoint was given up while its changes were looked for"};
      }
      part.changed = part.before.changed(part.hashes);
    }
    bytes += total_bytes(part.changed);
    if (!delta) continue;
    part.since_full = clip(unite(part.since_full, part.changed), part.bytes);
    found.chain_bytes += total_bytes(part.since_full);
    const Selection& selection = part.selection;
    const ByteRanges& ranges = selection.whole ? part.changed : selection.ranges;
    for (std::size_t r = 0; r < ranges.size(); ++r) {
      const ByteRange range = ranges[r];
      const std::byte* data =
          selection.whole ? part.content.data() + range.first : selection.data[r];
      io::add_changes(found.changes, i, range.first, range.last, data);
    }
  }
  found.nearly_everything = whole && hardly_less(bytes, state_bytes);
  return found;
}

ChangeTracker::ChangeTracker(TrackingMode mode) : mode_(mode) {
  if (mode == TrackingMode::off || mode == TrackingMode::hash) return;
  if (mode == TrackingMode::automatic && memory_may_be_written_by_devices()) {
    fallback_ = "network devices may write to memory past its pages";
    return;
  }
  auto opened = PageTracker::open();
  if (!opened) {
    fallback_ = opened.status().message();
    return;
  }
  pages_.emplace(std::move(*opened));
  if (mode == TrackingMode::automatic) costs_ = TrackingCosts::measure(*pages_);
}

ChangeTracker::~ChangeTracker() = default;

void ChangeTracker::forget(Tracked& tracked) {
  if (!tracked.watched.empty()) pages_->forget(tracked.watched);
  tracked.watched = {};
}

/// From now on; what was written before is not known of.
void ChangeTracker::watch(Tracked& tracked, std::span<std::byte> memory) {
  forget(tracked);
  tracked.ahead = {};
  tracked.pending = all_of(memory.size());
  if (pages_->watch(memory)) {
    tracked.watched = memory;
  } else {
    tracked.watchable = ++tracked.refusals < most_refusals;
  }
}

void ChangeTracker::follow_pages(Tracked& tracked, std::span<std::byte> memory) {
  const bool same =
      tracked.watched.data() == memory.data() && tracked.watched.size() == memory.size();
  if (!same) {
    watch(tracked, memory);
    return;
  }
  auto written = pages_->changed(memory);
  if (written.ok()) {
    tracked.pending = unite(tracked.pending, *written);
    tracked.fresh = std::move(*written);
  } else {
    watch(tracked, memory);
  }
}

void ChangeTracker::follow(Tracked& tracked, const Capture& capture, std::size_t slab) {
  const auto& memory = capture.memory[slab];
  bool watch_it = tracked.watchable && tracked.choice.now() == Tracking::pages &&
                  memory.size() >= smallest_watched;
  if (watch_it && tracked.watched.empty() && mode_ == TrackingMode::automatic &&
      pages_->mostly_in_huge_pages(memory)) {
    log::debug(
        "\"{}\" is in huge pages: its changes are found by hashing, as watching its pages "
        "would split them",
        tracked.entry.name);
    watch_it = tracked.watchable = false;
  }
  tracked.beginning = watch_it && tracked.watched.empty() && !tracked.hashes.empty();
  if (watch_it) {
    follow_pages(tracked, memory);
  } else {
    forget(tracked);
  }
  if (tracked.watched.empty()) tracked.beginning = false;
}

ChangeTracker::Tracked& ChangeTracker::find(const io::Entry& entry) {
  Tracked& tracked = tracked_[entry.name];
  if (tracked.entry == entry) return tracked;
  forget(tracked);
  tracked = {};
  tracked.entry = entry;
  tracked.watchable = pages_ && entry.type != ElementType::serialized;
  if (tracked.watchable) tracked.choice = TrackingChoice{Tracking::pages};
  return tracked;
}

void ChangeTracker::drop_all_but(const std::vector<io::Entry>& entries) {
  std::set<std::string_view> present;
  for (const io::Entry& entry : entries) present.insert(entry.name);
  for (auto item = tracked_.begin(); item != tracked_.end();) {
    if (present.contains(item->first)) {
      ++item;
      continue;
    }
    forget(item->second);
    item = tracked_.erase(item);
  }
}

bool ChangeTracker::select_ahead(Capture& capture, bool delta) {
  if (!pages_ || ahead_ || cut_ != nullptr) return false;
  if (skip_ahead_ > 0) {
    --skip_ahead_;
    return false;
  }
  Selection none;
  none.whole = false;
  capture.selected.assign(capture.slabs.size(), none);
  std::vector<Tracked*> ready(capture.slabs.size());
  std::uint64_t state = 0, selected = 0;
  for (std::size_t i = 0; i < capture.slabs.size(); ++i) {
    const auto known = tracked_.find(capture.entries[i].name);
    const auto memory = capture.memory[i];
    state += memory.size();
    const bool same = known != tracked_.end() && known->second.entry == capture.entries[i] &&
                      known->second.by_pages() && known->second.watched.data() == memory.data() &&
                      known->second.watched.size() == memory.size();
    if (same) follow_pages(known->second, memory);
    const bool watched = same && known->second.by_pages();
    if (watched) ready[i] = &known->second;
    selected += watched ? total_bytes(known->second.pending) : memory.size();
  }
  const bool whole = !delta || hardly_less(selected, state);
  ahead_bytes_ = 0;
  for (std::size_t i = 0; i < ready.size(); ++i) {
    if (ready[i] == nullptr) continue;
    Tracked& tracked = *ready[i];
    tracked.ahead = capture.memory[i];
    tracked.ahead_ranges = whole ? all_of(tracked.ahead.size()) : tracked.pending;
    ahead_bytes_ += total_bytes(tracked.ahead_ranges);
    capture.selected[i].ranges = tracked.ahead_ranges;
    for (const ByteRange& range : tracked.ahead_ranges) {
      capture.selected[i].data.push_back(capture.slabs[i].data + range.first);
    }
  }
  ahead_ = ahead_bytes_ > 0;
  if (!ahead_) {
    for (auto& [name, tracked] : tracked_) tracked.ahead = {};
  }
  return ahead_;
}

void ChangeTracker::select(Capture& capture, bool delta) {
  capture.selected.assign(capture.slabs.size(), {});
  if (!on()) return;
  cut_ = std::make_shared<Cut>();
  cut_->delta = delta;
  std::uint64_t selected = 0, again = 0;
  // First, so that memory that goes from one name to another can be watched again.
  for (std::size_t i = 0; i < capture.slabs.size(); ++i) {
    Tracked& tracked = find(capture.entries[i]);
    const auto memory = capture.memory[i];
    if (tracked.watched.data() != memory.data() || tracked.watched.size() != memory.size()) {
      forget(tracked);
    }
  }
  for (std::size_t i = 0; i < capture.slabs.size(); ++i) {
    Tracked& tracked = find(capture.entries[i]);
    follow(tracked, capture, i);
    cut_->state_bytes += bytes_of(capture, i);
    selected += tracked.by_pages() ? total_bytes(tracked.pending) : bytes_of(capture, i);
  }
  drop_all_but(capture.entries);
  cut_->whole = !delta || hardly_less(selected, cut_->state_bytes);
  for (std::size_t i = 0; i < capture.slabs.size(); ++i) {
    Tracked& tracked = tracked_.at(capture.entries[i].name);
    if (!tracked.by_pages()) continue;
    Selection& selection = capture.selected[i];
    selection.ahead = !tracked.ahead.empty() && tracked.ahead.data() == capture.memory[i].data() &&
                      tracked.ahead.size() == capture.memory[i].size();
    if (selection.ahead) {
      again +=
          total_bytes(tracked.fresh) - total_bytes(subtract(tracked.fresh, tracked.ahead_ranges));
      selection.fresh = std::move(tracked.fresh);
    }
    tracked.ahead = {};
    selection.whole = cut_->whole;
    if (selection.whole) continue;
    selection.ranges = tracked.pending;
    for (const ByteRange& range : selection.ranges) {
      selection.data.push_back(capture.slabs[i].data + range.first);
    }
  }
  if (!std::exchange(ahead_, false)) return;
  const bool in_vain = again > ahead_bytes_ / 2;
  skip_ahead_ = in_vain ? next_skip_ : 0;
  next_skip_ = in_vain ? std::min(2 * next_skip_, most_skipped) : 1;
}

io::FindChanges ChangeTracker::finder(Capture& capture) {
  if (cut_ == nullptr) return {};
  for (std::size_t i = 0; i < capture.slabs.size(); ++i) {
    Tracked& tracked = tracked_.at(capture.entries[i].name);
    Cut::Part& part = cut_->parts.emplace_back();
    part.name = tracked.entry.name;
    part.bytes = bytes_of(capture, i);
    part.selection = std::move(capture.selected[i]);
    if (part.selection.whole) part.content = {capture.slabs[i].data, part.bytes};
    part.by_pages = tracked.by_pages();
    part.since_full = tracked.since_full;
    if (part.by_pages) {
      part.changed = tracked.pending;
    } else {
      const auto address = reinterpret_cast<std::uintptr_t>(capture.memory[i].data());
      part.phase = tracked.hashes.empty() ? address : tracked.hashes.phase();
      part.before = std::move(tracked.hashes);
    }
  }
  return [cut = cut_](const std::stop_token& cancelled) { return cut->find(cancelled); };
}

void ChangeTracker::committed(bool delta) {
  if (cut_ == nullptr) return;
  for (Cut::Part& part : cut_->parts) {
    Tracked& tracked = tracked_.at(part.name);
    tracked.since_full = delta ? std::move(part.since_full) : ByteRanges{};
    tracked.pending.clear();
    tracked.beginning = false;
    tracked.hashes = std::move(part.hashes);
    const bool known = std::exchange(tracked.known, true);
    const bool compared = part.by_pages ? known : !part.before.empty();
    if (!compared || mode_ != TrackingMode::automatic || !tracked.watchable) continue;
    if (part.bytes < smallest_watched) continue;
    tracked.choice.observe({part.bytes, total_bytes(part.changed)}, costs_);
  }
  cut_.reset();
}

void ChangeTracker::aborted() {
  if (cut_ == nullptr) return;
  for (Cut::Part& part : cut_->parts) {
    Tracked& tracked = tracked_.at(part.name);
    if (part.by_pages) continue;  // what is pending stays so
    tracked.hashes = std::move(part.before);
    if (!std::exchange(tracked.beginning, false)) continue;
    tracked.hashes = {};  // what has changed before the cut is not known by pages
    tracked.pending = all_of(part.bytes);
  }
  cut_.reset();
}

}  // namespace cairn::capture
