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
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <cairn/cairn.hpp>

namespace {

namespace fs = std::filesystem;

int rank = 0;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "bench_checkpoint: rank %d: %s\n", rank, message.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

// Seconds that `work` takes on the slowest rank. PMPI: none of it passes through Cairn.
double seconds_of(const std::function<void()>& work) {
  PMPI_Barrier(MPI_COMM_WORLD);
  const auto begin = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  double mine = elapsed.count();
  double slowest = 0;
  PMPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return slowest;
}

using Field = std::vector<double>;

void write_plain(const std::string& path, const Field& field) {
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  if (file < 0) fail("can't create " + path);
  const char* data = reinterpret_cast<const char*>(field.data());
  const std::size_t bytes = field.size() * sizeof(double);
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t n = ::pwrite(file, data + done, bytes - done, static_cast<off_t>(done));
    if (n <= 0) fail("can't write " + path);
    done += static_cast<std::size_t>(n);
  }
  if (::fsync(file) != 0 || ::close(file) != 0) fail("can't sync " + path);
}

void read_plain(const std::string& path, Field& field) {
  const int file = ::open(path.c_str(), O_RDONLY);
  if (file < 0) fail("can't open " + path);
  char* data = reinterpret_cast<char*>(field.data());
  const std::size_t bytes = field.size() * sizeof(double);
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t n = ::pread(file, data + done, bytes - done, static_cast<off_t>(done));
    if (n <= 0) fail("can't read " + path);
    done += static_cast<std::size_t>(n);
  }
  ::close(file);
}

// Every element differs from round to round and from rank to rank.
void fill(Field& field, int round) {
  for (std::size_t i = 0; i < field.size(); ++i) {
    field[i] = static_cast<double>(i) + 1e9 * rank + 0.001 * round;
  }
}

// First touch is slow on virtual machines: has the pages that the rounds will need used once.
void warm_page_cache(const Field& field) {
  const std::string path = "warm-" + std::to_string(rank);
  for (int i = 0; i < 3; ++i) write_plain(path + "." + std::to_string(i), field);
  for (int i = 0; i < 3; ++i) fs::remove(path + "." + std::to_string(i));
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
