// heat2d: the 2-D heat equation on a plate, and all that Cairn needs to checkpoint it.
//
// The plate has ny × nx cells and is cold (0) outside. Each rank has a band of rows. A step needs
// one row from the rank above and one from the rank below; all of these messages are complete
// before the safe point, so a checkpoint finds none in flight and no request pending.
//
// The last line of rank 0 is `result: <digest>`. It depends on --nx, --ny, --steps, --seed and the
// number of ranks, and on nothing else: not on how often the run was killed and restarted.

#include <mpi.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <cairn/cairn.hpp>
#include <cairn/serialize.hpp>

namespace {

struct Arguments {
  std::uint64_t nx = 768;
  std::uint64_t ny = 768;
  std::uint64_t steps = 2000;
  std::uint64_t seed = 1;
  std::uint64_t pace_us = 0;
  std::string dump;
};

struct Sample {
  std::uint64_t step = 0;
  double heat = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& step& heat;
  }
};

/// What the run has seen so far: not plain memory, so it is saved by Boost.Serialization.
struct History {
  std::vector<Sample> samples;
  std::string notes;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& samples& notes;
  }
};

/// The rows [first, first + rows) of the plate, and the halo rows beside them.
struct Band {
  std::uint64_t nx = 0, ny = 0;
  std::uint64_t first = 0, rows = 0;
  int above = MPI_PROC_NULL, below = MPI_PROC_NULL;
  std::vector<double> now, next;     ///< rows × nx; swapped after each step
  std::vector<double> north, south;  ///< halo; received anew in each step, so never saved
};

constexpr std::uint64_t sample_every = 50;  // steps

std::uint64_t fnv1a(std::uint64_t hash, std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) {
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3u;
  }
  return hash;
}

