// Any number of bytes as MPI_PACKED: MPI's counts are int.
#pragma once

#include <mpi.h>

#include <climits>
#include <cstddef>

namespace cairn::mpi {

/// A count and a type that together are `bytes` elements of MPI_PACKED.
class PackedBytes {
 public:
  explicit PackedBytes(std::size_t bytes) : count_(static_cast<int>(bytes)) {
    if (bytes <= INT_MAX) return;
    constexpr std::size_t chunk = std::size_t{1} << 30;
    MPI_Datatype whole = MPI_DATATYPE_NULL;
    PMPI_Type_contiguous(static_cast<int>(chunk), MPI_PACKED, &whole);
    const int lengths[2] = {static_cast<int>(bytes / chunk), static_cast<int>(bytes % chunk)};
    const auto rest = static_cast<MPI_Aint>(bytes / chunk * chunk);
    const MPI_Aint places[2] = {0, rest};
    const MPI_Datatype types[2] = {whole, MPI_PACKED};
    PMPI_Type_create_struct(2, lengths, places, types, &made_);
    PMPI_Type_commit(&made_);
    PMPI_Type_free(&whole);
    count_ = 1;
  }
  ~PackedBytes() {
    if (made_ != MPI_DATATYPE_NULL) PMPI_Type_free(&made_);
  }
  PackedBytes(const PackedBytes&) = delete;
  PackedBytes& operator=(const PackedBytes&) = delete;

  int count() const { return count_; }
  MPI_Datatype type() const { return made_ == MPI_DATATYPE_NULL ? MPI_PACKED : made_; }

 private:
  int count_;
  MPI_Datatype made_ = MPI_DATATYPE_NULL;
};

}  // namespace cairn::mpi
