// Process topologies: creation, sub-grids, halo exchange, neighbourhood collectives.
#include <algorithm>
#include <array>

#include "check.hpp"

using namespace conformance;

namespace {

MPI_Comm cart(int dimensions, bool periodic, std::array<int, 3>& dims) {
  dims = {0, 0, 0};
  MPI_Dims_create(comm_size(), dimensions, dims.data());
  const std::array<int, 3> periods = {periodic, periodic, periodic};
  MPI_Comm comm;
  MPI_Cart_create(MPI_COMM_WORLD, dimensions, dims.data(), periods.data(), 0, &comm);
  return comm;
}

/// A ring as a distributed graph: from the left, to the right.
MPI_Comm ring() {
  const int from = left(), to = right();
  MPI_Comm comm;
  MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, &from, MPI_UNWEIGHTED, 1, &to, MPI_UNWEIGHTED,
                                 MPI_INFO_NULL, 0, &comm);
  return comm;
}

class Pending {
 public:
  Pending() { MPI_Irecv(&in_, 1, MPI_INT, left(), 777, MPI_COMM_WORLD, &request_); }
  void finish() {
    const int out = comm_rank();
    MPI_Send(&out, 1, MPI_INT, right(), 777, MPI_COMM_WORLD);
    MPI_Wait(&request_, MPI_STATUS_IGNORE);
    CHECK_EQ(in_, left());
  }

 private:
  int in_ = -1;
  MPI_Request request_ = MPI_REQUEST_NULL;
};

}  // namespace

TEST_CASE(cart_and_shift) {
  Pending pending;
  for (const bool periodic : {false, true}) {
    for (int dimensions = 1; dimensions <= 3; ++dimensions) {
      std::array<int, 3> dims, coords = {};
      MPI_Comm comm = cart(dimensions, periodic, dims);
      int kind = -1;
      MPI_Topo_test(comm, &kind);
      CHECK_EQ(kind, MPI_CART);
      MPI_Cart_coords(comm, comm_rank(comm), dimensions, coords.data());
      for (int d = 0; d < dimensions; ++d) {
        int from = -1, to = -1;
        MPI_Cart_shift(comm, d, 1, &from, &to);
        for (int i = 0; i < 5; ++i) {
          std::array<int, 3> in = {-1, -1, -1};
          MPI_Status status;
          MPI_Sendrecv(coords.data(), 3, MPI_INT, to, d, in.data(), 3, MPI_INT, from, d, comm,
                       &status);
          if (from == MPI_PROC_NULL) {
            CHECK_EQ(in[0], -1);
            CHECK_STATUS(status, MPI_PROC_NULL, MPI_ANY_TAG, MPI_INT, 0);
          } else {
            CHECK_EQ(in[d], (coords[d] + dims[d] - 1) % dims[d]);
          }
        }
      }
      MPI_Comm_free(&comm);
    }
  }
  pending.finish();
}

TEST_CASE(cart_sub) {
  Pending pending;
  std::array<int, 3> dims, coords = {};
  MPI_Comm comm = cart(2, true, dims);
  MPI_Cart_coords(comm, comm_rank(comm), 2, coords.data());
  for (const int kept : {0, 1}) {
    const int remain[2] = {kept == 0, kept == 1};
    MPI_Comm line;
    MPI_Cart_sub(comm, remain, &line);
    CHECK_EQ(comm_size(line), dims[kept]);
    int sum = -1;
    MPI_Allreduce(&coords[1 - kept], &sum, 1, MPI_INT, MPI_SUM, line);
    CHECK_EQ(sum, dims[kept] * coords[1 - kept]);
    int from = -1, to = -1, token = coords[kept];
    MPI_Cart_shift(line, 0, 1, &from, &to);
    MPI_Sendrecv_replace(&token, 1, MPI_INT, to, 0, from, 0, line, MPI_STATUS_IGNORE);
    CHECK_EQ(token, (coords[kept] + dims[kept] - 1) % dims[kept]);
    MPI_Comm_free(&line);
  }
  MPI_Comm_free(&comm);
  pending.finish();
}

