// Named places at which a test can kill the process: CAIRN_CRASH_AT=point:hit[:rank].
#pragma once

#include <span>
#include <string_view>

namespace cairn {

/// Every crash point there is, in the order in which an epoch passes them. A test walks this list.
std::span<const std::string_view> crash_points();

/// Raises SIGKILL when CAIRN_CRASH_AT names this point and it is passed for the `hit`-th time
/// (counted from 1) in this process, on the rank given (any rank when none is given).
/// `point` must be in crash_points(). Local; costs one load when CAIRN_CRASH_AT is not set.
void crash_point(std::string_view point);

/// The rank that crash_point() compares with; call once after MPI_Init.
void set_crash_point_rank(int rank);

}  // namespace cairn
