// particles: particles that move between ranks, and messages that stay in flight for two steps.
//
// Space is a ring of cells, each rank has a section of it. In a step the particles of a cell push
// each other apart, all of them move, and those that left the section are sent to the neighbour
// there. They travel for two steps: what is sent in step s joins the receiver in step s + 2. So
// at each safe point the messages of the last two steps are in flight, and more where a rank is
// slow: particles pile up in the section of rank 0, which therefore has the most work.
//
// All arithmetic is on integers and in an order that the particles' ids decide, so the result does
// not depend on which message comes first. The last line of rank 0 is `result: <digest>`.

#include <mpi.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <thread>
#include <tuple>
#include <vector>

#include <cairn/cairn.hpp>

namespace {

struct Arguments {
  std::uint64_t particles = 3000;
  std::uint64_t steps = 2000;
  std::uint64_t seed = 1;
  std::uint64_t pace_us = 0;
};

struct Particle {
  std::int64_t id;
  std::int64_t position;
  std::int32_t velocity;
  std::int32_t bumps;  ///< how often it has met another one
};

constexpr std::int64_t cell_width = 1 << 20;
constexpr std::int64_t cells_per_rank = 32;
constexpr std::int64_t section_width = cell_width * cells_per_rank;
constexpr std::int64_t top_speed = cell_width - 1;  // so a particle reaches a neighbour at most
constexpr std::uint64_t lag = 2;                    // steps between sending and joining
constexpr std::uint64_t messages_per_step = 2;      // one from each neighbour, perhaps empty

/// More than this many leave later: a message of 100 particles (2.4 kB) is below the eager limit of
/// all transports between processes (Open MPI's smallest is 4 KiB), so that MPI_Send does not wait
/// for a receiver who reads it two steps from now.
constexpr std::size_t most_per_message = 100;

struct World {
  int rank = 0, ranks = 1, left = 0, right = 0;
  std::int64_t length = 0, begin = 0;  ///< of space; of this rank's section
  std::uint64_t seed = 0;
  MPI_Datatype particle_type = MPI_DATATYPE_NULL;
};

std::uint64_t scramble(std::uint64_t z) {  // SplitMix64
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

MPI_Datatype make_particle_type() {
  const std::array<int, 4> lengths = {1, 1, 1, 1};
  const std::array<MPI_Aint, 4> places = {offsetof(Particle, id), offsetof(Particle, position),
                                          offsetof(Particle, velocity), offsetof(Particle, bumps)};
  const std::array<MPI_Datatype, 4> types = {MPI_INT64_T, MPI_INT64_T, MPI_INT32_T, MPI_INT32_T};
  MPI_Datatype type = MPI_DATATYPE_NULL;
  MPI_Type_create_struct(4, lengths.data(), places.data(), types.data(), &type);
  MPI_Type_commit(&type);
  return type;
}

World make_world(std::uint64_t seed, int rank, int ranks) {
  World world{rank, ranks, (rank + ranks - 1) % ranks, (rank + 1) % ranks};
  world.length = section_width * ranks;
  world.begin = section_width * rank;
  world.seed = seed;
  world.particle_type = make_particle_type();
  return world;
}

std::vector<Particle> make_particles(const World& world, std::uint64_t count) {
  std::vector<Particle> mine;
  for (std::uint64_t id = 0; id < count; ++id) {
    const std::uint64_t random = scramble(world.seed * 1000003 + id);
    const auto position = static_cast<std::int64_t>(random % std::uint64_t(world.length));
    if (position / section_width != world.rank) continue;
    mine.push_back({static_cast<std::int64_t>(id), position, 0, 0});
  }
  return mine;
}

void sort_by_cell(std::vector<Particle>& particles) {
  std::sort(particles.begin(), particles.end(), [](const Particle& a, const Particle& b) {
    return std::tuple{a.position / cell_width, a.id} < std::tuple{b.position / cell_width, b.id};
  });
}

/// Push of all others in the cell on one particle: the nearer, the stronger.
std::int64_t push(const Particle& p, const Particle* first, const Particle* last) {
  std::int64_t sum = 0;
  for (const Particle* q = first; q != last; ++q) {
    const std::int64_t distance = p.position - q->position;
    sum += distance > 0 ? cell_width - distance : distance < 0 ? -cell_width - distance : 0;
  }
  return sum;
}

/// Moves the particles, which are sorted by cell, by one step.
void move(const World& world, std::uint64_t step, std::vector<Particle>& particles) {
  for (std::size_t i = 0; i < particles.size();) {
    std::size_t end = i + 1;
    const std::int64_t cell = particles[i].position / cell_width;
    while (end < particles.size() && particles[end].position / cell_width == cell) ++end;
    const bool viscous = cell < cells_per_rank;  // the section of rank 0 holds particles back
    for (std::size_t k = i; k < end; ++k) {
      Particle& p = particles[k];
      const std::uint64_t random = scramble(scramble(world.seed + step) ^ std::uint64_t(p.id));
      const std::int64_t kick =
          static_cast<std::int64_t>(random % (cell_width / 2)) - cell_width / 4;
      const std::int64_t pushed = push(p, &particles[i], &particles[i] + (end - i)) / 64;
      const std::int64_t speed = (p.velocity + kick + pushed) / (viscous ? 3 : 1);
      p.velocity = static_cast<std::int32_t>(std::clamp(speed, -top_speed, top_speed));
      if (end - i > 1) ++p.bumps;
    }
    // After all pushes of this cell: each of them saw the same positions.
    for (std::size_t k = i; k < end; ++k) {
      Particle& p = particles[k];
      p.position = (p.position + p.velocity + world.length) % world.length;
    }
    i = end;
  }
}

/// Takes out, in the order of their ids, the particles that have left towards each side.
void split(const World& world, std::vector<Particle>& mine, std::vector<Particle>& to_left,
           std::vector<Particle>& to_right) {
  std::sort(mine.begin(), mine.end(),
            [](const Particle& a, const Particle& b) { return a.id < b.id; });
  std::erase_if(mine, [&](const Particle& p) {
    const std::int64_t from_begin = (p.position - world.begin + world.length) % world.length;
    if (from_begin < section_width) return false;
    const std::int64_t beyond_end = from_begin - section_width;
    auto& out = beyond_end < (world.length - section_width) / 2 ? to_right : to_left;
    if (out.size() == most_per_message) return false;
    out.push_back(p);
    return true;
  });
}

void send(const World& world, std::uint64_t step, const std::vector<Particle>& out, int neighbour) {
  MPI_Send(out.data(), static_cast<int>(out.size()), world.particle_type, neighbour,
           static_cast<int>(step % 1000), MPI_COMM_WORLD);
}

/// Receives what the neighbours sent in `step`: two messages, whichever comes first, of a size
/// that only a probe tells. While the first has not come, the particles at hand can be sorted.
void join(const World& world, std::uint64_t step, std::vector<Particle>& mine) {
  const int tag = static_cast<int>(step % 1000);
  int there = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
  if (there == 0) sort_by_cell(mine);
  for (std::uint64_t i = 0; i < messages_per_step; ++i) {
    MPI_Status status;
    int count = 0;
    MPI_Probe(MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, world.particle_type, &count);
    const std::size_t before = mine.size();
    mine.resize(before + static_cast<std::size_t>(count));
    MPI_Recv(mine.data() + before, count, world.particle_type, status.MPI_SOURCE, tag,
             MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
}

/// The same for every distribution and order of the particles: a sum of one hash for each.
std::uint64_t digest(const std::vector<Particle>& particles) {
  std::uint64_t sum = 0;
  for (const Particle& p : particles) {
    std::uint64_t hash = scramble(static_cast<std::uint64_t>(p.id));
    hash = scramble(hash ^ static_cast<std::uint64_t>(p.position));
    hash = scramble(hash ^ static_cast<std::uint64_t>(p.velocity));
    sum += scramble(hash ^ static_cast<std::uint64_t>(p.bumps));
  }
  return sum;
}

int run(const Arguments& arguments, int rank, int ranks) {
  World world = make_world(arguments.seed, rank, ranks);
  std::vector<Particle> mine = make_particles(world, arguments.particles);
  std::uint64_t step = 0;  // steps that are done

  cairn::Session session{MPI_COMM_WORLD};
  session.protect("step", step);
  session.protect_resizable("particles", mine);  // how many a rank has changes all the time
  if (const std::uint64_t epoch = session.restart(); epoch != 0 && rank == 0) {
    std::cout << "particles: continues at step " << step << " (epoch " << epoch << ")" << std::endl;
  }

  while (step < arguments.steps) {
    if (step >= lag) join(world, step - lag, mine);
    sort_by_cell(mine);
    move(world, step, mine);
    std::vector<Particle> to_left, to_right;
    split(world, mine, to_left, to_right);
    send(world, step, to_left, world.left);
    send(world, step, to_right, world.right);
    ++step;
    if (arguments.pace_us > 0) {
      std::this_thread::sleep_for(std::chrono::microseconds{arguments.pace_us});
    }
    session.safe_point();
  }
  for (std::uint64_t s = step - std::min(step, lag); s < step; ++s) join(world, s, mine);

  const std::array<std::uint64_t, 2> local = {digest(mine), mine.size()};
  std::array<std::uint64_t, 2> total = {};
  MPI_Allreduce(local.data(), total.data(), 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
  MPI_Type_free(&world.particle_type);
  if (total[1] != arguments.particles) {
    if (rank == 0) {
      std::cerr << "particles: " << total[1] << " particles at the end instead of "
                << arguments.particles << "\n";
    }
    return 1;
  }
  if (rank == 0) std::printf("result: %016llx\n", static_cast<unsigned long long>(total[0]));
  return 0;
}

/// -1: go on; otherwise the exit status. Only rank 0 prints.
int parse(int argc, char** argv, int rank, Arguments& arguments) {
  CLI::App app{"Particles that move between ranks, checkpointed by Cairn", "particles"};
  const auto count = CLI::Range(std::uint64_t{0}, std::uint64_t{1'000'000'000});
  app.add_option("--particles", arguments.particles, "Particles, over all ranks")
      ->check(count)
      ->capture_default_str();
  app.add_option("--steps", arguments.steps, "Time steps")->check(count)->capture_default_str();
  app.add_option("--seed", arguments.seed, "Seed of positions and kicks")->capture_default_str();
  app.add_option("--pace-us", arguments.pace_us, "Sleep this long in each step, as if computing")
      ->check(count)
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    if (rank == 0) std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& error) {
    if (rank == 0) std::cerr << "particles: " << error.what() << " (see particles --help)\n";
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
  int status = parse(argc, argv, rank, arguments);
  if (status < 0) status = run(arguments, rank, ranks);
  MPI_Finalize();
  return status;
}
