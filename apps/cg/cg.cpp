// cg: conjugate gradients for Poisson's equation in a box, for one source after another.
//
// The box has nz × ny × nx cells, and the solution is 0 outside. The ranks form a 3-D grid, each
// has a block of the box. An iteration exchanges the six faces of a block with the neighbours, and
// adds up two numbers over all ranks; this is what most solvers do all day. No message is in flight
// at a safe point, but x, r and p must be of the very same iteration on every rank.
//
// The last line of rank 0 is `result: <digest>`. It depends on the sizes, --solves, --tolerance,
// --seed and the number of ranks, and on nothing else: not on how often the run was killed.

#include <mpi.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <cairn/cairn.hpp>

namespace {

using Field = std::vector<double>;
using Shape = std::array<std::uint64_t, 3>;  // z, y, x

struct Arguments {
  std::uint64_t nx = 48, ny = 48, nz = 48;
  std::uint64_t solves = 10;
  double tolerance = 1e-8;
  std::uint64_t seed = 1;
  std::uint64_t pace_us = 0;
};

/// A rank's part of the box, and what it needs to talk to the six blocks beside it.
struct Block {
  MPI_Comm grid = MPI_COMM_NULL;
  int ranks = 1;
  Shape global = {}, first = {}, size = {};
  // Of each dimension, towards lower and higher indices:
  std::array<std::array<int, 2>, 3> neighbours = {};
  std::array<std::array<MPI_Datatype, 2>, 3> edges = {};  ///< the cells that the neighbour needs
  std::array<std::array<Field, 2>, 3> halo;  ///< received anew in each iteration, so never saved

