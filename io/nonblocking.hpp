// Collective operations that are started and then tested now and then: for writing while the
// program computes. Through PMPI, as io/collective.hpp.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <cairn/status.hpp>

namespace cairn::io {

/// Every rank starts the same operations in the same order, each after test() has said true; only
/// sum() and gather() may be under way together. An MPI error is kept and reported by the next
/// agree(). None of the calls blocks.
class NonblockingCollective {
 public:
  explicit NonblockingCollective(MPI_Comm comm);
  NonblockingCollective(const NonblockingCollective&) = delete;
  NonblockingCollective& operator=(const NonblockingCollective&) = delete;
  /// Operations that are still under way keep their memory: a collective can't be cancelled.
  ~NonblockingCollective();

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// As Collective::agree. Result: agreed().
  void agree(const Status& local);
  /// Elementwise over all ranks. Result: values().
  void min(std::vector<std::uint64_t> values);
  /// Elementwise. Results: total(), over all ranks; before(), over the lower ones, 0 on rank 0.
  void sum(std::vector<std::uint64_t> values);
  /// Rank `root`'s. All ranks pass the same number of values. Result: values().
  void broadcast(std::vector<std::uint64_t> values, int root);
  /// Rank `root`'s. Result: text().
  void broadcast(std::string text, int root);
  /// All ranks' values, one after another, on rank 0. All pass the same number. Result: gathered().
  void gather(std::vector<std::uint64_t> values);
  void barrier();

  /// The first MPI error, if any: for who does not call agree().
  const Status& error() const { return mpi_; }

  /// Makes progress. True when all that was started is over; then the results are there.
  bool test();

  const Status& agreed() const { return agreed_; }
  const std::vector<std::uint64_t>& values() const { return buffers_->values; }
  const std::vector<std::uint64_t>& total() const { return buffers_->total; }
  const std::vector<std::uint64_t>& before() const { return buffers_->before; }
  const std::vector<std::uint64_t>& gathered() const { return buffers_->gathered; }
  const std::string& text() const { return buffers_->text; }

 private:
  /// What MPI reads and writes while operations are under way.
  struct Buffers {
    std::vector<std::uint64_t> values, mine, total, before, gathered, part;
    std::string text;
    std::uint64_t text_bytes = 0;
    int first = 0;
    int code = 0;
  };

  void check(int code);
  MPI_Request* next_request() { return &requests_.emplace_back(MPI_REQUEST_NULL); }

  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  std::unique_ptr<Buffers> buffers_ = std::make_unique<Buffers>();
  std::vector<MPI_Request> requests_;
  std::function<void()> then_;  // what to start when these are complete
  Status mpi_, agreed_;
};

}  // namespace cairn::io
