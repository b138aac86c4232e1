// The one checksum of Cairn: 64-bit XXH3; and its 128 bits, where equal hashes stand for equal
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn {

/// XXH3 (64 bits, seed 0) of `bytes`.
std::uint64_t checksum(std::span<const std::byte> bytes);

struct Hash128 {
  std::uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
};

/// XXH3 (128 bits, seed 0) of `bytes`.
Hash128 hash128(std::span<const std::byte> bytes);

/// XXH3 of two numbers, to derive identifiers and fingerprints.
std::uint64_t mix(std::uint64_t a, std::uint64_t b);

}  // namespace cairn
