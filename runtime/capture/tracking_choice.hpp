// How the changes of a region are found at the least cost.
#pragma once

#include <cstdint>

namespace cairn::capture {

class PageTracker;

enum class Tracking {
  pages,   ///< the kernel notes the first write to each page (PageTracker)
  hashes,  ///< everything is copied, and compared by hashes in the background (BlockHashes)
};

/// Seconds.
struct TrackingCosts {
  double first_write = 1.5e-6;  ///< to a watched page
  double copy_byte = 1.1e-10;   ///< at the cut
  double hash_byte = 1e-10;     ///< in the background, on the program's processor if it has one
  /// Of this machine. Takes about a millisecond.
  static TrackingCosts measure(PageTracker& pages);
};

/// What was seen of a region from one epoch to the next.
struct Observation {
  std::uint64_t bytes = 0;    ///< of the region
  std::uint64_t changed = 0;  ///< of these, as its tracking found
};

/// Decides for one region after each epoch. A change must look worthwhile in two epochs in a row;
/// one that proves wrong is not repeated soon: programs that write much and change little look
/// different to the two.
class TrackingChoice {
 public:
  explicit TrackingChoice(Tracking first) : now_(first) {}

  Tracking now() const { return now_; }
  /// What to use from the next epoch on.
  Tracking observe(const Observation& seen, const TrackingCosts& costs);

 private:
  Tracking now_;
  int epochs_ = 0;     // since the last change
  int in_favour_ = 0;  // of the other one, in a row
  int patience_ = 2;
};

}  // namespace cairn::capture