  std::uint64_t cells() const { return size[0] * size[1] * size[2]; }
};

/// What conjugate gradients remember from one iteration to the next.
struct Solver {
  Field x, r, p;                ///< solution, residual, direction
  double rho = 0;               ///< r·r
  std::uint64_t iteration = 0;  ///< of the present solve
  std::uint64_t solve = 0;      ///< solves that are done
};

std::uint64_t scramble(std::uint64_t z) {  // SplitMix64
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// Reproducible, in [-0.5, 0.5).
double source(std::uint64_t seed, std::uint64_t solve, std::uint64_t cell) {
  const std::uint64_t random = scramble(scramble(scramble(seed) + solve) + cell);
  return static_cast<double>(random >> 11) * 0x1p-53 - 0.5;
}

std::uint64_t fnv1a(std::uint64_t hash, std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) {
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3u;
  }
  return hash;
}

/// The block's layer of cells at one of its six sides, as a datatype over the whole block.
MPI_Datatype make_edge(const Shape& size, std::size_t dimension, bool higher) {
  std::array<int, 3> whole, part, start = {};
  for (std::size_t d = 0; d < 3; ++d) whole[d] = part[d] = static_cast<int>(size[d]);
  part[dimension] = 1;
  start[dimension] = higher ? whole[dimension] - 1 : 0;
  MPI_Datatype type = MPI_DATATYPE_NULL;
  MPI_Type_create_subarray(3, whole.data(), part.data(), start.data(), MPI_ORDER_C, MPI_DOUBLE,
                           &type);
  MPI_Type_commit(&type);
  return type;
}

Block make_block(const Shape& global, const std::array<int, 3>& dims) {
  Block block;
  block.global = global;
  const std::array<int, 3> periods = {};
  // Not reordered: after a restart each rank must find itself at the same place.
  MPI_Cart_create(MPI_COMM_WORLD, 3, dims.data(), periods.data(), 0, &block.grid);
  int rank = 0;
  MPI_Comm_rank(block.grid, &rank);
  MPI_Comm_size(block.grid, &block.ranks);
  std::array<int, 3> place = {};
  MPI_Cart_coords(block.grid, rank, 3, place.data());
  for (std::size_t d = 0; d < 3; ++d) {
    const auto n = static_cast<std::uint64_t>(dims[d]);
    const auto i = static_cast<std::uint64_t>(place[d]);
    block.first[d] = global[d] * i / n;
    block.size[d] = global[d] * (i + 1) / n - block.first[d];
  }
  for (std::size_t d = 0; d < 3; ++d) {
    MPI_Cart_shift(block.grid, static_cast<int>(d), 1, &block.neighbours[d][0],
                   &block.neighbours[d][1]);
    for (std::size_t side = 0; side < 2; ++side) {
      block.edges[d][side] = make_edge(block.size, d, side == 1);
      block.halo[d][side].resize(block.cells() / block.size[d]);  // stays 0 outside the box
    }
  }
  return block;
}

void free_block(Block& block) {
  for (auto& sides : block.edges) {
    for (MPI_Datatype& type : sides) MPI_Type_free(&type);
  }
  MPI_Comm_free(&block.grid);
}

void exchange_halo(Block& block, const Field& field) {
  std::array<MPI_Request, 12> requests;
  std::size_t n = 0;
  for (std::size_t d = 0; d < 3; ++d) {
    for (std::size_t side = 0; side < 2; ++side) {
      Field& halo = block.halo[d][side];
      const int neighbour = block.neighbours[d][side];
      MPI_Irecv(halo.data(), static_cast<int>(halo.size()), MPI_DOUBLE, neighbour, 0, block.grid,
                &requests[n++]);
      MPI_Isend(field.data(), 1, block.edges[d][side], neighbour, 0, block.grid, &requests[n++]);
    }
  }
  MPI_Waitall(static_cast<int>(n), requests.data(), MPI_STATUSES_IGNORE);
}

/// One row of the 7-point stencil.
void apply_row(const Block& block, const Field& in, std::uint64_t z, std::uint64_t y, double* out) {
  const auto [nz, ny, nx] = block.size;
  const auto& [z_halo, y_halo, x_halo] = block.halo;
  const double* mid = in.data() + (z * ny + y) * nx;
  const double* below = z == 0 ? z_halo[0].data() + y * nx : mid - ny * nx;
  const double* above = z + 1 == nz ? z_halo[1].data() + y * nx : mid + ny * nx;
  const double* front = y == 0 ? y_halo[0].data() + z * nx : mid - nx;
  const double* back = y + 1 == ny ? y_halo[1].data() + z * nx : mid + nx;
  for (std::uint64_t x = 0; x < nx; ++x) {
    const double left = x == 0 ? x_halo[0][z * ny + y] : mid[x - 1];
    const double right = x + 1 == nx ? x_halo[1][z * ny + y] : mid[x + 1];
    out[x] = 6 * mid[x] - below[x] - above[x] - front[x] - back[x] - left - right;
  }
}

/// out = A in, where A is minus the discrete Laplacian.
void apply(Block& block, const Field& in, Field& out) {
  exchange_halo(block, in);
  for (std::uint64_t z = 0; z < block.size[0]; ++z) {
    for (std::uint64_t y = 0; y < block.size[1]; ++y) {
      apply_row(block, in, z, y, out.data() + (z * block.size[1] + y) * block.size[2]);
    }
  }
}

/// The same on every rank and in every run. Floating-point sums depend on their order and MPI_SUM
/// leaves it open: so each rank's part has a place of its own, where only zeros are added to it.
double dot(const Block& block, const Field& a, const Field& b) {
  int rank = 0;
  MPI_Comm_rank(block.grid, &rank);
  std::vector<double> parts(static_cast<std::size_t>(block.ranks));
  parts[static_cast<std::size_t>(rank)] = std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  MPI_Allreduce(MPI_IN_PLACE, parts.data(), block.ranks, MPI_DOUBLE, MPI_SUM, block.grid);
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

/// Starts from the solution for the source before: r = p = b - A x.
void begin_solve(const Arguments& arguments, Block& block, Solver& solver) {
  Field ax(block.cells());
  apply(block, solver.x, ax);
  const auto [nz, ny, nx] = block.size;
  for (std::uint64_t i = 0; i < block.cells(); ++i) {
    const std::uint64_t z = block.first[0] + i / (ny * nx);
    const std::uint64_t y = block.first[1] + i / nx % ny;
    const std::uint64_t x = block.first[2] + i % nx;
    const std::uint64_t cell = (z * block.global[1] + y) * block.global[2] + x;
    solver.r[i] = source(arguments.seed, solver.solve, cell) - ax[i];
  }
  solver.p = solver.r;
  solver.rho = dot(block, solver.r, solver.r);
}

void iterate(Block& block, Solver& solver, Field& ap) {
  apply(block, solver.p, ap);
  const double alpha = solver.rho / dot(block, solver.p, ap);
  for (std::size_t i = 0; i < ap.size(); ++i) {
    solver.x[i] += alpha * solver.p[i];
    solver.r[i] -= alpha * ap[i];
  }
  const double rho = dot(block, solver.r, solver.r);
  const double beta = rho / solver.rho;
  for (std::size_t i = 0; i < ap.size(); ++i) solver.p[i] = solver.r[i] + beta * solver.p[i];
  solver.rho = rho;
}

std::uint64_t digest(const Block& block, const Solver& solver) {
  std::uint64_t mine = fnv1a(0xcbf29ce484222325u, std::as_bytes(std::span{solver.x}));
  mine = fnv1a(mine, std::as_bytes(std::span{solver.r}));
  std::vector<std::uint64_t> all(static_cast<std::size_t>(block.ranks));
  MPI_Gather(&mine, 1, MPI_UINT64_T, all.data(), 1, MPI_UINT64_T, 0, block.grid);
  return fnv1a(0xcbf29ce484222325u, std::as_bytes(std::span{all}));
}

void solve_all(const Arguments& arguments, Block& block, Solver& solver, cairn::Session& session) {
  const auto cells = static_cast<double>(block.global[0] * block.global[1] * block.global[2]);
  Field ap(block.cells());
  for (; solver.solve < arguments.solves; ++solver.solve, solver.iteration = 0) {
    if (solver.iteration == 0) begin_solve(arguments, block, solver);
    while (std::sqrt(solver.rho / cells) > arguments.tolerance) {
      iterate(block, solver, ap);
      // Counted before the safe point: a restart must not repeat the iteration that is done.
      ++solver.iteration;
      if (arguments.pace_us > 0) {
        std::this_thread::sleep_for(std::chrono::microseconds{arguments.pace_us});
      }
      session.safe_point();
    }
  }
}

int run(const Arguments& arguments, const std::array<int, 3>& dims, int rank) {
  Block block = make_block({arguments.nz, arguments.ny, arguments.nx}, dims);
  Solver solver;
  for (Field* field : {&solver.x, &solver.r, &solver.p}) field->resize(block.cells());

  cairn::Session session{MPI_COMM_WORLD};
  session.protect("solve", solver.solve);
  session.protect("iteration", solver.iteration);
  session.protect("rho", solver.rho);
  // With each block's place in the box, x is one nz × ny × nx dataset that h5py can open.
  const cairn::GlobalShape shape{{block.global.begin(), block.global.end()},
                                 {block.first.begin(), block.first.end()},
                                 {block.size.begin(), block.size.end()}};
  session.protect("x", solver.x, shape);
  session.protect("r", solver.r, shape);
  session.protect("p", solver.p, shape);
  if (const std::uint64_t epoch = session.restart(); epoch != 0 && rank == 0) {
    std::cout << "cg: continues at step " << session.safe_points() << " (epoch " << epoch << ")"
              << std::endl;
  }

  solve_all(arguments, block, solver, session);
  const std::uint64_t result = digest(block, solver);
  free_block(block);
  if (rank == 0) {
    std::printf("cg: %llu iterations\n", static_cast<unsigned long long>(session.safe_points()));
    std::printf("result: %016llx\n", static_cast<unsigned long long>(result));
  }
  return 0;
}

/// -1: go on; otherwise the exit status. Only rank 0 prints.
int parse(int argc, char** argv, int rank, const std::array<int, 3>& dims, Arguments& arguments) {
  CLI::App app{"Conjugate gradients in a 3-D box, checkpointed by Cairn", "cg"};
  const auto size = CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 10);
  const auto count = CLI::Range(std::uint64_t{0}, std::uint64_t{1'000'000'000});
  app.add_option("--nx", arguments.nx, "Cells in a row")->check(size)->capture_default_str();
  app.add_option("--ny", arguments.ny, "Rows in a layer")->check(size)->capture_default_str();
  app.add_option("--nz", arguments.nz, "Layers")->check(size)->capture_default_str();
  app.add_option("--solves", arguments.solves, "Sources to solve for, one after another")
      ->check(count)
      ->capture_default_str();
  app.add_option("--tolerance", arguments.tolerance, "Root mean square of the residual to reach")
      ->check(CLI::Range(1e-14, 1.0))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "Seed of the sources")->capture_default_str();
  app.add_option("--pace-us", arguments.pace_us, "Sleep this long in each iteration")
      ->check(count)
      ->capture_default_str();
  try {
    app.parse(argc, argv);
    const Shape global = {arguments.nz, arguments.ny, arguments.nx};
    for (std::size_t d = 0; d < 3; ++d) {
      if (global[d] < static_cast<std::uint64_t>(dims[d])) {
        throw CLI::ValidationError{"the box is too small for a grid of " + std::to_string(dims[0]) +
                                   " x " + std::to_string(dims[1]) + " x " +
                                   std::to_string(dims[2]) + " ranks (z, y, x)"};
      }
    }
  } catch (const CLI::CallForHelp&) {
    if (rank == 0) std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& error) {
    if (rank == 0) std::cerr << "cg: " << error.what() << " (see cg --help)\n";
    return 2;
  }
  return -1;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  std::array<int, 3> dims = {};
  MPI_Dims_create(ranks, 3, dims.data());
  Arguments arguments;
  int status = parse(argc, argv, rank, dims, arguments);
  if (status < 0) status = run(arguments, dims, rank);
  MPI_Finalize();
  return status;
}
