// Finds out that a disk is full before anything is written.
#pragma once

#include <cstdint>

#include <cairn/status.hpp>

#include "io/files.hpp"

namespace cairn::io {

/// Makes `file` `bytes` long and reserves the space, so that nobody else can take it meanwhile;
/// `reserved_bytes` of it are reserved already. Where the file system can't reserve, compares with
/// what is free. io_error: one line with both sizes. Local.
Status reserve_space(const File& file, std::uint64_t bytes, std::uint64_t reserved_bytes);

}  // namespace cairn::io
