// Restores a job from its checkpoint directory.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/epoch_writer.hpp"

namespace cairn {

struct Restored {
  std::uint64_t epoch = 0;       ///< 0: a fresh start, nothing was touched
  std::uint64_t safe_point = 0;  ///< index of the safe point of the cut
  std::uint64_t messages = 0;    ///< in flight, over all ranks
  std::uint64_t newest = 0;      ///< largest epoch number in the directory, good or not
  std::string uuid;              ///< of the job; empty when there is none yet
};

/// Restores the newest epoch that all ranks can validate (or the one that options.restart names):
/// protected memory, objects, counters and messages; requests are left to finish_restart(). What is
/// damaged is named in a warning, and the epoch before it is tried (I12). Collective; the same code
/// on every rank:
///   invalid_argument, unsupported   the checkpoint does not fit this program: nothing was changed
///   not_found                       the epoch asked for does not exist: nothing was changed
///   corruption                      there are epochs but none is good: protected memory is
///   undefined
Result<Restored> restore_job(const EpochContext& context);

}  // namespace cairn
