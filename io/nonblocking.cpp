#include "io/nonblocking.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace cairn::io {

NonblockingCollective::NonblockingCollective(MPI_Comm comm) : comm_(comm) {
  check(PMPI_Comm_rank(comm, &rank_));
  check(PMPI_Comm_size(comm, &size_));
}

NonblockingCollective::~NonblockingCollective() {
  if (!requests_.empty()) static_cast<void>(buffers_.release());
}

void NonblockingCollective::check(int code) {
  if (code == MPI_SUCCESS || !mpi_) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  PMPI_Error_string(code, text, &length);
  mpi_ = {Code::mpi_error, fmt::format("MPI error while writing a checkpoint: {}", text)};
}

void NonblockingCollective::agree(const Status& local) {
  agreed_ = mpi_ ? local : mpi_;
  buffers_->first = agreed_ ? size_ : rank_;
  check(
      PMPI_Iallreduce(MPI_IN_PLACE, &buffers_->first, 1, MPI_INT, MPI_MIN, comm_, next_request()));
  then_ = [this] {
    const int first = buffers_->first;
    if (first == size_) {
      agreed_ = mpi_;
      return;
    }
    buffers_->code = static_cast<int>(agreed_.code());
    check(PMPI_Ibcast(&buffers_->code, 1, MPI_INT, first, comm_, next_request()));
    broadcast(agreed_.message(), first);
    then_ = [this, first, text_arrives = std::move(then_)] {
      text_arrives();
      then_ = [this, first] {
        const std::string prefix = first == 0 ? "" : fmt::format("rank {}: ", first);
        agreed_ = {static_cast<Code>(buffers_->code), prefix + buffers_->text};
      };
    };
  };
}

void NonblockingCollective::min(std::vector<std::uint64_t> values) {
  buffers_->values = std::move(values);
  check(PMPI_Iallreduce(MPI_IN_PLACE, buffers_->values.data(),
                        static_cast<int>(buffers_->values.size()), MPI_UINT64_T, MPI_MIN, comm_,
                        next_request()));
}

void NonblockingCollective::sum(std::vector<std::uint64_t> values) {
  buffers_->mine = std::move(values);
  const int count = static_cast<int>(buffers_->mine.size());
  buffers_->before.assign(buffers_->mine.size(), 0);
  buffers_->total.assign(buffers_->mine.size(), 0);
  check(PMPI_Iallreduce(buffers_->mine.data(), buffers_->total.data(), count, MPI_UINT64_T, MPI_SUM,
                        comm_, next_request()));
  check(PMPI_Iexscan(buffers_->mine.data(), buffers_->before.data(), count, MPI_UINT64_T, MPI_SUM,
                     comm_, next_request()));
}

void NonblockingCollective::broadcast(std::vector<std::uint64_t> values, int root) {
  buffers_->values = std::move(values);
  check(PMPI_Ibcast(buffers_->values.data(), static_cast<int>(buffers_->values.size()),
                    MPI_UINT64_T, root, comm_, next_request()));
}

void NonblockingCollective::broadcast(std::string text, int root) {
  buffers_->text = std::move(text);
  buffers_->text_bytes = buffers_->text.size();
  check(PMPI_Ibcast(&buffers_->text_bytes, 1, MPI_UINT64_T, root, comm_, next_request()));
  then_ = [this, root] {
    buffers_->text.resize(buffers_->text_bytes);
    check(PMPI_Ibcast(buffers_->text.data(), static_cast<int>(buffers_->text_bytes), MPI_BYTE, root,
                      comm_, next_request()));
  };
}

void NonblockingCollective::gather(std::vector<std::uint64_t> values) {
  buffers_->part = std::move(values);
  const int count = static_cast<int>(buffers_->part.size());
  const auto ranks = static_cast<std::size_t>(rank_ == 0 ? size_ : 0);
  buffers_->gathered.assign(buffers_->part.size() * ranks, 0);
  check(PMPI_Igather(buffers_->part.data(), count, MPI_UINT64_T, buffers_->gathered.data(), count,
                     MPI_UINT64_T, 0, comm_, next_request()));
}

void NonblockingCollective::barrier() { check(PMPI_Ibarrier(comm_, next_request())); }

bool NonblockingCollective::test() {
  while (!requests_.empty() || then_) {
    int done = 0;
    const int code = PMPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done,
                                  MPI_STATUSES_IGNORE);
    if (code == MPI_SUCCESS && done == 0) return false;
    check(code);
    requests_.clear();
    // MPI leaves it undefined there.
    if (rank_ == 0) std::fill(buffers_->before.begin(), buffers_->before.end(), 0);
    if (then_) std::exchange(then_, nullptr)();
  }
  return true;
}

}  // namespace cairn::io
