// The few collective operations that writing needs, through PMPI: Cairn interposes on MPI_*.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <string>
#include <vector>

#include <cairn/status.hpp>

namespace cairn::io {

/// All calls are collective over the communicator. An MPI error is kept and reported by the next
/// agree().
class Collective {
 public:
  explicit Collective(MPI_Comm comm);

  int rank() const { return rank_; }
  int size() const { return size_; }
  MPI_Comm comm() const { return comm_; }

  /// Ok when `local` is ok on every rank; else, on every rank, what the lowest rank that failed
  /// says. Its message names that rank unless it is 0.
  Status agree(const Status& local);

  /// Sum and maximum over all ranks, elementwise.
  std::vector<std::uint64_t> sum(std::vector<std::uint64_t> values);
  std::vector<std::uint64_t> max(std::vector<std::uint64_t> values);
  /// Sum over the lower ranks, elementwise; 0 on rank 0.
  std::vector<std::uint64_t> sum_before(const std::vector<std::uint64_t>& values);
  /// True on every rank when `value` is the same on all of them, else false on every rank.
  bool agree_on(std::uint64_t value);
  /// Rank `root`'s values, on every rank. All ranks pass the same number.
  std::vector<std::uint64_t> broadcast(std::vector<std::uint64_t> values, int root);
  /// Rank `root`'s text, on every rank.
  std::string broadcast(std::string text, int root);
  /// Rank within the node: the lowest rank of each node has 0.
  int rank_on_node();

 private:
  void check(int code);

  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  Status mpi_;
};

}  // namespace cairn::io
