#include "io/collective.hpp"

#include <fmt/format.h>

namespace cairn::io {

Collective::Collective(MPI_Comm comm) : comm_(comm) {
  check(PMPI_Comm_rank(comm, &rank_));
  check(PMPI_Comm_size(comm, &size_));
}

void Collective::check(int code) {
  if (code == MPI_SUCCESS || !mpi_) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  PMPI_Error_string(code, text, &length);
  mpi_ = {Code::mpi_error, fmt::format("MPI error while writing a checkpoint: {}", text)};
}

Status Collective::agree(const Status& local) {
  const Status& mine = mpi_ ? local : mpi_;
  int first = mine ? size_ : rank_;
  check(PMPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, comm_));
  if (first == size_) return mpi_;
  int code = static_cast<int>(mine.code());
  check(PMPI_Bcast(&code, 1, MPI_INT, first, comm_));
  const std::string message = broadcast(mine.message(), first);
  if (first == 0) return {static_cast<Code>(code), message};
  return {static_cast<Code>(code), fmt::format("rank {}: {}", first, message)};
}

std::vector<std::uint64_t> Collective::sum(std::vector<std::uint64_t> values) {
  check(PMPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_UINT64_T,
                       MPI_SUM, comm_));
  return values;
}

std::vector<std::uint64_t> Collective::max(std::vector<std::uint64_t> values) {
  check(PMPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_UINT64_T,
                       MPI_MAX, comm_));
  return values;
}

std::vector<std::uint64_t> Collective::sum_before(const std::vector<std::uint64_t>& values) {
  std::vector<std::uint64_t> before(values.size());
  check(PMPI_Exscan(values.data(), before.data(), static_cast<int>(values.size()), MPI_UINT64_T,
                    MPI_SUM, comm_));
  if (rank_ == 0) before.assign(values.size(), 0);  // MPI leaves it undefined there
  return before;
}

bool Collective::agree_on(std::uint64_t value) {
  const auto extremes = max({value, ~value});
  return extremes[0] == ~extremes[1];  // largest == smallest
}

std::vector<std::uint64_t> Collective::broadcast(std::vector<std::uint64_t> values, int root) {
  check(PMPI_Bcast(values.data(), static_cast<int>(values.size()), MPI_UINT64_T, root, comm_));
  return values;
}

std::string Collective::broadcast(std::string text, int root) {
  std::uint64_t bytes = text.size();
  check(PMPI_Bcast(&bytes, 1, MPI_UINT64_T, root, comm_));
  text.resize(bytes);
  check(PMPI_Bcast(text.data(), static_cast<int>(bytes), MPI_BYTE, root, comm_));
  return text;
}

int Collective::rank_on_node() {
  MPI_Comm node = MPI_COMM_NULL;
  int rank = 0;
  check(PMPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node));
  if (node == MPI_COMM_NULL) return rank;
  check(PMPI_Comm_rank(node, &rank));
  check(PMPI_Comm_free(&node));
  return rank;
}

}  // namespace cairn::io