TEST_CASE(cart_smaller_than_the_world) {
  const int dims = comm_size() - 1, periods = 1;
  MPI_Comm comm;
  MPI_Cart_create(MPI_COMM_WORLD, 1, &dims, &periods, 0, &comm);
  CHECK((comm == MPI_COMM_NULL) == (comm_rank() == comm_size() - 1));
  if (comm == MPI_COMM_NULL) return;
  MPI_Barrier(comm);
  MPI_Comm_free(&comm);
}

TEST_CASE(dup_keeps_the_topology) {
  std::array<int, 3> dims;
  MPI_Comm comm = cart(2, false, dims), copy, graph = ring(), other;
  MPI_Comm_dup(comm, &copy);
  MPI_Comm_dup(graph, &other);
  int kind = -1, count = -1, result = -1;
  MPI_Topo_test(copy, &kind);
  MPI_Cartdim_get(copy, &count);
  MPI_Comm_compare(comm, copy, &result);
  CHECK_EQ(kind, MPI_CART);
  CHECK_EQ(count, 2);
  CHECK_EQ(result, MPI_CONGRUENT);
  MPI_Topo_test(other, &kind);
  CHECK_EQ(kind, MPI_DIST_GRAPH);
  MPI_Topo_test(MPI_COMM_WORLD, &kind);
  CHECK_EQ(kind, MPI_UNDEFINED);
  for (MPI_Comm* one : {&comm, &copy, &graph, &other}) MPI_Comm_free(one);
}

TEST_CASE(graph) {
  Pending pending;
  const int size = comm_size();
  std::vector<int> index, edges;
  for (int i = 0; i < size; ++i) {  // everybody to the next and the one before
    edges.push_back((i + size - 1) % size);
    edges.push_back((i + 1) % size);
    index.push_back(static_cast<int>(edges.size()));
  }
  MPI_Comm comm;
  MPI_Graph_create(MPI_COMM_WORLD, size, index.data(), edges.data(), 0, &comm);
  int count = -1, neighbours[2] = {-1, -1};
  MPI_Graph_neighbors_count(comm, comm_rank(comm), &count);
  MPI_Graph_neighbors(comm, comm_rank(comm), 2, neighbours);
  CHECK_EQ(count, 2);
  CHECK_EQ(neighbours[0], left());
  CHECK_EQ(neighbours[1], right());
  int token = 4;
  MPI_Sendrecv_replace(&token, 1, MPI_INT, neighbours[1], 0, neighbours[0], 0, comm,
                       MPI_STATUS_IGNORE);
  CHECK_EQ(token, 4);
  const int rank = comm_rank();
  int in[2] = {-1, -1};
  MPI_Neighbor_allgather(&rank, 1, MPI_INT, in, 1, MPI_INT, comm);
  CHECK_EQ(in[0], left());
  CHECK_EQ(in[1], right());
  MPI_Comm_free(&comm);
  pending.finish();
}

TEST_CASE(distributed_graph_from_anywhere) {
  Pending pending;
  // Rank 0 tells the whole ring, the others nothing.
  std::vector<int> nodes, degrees, targets;
  for (int i = 0; i < comm_size() && comm_rank() == 0; ++i) {
    nodes.push_back(i);
    degrees.push_back(1);
    targets.push_back((i + 1) % comm_size());
  }
  MPI_Comm comm;
  MPI_Dist_graph_create(MPI_COMM_WORLD, static_cast<int>(nodes.size()), nodes.data(),
                        degrees.data(), targets.data(), MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &comm);
  int in = -1, out = -1, weighted = -1, from = -1, to = -1, unused = 0;
  MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted);
  CHECK_EQ(in, 1);
  CHECK_EQ(out, 1);
  MPI_Dist_graph_neighbors(comm, 1, &from, &unused, 1, &to, &unused);
  CHECK_EQ(from, left());
  CHECK_EQ(to, right());
  MPI_Comm_free(&comm);
  pending.finish();
}

