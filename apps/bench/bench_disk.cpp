// Ways to write one file from several ranks, against a file for each rank: plain pwrite and fsync.
// Why io/bulk_writer.cpp does what it does.
//
//   mpirun -n N bench_disk MIB ROUNDS        MIB per rank; one JSON line per round and way
//
// Seconds of the slowest rank, files in the working directory. Each rank also sums its data up, as
// a checkpoint does, but not for the plain files.
#include <fcntl.h>
#include <mpi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#ifdef CAIRN_HAS_LIBURING
#include <liburing.h>
#endif

#include "base/checksum.hpp"

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr const char* shared_file = "shared";

int rank = 0;
int size = 1;
std::uint64_t sums = 0;  // of all data, so that no sum is left out

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

/// Memory that is aligned for O_DIRECT and has been touched.
class Memory {
 public:
  explicit Memory(std::size_t bytes)
      : bytes_(bytes),
        data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)) {
    if (data_ == MAP_FAILED) fail("mmap");
  }
  ~Memory() { ::munmap(data_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  std::span<std::byte> span() { return {static_cast<std::byte*>(data_), bytes_}; }

 private:
  std::size_t bytes_;
  void* data_;
};

using Bytes = std::span<const std::byte>;

void write_at(int file, Bytes bytes, std::size_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n <= 0) fail("pwrite");
    offset += static_cast<std::size_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void sum_up(Bytes bytes) {
  for (std::size_t i = 0; i < bytes.size(); i += mib) {
    sums += cairn::checksum(bytes.subspan(i, std::min(mib, bytes.size() - i)));
  }
}

std::string plain_file() { return "plain-" + std::to_string(rank); }

void sync_and_close(int file) {
  if (::fsync(file) != 0 || ::close(file) != 0) fail("fsync");
}

void plain(Bytes data) {
  const int file = ::open(plain_file().c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  if (file < 0) fail("open");
  write_at(file, data, 0);
  sync_and_close(file);
}

/// The file, with room for all ranks.
int open_shared(std::size_t bytes, int flags) {
  int file = -1;
  if (rank == 0) {
    file = ::open(shared_file, O_CREAT | O_EXCL | O_WRONLY | flags, 0600);
    const std::size_t all = bytes * static_cast<std::size_t>(size);
    if (file < 0 || ::fallocate(file, 0, 0, static_cast<off_t>(all)) != 0) fail(shared_file);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank != 0) file = ::open(shared_file, O_WRONLY | flags);
  if (file < 0) fail(shared_file);
  return file;
}

/// Blocking writes of `piece` bytes; each may have the disk start at once.
void in_pieces(Bytes data, std::size_t piece, int flags, bool start_disk) {
  const int file = open_shared(data.size(), flags);
  const std::size_t first = static_cast<std::size_t>(rank) * data.size();
  for (std::size_t i = 0; i < data.size(); i += piece) {
    const Bytes part = data.subspan(i, std::min(piece, data.size() - i));
    sum_up(part);
    write_at(file, part, first + i);
    if (start_disk) {
      ::sync_file_range(file, static_cast<off_t>(first + i), static_cast<off_t>(part.size()),
                        SYNC_FILE_RANGE_WRITE);
    }
  }
  sync_and_close(file);
}

#ifdef CAIRN_HAS_LIBURING
/// Past the page cache, `depth` writes at once.
void by_io_uring(Bytes data, std::size_t piece, unsigned depth) {
  const int file = open_shared(data.size(), O_DIRECT);
  const std::size_t first = static_cast<std::size_t>(rank) * data.size();
  io_uring ring{};
  if (::io_uring_queue_init(depth, &ring, 0) != 0) fail("io_uring");
  unsigned under_way = 0;
  for (std::size_t i = 0; i < data.size() || under_way > 0;) {
    if (i < data.size() && under_way < depth) {
      const Bytes part = data.subspan(i, piece);
      sum_up(part);
      io_uring_sqe* request = ::io_uring_get_sqe(&ring);
      ::io_uring_prep_write(request, file, part.data(), static_cast<unsigned>(piece), first + i);
      ::io_uring_submit(&ring);
      i += piece;
      ++under_way;
      continue;
    }
    io_uring_cqe* done = nullptr;
    if (::io_uring_wait_cqe(&ring, &done) != 0 || done->res != static_cast<int>(piece)) {
      fail("io_uring");
    }
    ::io_uring_cqe_seen(&ring, done);
    --under_way;
  }
  ::io_uring_queue_exit(&ring);
  sync_and_close(file);
}
#endif

struct Way {
  const char* name;
  std::function<void(Bytes)> write;
};

std::vector<Way> ways() {
  return {
      {"early_start_1MiB", [](Bytes data) { in_pieces(data, mib, 0, true); }},
      {"early_start_8MiB", [](Bytes data) { in_pieces(data, 8 * mib, 0, true); }},
      {"pwrite_8MiB", [](Bytes data) { in_pieces(data, 8 * mib, 0, false); }},
      {"direct_8MiB", [](Bytes data) { in_pieces(data, 8 * mib, O_DIRECT, false); }},
#ifdef CAIRN_HAS_LIBURING
      {"io_uring_direct_4x1MiB", [](Bytes data) { by_io_uring(data, mib, 4); }},
      {"io_uring_direct_4x4MiB", [](Bytes data) { by_io_uring(data, 4 * mib, 4); }},
#endif
  };
}

double seconds_of(const std::function<void()>& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const auto begin = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double> mine = std::chrono::steady_clock::now() - begin;
  double seconds = mine.count();
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

void remove_files() {
  std::filesystem::remove(plain_file());
  if (rank == 0) std::filesystem::remove(shared_file);
  MPI_Barrier(MPI_COMM_WORLD);
}

/// The page cache gets memory that the system has used lately (see bench_checkpoint).
void warm_page_cache(Bytes data) {
  const int files = 4;
  const auto name = [](int i) { return "warm-" + std::to_string(rank) + "-" + std::to_string(i); };
  for (int i = 0; i < files; ++i) {
    const int file = ::open(name(i).c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (file < 0) fail("open");
    write_at(file, data, 0);
    sync_and_close(file);
  }
  for (int i = 0; i < files; ++i) std::filesystem::remove(name(i));
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc != 3) fail("usage: bench_disk MIB ROUNDS");
  {
    Memory memory{static_cast<std::size_t>(std::max(8, std::atoi(argv[1]))) / 8 * 8 * mib};
    const std::span<std::byte> data = memory.span();
    warm_page_cache(data);
    const auto all = ways();
    for (int round = 0; round < std::atoi(argv[2]); ++round) {
      std::memset(data.data(), round + 1, data.size());
      remove_files();
      const double base = seconds_of([&] { plain(data); });
      for (std::size_t i = 0; i < all.size(); ++i) {
        // Each round begins with another one.
        const Way& way = all[(i + static_cast<std::size_t>(round)) % all.size()];
        remove_files();
        const double seconds = seconds_of([&] { way.write(data); });
        if (rank == 0) {
          std::printf("{\"way\": \"%s\", \"plain\": %.6f, \"seconds\": %.6f}\n", way.name, base,
                      seconds);
        }
      }
    }
    remove_files();
    if (sums == 0) std::puts("");  // they are used
  }
  MPI_Finalize();
}
