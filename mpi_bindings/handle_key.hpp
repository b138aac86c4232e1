// MPI handles as keys of a FlatMap.
#pragma once

#include <cstdint>
#include <cstring>

namespace cairn::mpi {

/// A handle's value: handles are pointers in some MPI libraries and integers in others.
template <class Handle>
std::uint64_t handle_key(Handle handle) {
  static_assert(sizeof(Handle) <= sizeof(std::uint64_t));
  std::uint64_t key = 0;
  std::memcpy(&key, &handle, sizeof handle);
  return key;
}

}  // namespace cairn::mpi
