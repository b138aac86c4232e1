// state.h5 as rank 0 makes it: room for the data first, then HDF5's metadata.
#pragma once

#include <cstdint>
#include <filesystem>

#include <cairn/status.hpp>

#include "io/layout.hpp"

namespace cairn::io {

/// Creates the file with `bytes` reserved. It must not exist. io_error: no space, or refused.
Status create_state_file(const std::filesystem::path& path, std::uint64_t bytes);

/// Gives the file, of which `reserved_bytes` are reserved, its final size and its metadata. Touches
/// nothing within the datasets: others may be writing them, or have done so. io_error as above.
Status complete_state_file(const std::filesystem::path& path, const StateImage& image,
                           std::uint64_t reserved_bytes);

}  // namespace cairn::io
