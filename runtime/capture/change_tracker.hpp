// What has changed in the protected state since the last committed epoch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <cairn/status.hpp>

#include "io/changes.hpp"
#include "runtime/capture/block_hashes.hpp"
#include "runtime/capture/byte_ranges.hpp"
#include "runtime/capture/page_tracker.hpp"
#include "runtime/capture/registry.hpp"
#include "runtime/capture/tracking_choice.hpp"

namespace cairn::capture {

/// Options::incremental.
enum class TrackingMode { automatic, pagemap, hash, off };
std::optional<TrackingMode> parse_tracking_mode(std::string_view text);

/// At each cut: select() what is to be copied; once that is done, finder() makes what the thread
/// that writes runs to find the changes; then committed() or aborted(). What changed before an
/// epoch that was aborted still counts as changed after it. All calls are local, by one thread.
class ChangeTracker {
 public:
  explicit ChangeTracker(TrackingMode mode);
  ~ChangeTracker();
  ChangeTracker(const ChangeTracker&) = delete;
  ChangeTracker& operator=(const ChangeTracker&) = delete;

  bool on() const { return mode_ != TrackingMode::off; }
  /// Why pages are not tracked though they could be wished to be; empty when they are.
  const std::string& fallback() const { return fallback_; }

  /// Fills in capture.selected. `delta`: the epoch may build on the last committed one; else all
  /// is selected. When so much has changed that a delta is not worth it, all is, too.
  void select(Capture& capture, bool delta);
  /// Before the cut: selects what has changed so far of what is tracked by pages, so that it is
  /// copied already; select() then tells what has been written to since. All that is not, is not
  /// selected. False when there is nothing, or when it is not worth it: what was selected so was
  /// written to again before the last cuts.
  bool select_ahead(Capture& capture, bool delta);
  /// Whether the next select() counts on what was copied for the last select_ahead().
  bool is_ahead() const { return ahead_; }
  /// The slabs' data, and that of what is selected, which is taken, is what is written. The
  /// function outlives neither that memory nor this object; it runs before committed() or
  /// aborted().
  io::FindChanges finder(Capture& capture);

  /// Of the epoch of the last select(). Nothing happens when there is none.
  /// `delta`: as what it was committed; what was to be a delta may have become full.
  void committed(bool delta);
  void aborted();

 private:
  struct Tracked;
  struct Cut;

  Tracked& find(const io::Entry& entry);
  void follow(Tracked& tracked, const Capture& capture, std::size_t slab);
  void drop_all_but(const std::vector<io::Entry>& entries);
  void follow_pages(Tracked& tracked, std::span<std::byte> memory);
  void watch(Tracked& tracked, std::span<std::byte> memory);
  void forget(Tracked& tracked);

  TrackingMode mode_;
  std::optional<PageTracker> pages_;
  std::string fallback_;
  TrackingCosts costs_;
  std::map<std::string, Tracked> tracked_;  // by name
  bool ahead_ = false;                      // select_ahead() since the last cut
  std::uint64_t ahead_bytes_ = 0;
  int skip_ahead_ = 0, next_skip_ = 1;
  std::shared_ptr<Cut> cut_;  // the thread's while finder()'s function runs
};

}  // namespace cairn::capture
