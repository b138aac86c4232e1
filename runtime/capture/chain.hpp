// When the next epoch is a delta, and of what.
#pragma once

#include <cstdint>
#include <optional>

#include "io/records.hpp"

namespace cairn::capture {

/// Decides alike on every rank. A session begins with a full epoch.
class Chain {
 public:
  /// `full_every`: every so many epochs one is full; 0: when the chain has become too large. One
  /// has at most 100 deltas in any case.
  explicit Chain(std::uint64_t full_every) : full_every_(full_every) {}

  /// Nothing when the next epoch has to be full.
  std::optional<std::uint64_t> next_parent() const;
  /// EpochInfo::id of that; on rank 0.
  std::uint64_t parent_id() const { return parent_id_; }

  /// `info`: on rank 0 with its id; its DataForm on all.
  void committed(const io::EpochInfo& info);
  /// What the next delta would build on is gone.
  void broken() { parent_.reset(); }

 private:
  std::uint64_t full_every_;
  std::optional<std::uint64_t> parent_;
  std::uint64_t parent_id_ = 0;
  std::uint64_t deltas_ = 0;       // since the full one
  std::uint64_t delta_bytes_ = 0;  // changed in these
  io::DataForm last_;
};

}  // namespace cairn::capture