/// A reproducible number in [0, 1) for each cell (SplitMix64).
double noise(std::uint64_t seed, std::uint64_t cell) {
  std::uint64_t z = (seed << 40) + cell + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

Band make_band(const Arguments& arguments, int rank, int ranks) {
  const auto r = static_cast<std::uint64_t>(rank);
  const auto n = static_cast<std::uint64_t>(ranks);
  Band band;
  band.nx = arguments.nx;
  band.ny = arguments.ny;
  band.first = band.ny * r / n;
  band.rows = band.ny * (r + 1) / n - band.first;
  if (rank > 0) band.above = rank - 1;
  if (rank + 1 < ranks) band.below = rank + 1;
  band.now.resize(band.rows * band.nx);
  band.next.resize(band.rows * band.nx);
  band.north.resize(band.nx);  // stays 0 where there is no neighbour
  band.south.resize(band.nx);
  for (std::uint64_t i = 0; i < band.now.size(); ++i) {
    const std::uint64_t cell = band.first * band.nx + i;
    const bool hot = cell / band.nx < band.ny / 4 && cell % band.nx < band.nx / 4;
    band.now[i] = noise(arguments.seed, cell) + (hot ? 10 : 0);
  }
  return band;
}

void relax_row(Band& band, std::uint64_t row) {
  const std::uint64_t nx = band.nx;
  const double* mid = band.now.data() + row * nx;
  const double* up = row == 0 ? band.north.data() : mid - nx;
  const double* down = row + 1 == band.rows ? band.south.data() : mid + nx;
  double* out = band.next.data() + row * nx;
  constexpr double a = 0.2;
  out[0] = mid[0] + a * (up[0] + down[0] + mid[1] - 4 * mid[0]);
  for (std::uint64_t x = 1; x + 1 < nx; ++x) {
    out[x] = mid[x] + a * (up[x] + down[x] + mid[x - 1] + mid[x + 1] - 4 * mid[x]);
  }
  const std::uint64_t end = nx - 1;
  out[end] = mid[end] + a * (up[end] + down[end] + mid[end - 1] - 4 * mid[end]);
}

void step_band(Band& band) {
  const int nx = static_cast<int>(band.nx);
  double* first_row = band.now.data();
  double* last_row = band.now.data() + (band.rows - 1) * band.nx;
  MPI_Request requests[4];
  MPI_Irecv(band.north.data(), nx, MPI_DOUBLE, band.above, 0, MPI_COMM_WORLD, &requests[0]);
  MPI_Irecv(band.south.data(), nx, MPI_DOUBLE, band.below, 1, MPI_COMM_WORLD, &requests[1]);
  MPI_Isend(first_row, nx, MPI_DOUBLE, band.above, 1, MPI_COMM_WORLD, &requests[2]);
  MPI_Isend(last_row, nx, MPI_DOUBLE, band.below, 0, MPI_COMM_WORLD, &requests[3]);
  // The inner rows need no halo: they are computed while it travels.
  for (std::uint64_t row = 1; row + 1 < band.rows; ++row) relax_row(band, row);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  relax_row(band, 0);
  if (band.rows > 1) relax_row(band, band.rows - 1);
  std::swap(band.now, band.next);
}

/// Adds a sample, the same on every rank. Floating-point sums depend on their order and MPI_SUM
/// leaves it open, so the ranks' sums are gathered and added in rank order.
void take_sample(const Band& band, int ranks, std::uint64_t step, History& history) {
  const double mine = std::accumulate(band.now.begin(), band.now.end(), 0.0);
  std::vector<double> sums(static_cast<std::size_t>(ranks));
  MPI_Allgather(&mine, 1, MPI_DOUBLE, sums.data(), 1, MPI_DOUBLE, MPI_COMM_WORLD);
  const auto hottest = std::max_element(sums.begin(), sums.end()) - sums.begin();
  history.samples.push_back({step, std::accumulate(sums.begin(), sums.end(), 0.0)});
  history.notes +=
      "step " + std::to_string(step) + ": most heat on rank " + std::to_string(hottest) + "\n";
}

std::uint64_t digest(const Band& band, const History& history, int ranks) {
  std::uint64_t mine = fnv1a(0xcbf29ce484222325u, std::as_bytes(std::span{band.now}));
  for (const Sample& sample : history.samples) {
    mine = fnv1a(mine, std::as_bytes(std::span{&sample, 1}));
  }
  mine = fnv1a(mine, std::as_bytes(std::span{history.notes}));
  std::vector<std::uint64_t> all(static_cast<std::size_t>(ranks));
  MPI_Gather(&mine, 1, MPI_UINT64_T, all.data(), 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
  return fnv1a(0xcbf29ce484222325u, std::as_bytes(std::span{all}));
}

/// Writes the field, row by row as raw float64, from rank 0. Collective; the same answer
/// everywhere.
bool dump(const Band& band, int rank, int ranks, const std::string& path) {
  const auto n = static_cast<std::uint64_t>(ranks);
  std::vector<int> counts, offsets;
  for (std::uint64_t r = 0; r < n; ++r) {
    offsets.push_back(static_cast<int>(band.ny * r / n * band.nx));
    counts.push_back(static_cast<int>(band.ny * (r + 1) / n * band.nx) - offsets.back());
  }
  std::vector<double> whole(rank == 0 ? band.ny * band.nx : 0);
  MPI_Gatherv(band.now.data(), static_cast<int>(band.now.size()), MPI_DOUBLE, whole.data(),
              counts.data(), offsets.data(), MPI_DOUBLE, 0, MPI_COMM_WORLD);
  int good = 1;
  if (rank == 0) {
    std::ofstream file{path, std::ios::binary};
    file.write(reinterpret_cast<const char*>(whole.data()),
               static_cast<std::streamsize>(whole.size() * sizeof(double)));
    file.close();
    good = file.good() ? 1 : 0;
    if (good == 0) std::cerr << "heat2d: can't write " << path << "\n";
  }
  MPI_Bcast(&good, 1, MPI_INT, 0, MPI_COMM_WORLD);
  return good == 1;
}

int run(const Arguments& arguments, int rank, int ranks) {
  Band band = make_band(arguments, rank, ranks);
  History history;
  std::uint64_t step = 0;  // steps that are done

  cairn::Session session{MPI_COMM_WORLD};
  session.protect("step", step);
  // The vector, not its memory: the two fields may be swapped. With its place in the whole plate
  // the checkpoint holds one ny × nx dataset that h5py or ParaView can open.
  session.protect("temperature", band.now,
                  {{band.ny, band.nx}, {band.first, 0}, {band.rows, band.nx}});
  session.serialize("history", history);
  if (const std::uint64_t epoch = session.restart(); epoch != 0 && rank == 0) {
    std::cout << "heat2d: continues at step " << step << " (epoch " << epoch << ")" << std::endl;
  }

  while (step < arguments.steps) {
    step_band(band);
    // Counted before the safe point: a restart must not repeat the step that is done.
    ++step;
    if (step % sample_every == 0) take_sample(band, ranks, step, history);
    if (arguments.pace_us > 0) {
      std::this_thread::sleep_for(std::chrono::microseconds{arguments.pace_us});
    }
    session.safe_point();
  }

  if (!arguments.dump.empty() && !dump(band, rank, ranks, arguments.dump)) return 1;
  const std::uint64_t result = digest(band, history, ranks);
  if (rank == 0) std::printf("result: %016llx\n", static_cast<unsigned long long>(result));
  return 0;
}

/// -1: go on; otherwise the exit status. Only rank 0 prints.
int parse(int argc, char** argv, int rank, int ranks, Arguments& arguments) {
  CLI::App app{"The 2-D heat equation, checkpointed by Cairn", "heat2d"};
  const auto size = CLI::Range(std::uint64_t{2}, std::uint64_t{1} << 15);
  const auto count = CLI::Range(std::uint64_t{0}, std::uint64_t{1'000'000'000});
  app.add_option("--nx", arguments.nx, "Columns of the plate")->check(size)->capture_default_str();
  app.add_option("--ny", arguments.ny, "Rows, at least one per rank")
      ->check(size)
      ->capture_default_str();
  app.add_option("--steps", arguments.steps, "Time steps")->check(count)->capture_default_str();
  app.add_option("--seed", arguments.seed, "Seed of the first field")->capture_default_str();
  app.add_option("--pace-us", arguments.pace_us, "Sleep this long in each step, as if computing")
      ->check(count)
      ->capture_default_str();
  app.add_option("--dump", arguments.dump, "Write the last field to this file, raw float64");
  try {
    app.parse(argc, argv);
    if (arguments.ny < static_cast<std::uint64_t>(ranks)) {
      throw CLI::ValidationError{"--ny must be at least the number of ranks"};
    }
  } catch (const CLI::CallForHelp&) {
    if (rank == 0) std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& error) {
    if (rank == 0) std::cerr << "heat2d: " << error.what() << " (see heat2d --help)\n";
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
  Arguments arguments;
  int status = parse(argc, argv, rank, ranks, arguments);
  if (status < 0) status = run(arguments, rank, ranks);
  MPI_Finalize();
  return status;
}
