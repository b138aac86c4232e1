// What a checkpoint and a restart cost, against plain files of the same bytes on the same disk.
//
//   mpirun -n N bench_checkpoint write MIB ROUNDS        MIB per rank; one JSON line per round
//   mpirun -n N bench_checkpoint read MIB plain|cairn    restarts once; says which one goes first
//
// Times are seconds of the slowest rank. Checkpoints go to $CAIRN_DIR, plain files to the working
// directory, which should be on the same disk.
#include <fcntl.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <cairn/cairn.hpp>

#include "apps/bench/plain_files.hpp"

namespace {

namespace fs = std::filesystem;
using cairn::bench::fail;
using cairn::bench::Field;
using cairn::bench::rank;
using cairn::bench::read_plain;
using cairn::bench::seconds_of;
using cairn::bench::warm_page_cache;
using cairn::bench::write_plain;

// Every element differs from round to round and from rank to rank.
void fill(Field& field, int round) {
  for (std::size_t i = 0; i < field.size(); ++i) {
    field[i] = static_cast<double>(i) + 1e9 * rank + 0.001 * round;
  }
}

// Has the files below a directory read from the disk next time.
void drop_from_page_cache(const fs::path& path) {
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (!entry.is_regular_file()) continue;
    const int file = ::open(entry.path().c_str(), O_RDONLY);
    if (file < 0) continue;
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
  }
}

void write_rounds(cairn::Session& session, Field& field, int& round, int rounds) {
  const std::string plain_path = "plain-" + std::to_string(rank);
  Field copy(field.size(), 0.0);
  warm_page_cache(field);
  double plain = 0;
  double checkpoint = 0;
  const auto run_plain = [&] {
    fs::remove(plain_path);
    plain = seconds_of([&] { write_plain(plain_path, field); });
  };
  const auto run_checkpoint = [&] {
    checkpoint = seconds_of([&] {
      if (const auto status = session.checkpoint(); !status) fail(status.message());
    });
  };
  for (round = 1; round <= rounds; ++round) {
    fill(field, round);
    if (round % 2 == 0) run_checkpoint();
    run_plain();
    if (round % 2 != 0) run_checkpoint();
    const double memory =
        seconds_of([&] { std::memcpy(copy.data(), field.data(), field.size() * sizeof(double)); });
    if (copy.back() != field.back()) fail("memcpy failed");
    if (rank == 0) {
      std::printf("{\"plain\": %.6f, \"cairn\": %.6f, \"memcpy\": %.6f}\n", plain, checkpoint,
                  memory);
      std::fflush(stdout);
    }
  }
}

void read_once(cairn::Session& session, Field& field, const int& round, bool plain_first) {
  const std::string plain_path = "plain-" + std::to_string(rank);
  Field plain_field(field.size(), 0.0);
  double plain = 0;
  const auto run_plain = [&] { plain = seconds_of([&] { read_plain(plain_path, plain_field); }); };
  if (rank == 0) drop_from_page_cache(".");
  if (plain_first) run_plain();
  std::uint64_t epoch = 0;
  const double restart = seconds_of([&] { epoch = session.restart(); });
  if (!plain_first) run_plain();

  if (epoch == 0) fail("nothing to restart from");
  Field expected(field.size());
  fill(expected, round);
  if (field != expected) fail("restart gave wrong data");
  if (rank == 0) std::printf("{\"plain\": %.6f, \"cairn\": %.6f}\n", plain, restart);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (argc != 4) fail("usage: bench_checkpoint write MIB ROUNDS | read MIB plain|cairn");
  {
    Field field(static_cast<std::size_t>(std::atoi(argv[2])) * ((1 << 20) / sizeof(double)), 0.0);
    int round = 0;
    cairn::Options options;
    options.interval = cairn::Interval::off();
    options.keep = 1;
    options.incremental = "off";  // everything is to be written each time
    cairn::Session session{MPI_COMM_WORLD, options};
    session.protect("field", field);
    session.protect("round", round);
    if (std::string_view{argv[1]} == "write") {
      session.restart();
      write_rounds(session, field, round, std::atoi(argv[3]));
    } else {
      read_once(session, field, round, std::string_view{argv[3]} == "plain");
    }
  }
  MPI_Finalize();
}
