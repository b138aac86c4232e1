// A rank's rows of the index tables, as parts of their datasets.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "io/layout.hpp"
#include "io/part.hpp"
#include "io/rank_rows.hpp"

namespace cairn::io {

/// One for each table, by TableId. `offsets`: of the tables in the file. The rows stay where they
/// are.
std::vector<Part> table_parts(const RankRows& rows, const Layout& layout,
                              std::span<const std::uint64_t> offsets);

}  // namespace cairn::io
