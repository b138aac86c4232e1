// The one checksum of Cairn: 64-bit XXH3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn {

/// XXH3 (64 bits, seed 0) of `bytes`.
std::uint64_t checksum(std::span<const std::byte> bytes);

/// XXH3 of two numbers, to derive identifiers and fingerprints.
std::uint64_t mix(std::uint64_t a, std::uint64_t b);

}  // namespace cairn