TEST_CASE(neighbourhood_collectives_with_traffic) {
  MPI_Comm comm = ring();
  for (int round = 0; round < 20; ++round) {
    int pending = -1, gathered = -1, exchanged = -1, variable = -1, later[2] = {-1, -1};
    const int mine = 100 * round + comm_rank(), expected = 100 * round + left();
    const int one = 1, zero = 0;
    MPI_Request receive, requests[2];
    MPI_Irecv(&pending, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &receive);
    MPI_Ineighbor_allgather(&mine, 1, MPI_INT, &later[0], 1, MPI_INT, comm, &requests[0]);
    MPI_Neighbor_allgather(&mine, 1, MPI_INT, &gathered, 1, MPI_INT, comm);
    MPI_Neighbor_alltoall(&mine, 1, MPI_INT, &exchanged, 1, MPI_INT, comm);
    MPI_Ineighbor_alltoall(&mine, 1, MPI_INT, &later[1], 1, MPI_INT, comm, &requests[1]);
    MPI_Neighbor_alltoallv(&mine, &one, &zero, MPI_INT, &variable, &one, &zero, MPI_INT, comm);
    MPI_Send(&mine, 1, MPI_INT, right(), 5, comm);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    MPI_Status status;
    MPI_Wait(&receive, &status);
    CHECK_STATUS(status, left(), 5, MPI_INT, 1);
    for (const int value : {pending, gathered, exchanged, variable, later[0], later[1]}) {
      CHECK_EQ(value, expected);
    }
    MPI_Barrier(comm);
  }
  MPI_Comm_free(&comm);
}

TEST_CASE(halo_exchange_on_a_grid) {
  std::array<int, 3> dims;
  MPI_Comm comm = cart(2, false, dims);
  constexpr int kSide = 20;
  std::vector<double> field((kSide + 2) * (kSide + 2), comm_rank(comm));
  MPI_Datatype column;
  MPI_Type_vector(kSide, 1, kSide + 2, MPI_DOUBLE, &column);
  MPI_Type_commit(&column);
  const auto at = [&](int y, int x) { return &field[y * (kSide + 2) + x]; };
  int up, down, west, east;
  MPI_Cart_shift(comm, 0, 1, &up, &down);
  MPI_Cart_shift(comm, 1, 1, &west, &east);
  for (int step = 0; step < 25; ++step) {
    MPI_Request requests[8];
    MPI_Irecv(at(0, 1), kSide, MPI_DOUBLE, up, 0, comm, &requests[0]);
    MPI_Irecv(at(kSide + 1, 1), kSide, MPI_DOUBLE, down, 1, comm, &requests[1]);
    MPI_Irecv(at(1, 0), 1, column, west, 2, comm, &requests[2]);
    MPI_Irecv(at(1, kSide + 1), 1, column, east, 3, comm, &requests[3]);
    MPI_Isend(at(kSide, 1), kSide, MPI_DOUBLE, down, 0, comm, &requests[4]);
    MPI_Isend(at(1, 1), kSide, MPI_DOUBLE, up, 1, comm, &requests[5]);
    MPI_Isend(at(1, kSide), 1, column, east, 2, comm, &requests[6]);
    MPI_Isend(at(1, 1), 1, column, west, 3, comm, &requests[7]);
    MPI_Waitall(8, requests, MPI_STATUSES_IGNORE);
    const auto halo = [&](int neighbour, double seen) {
      if (neighbour != MPI_PROC_NULL) CHECK_EQ(seen, neighbour + 1000. * step);
    };
    halo(up, *at(0, kSide));
    halo(down, *at(kSide + 1, 1));
    halo(west, *at(kSide, 0));
    halo(east, *at(1, kSide + 1));
    for (double& value : field) value += 1000.;
    for (int y = 1; y <= kSide; ++y) {
      for (int x = 1; x <= kSide; ++x) *at(y, x) = comm_rank(comm) + 1000. * (step + 1);
    }
  }
  MPI_Type_free(&column);
  MPI_Comm_free(&comm);
}

int main(int argc, char** argv) { return conformance::main(argc, argv); }
