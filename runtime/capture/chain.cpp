#include "runtime/capture/chain.hpp"

namespace cairn::capture {
namespace {

/// A restart reads the full epoch and what has changed since: at most a fifth more than without
/// deltas. Deltas take at most as much space as a full one.
constexpr std::uint64_t most_read = 5;
constexpr std::uint64_t most_deltas = 100;  // each is one more file to open

}  // namespace

std::optional<std::uint64_t> Chain::next_parent() const {
  if (!parent_) return std::nullopt;
  const bool ends = full_every_ > 0 ? deltas_ + 1 >= full_every_
                                    : delta_bytes_ > last_.state_bytes ||
                                          last_.chain_bytes > last_.state_bytes / most_read;
  return ends || deltas_ >= most_deltas ? std::nullopt : parent_;
}

void Chain::committed(const io::EpochInfo& info) {
  last_ = info;
  parent_ = info.epoch;
  parent_id_ = info.id;
  deltas_ = info.parent ? deltas_ + 1 : 0;
  delta_bytes_ = info.parent ? delta_bytes_ + info.changed_bytes : 0;
}

}  // namespace cairn::capture
