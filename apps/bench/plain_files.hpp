// What benchmarks compare a checkpoint with: plain files of the same bytes on the same disk.
#pragma once

#include <fcntl.h>
#include <mpi.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace cairn::bench {

inline int rank = 0;  ///< in MPI_COMM_WORLD

[[noreturn]] inline void fail(const std::string& message) {
  std::fprintf(stderr, "bench: rank %d: %s\n", rank, message.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

using Field = std::vector<double>;

/// The largest of all ranks' values. PMPI: none of it passes through Cairn.
inline double slowest_of(double mine) {
  double slowest = 0;
  PMPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return slowest;
}

/// Seconds that `work` takes on the slowest rank.
inline double seconds_of(const std::function<void()>& work) {
  PMPI_Barrier(MPI_COMM_WORLD);
  const auto begin = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  return slowest_of(elapsed.count());
}

inline void write_plain(const std::string& path, const Field& field) {
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

inline void read_plain(const std::string& path, Field& field) {
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

/// First touch is slow on virtual machines: has the pages that the rounds will need used once.
inline void warm_page_cache(const Field& field) {
  const std::string path = "warm-" + std::to_string(rank);
  for (int i = 0; i < 3; ++i) write_plain(path + "." + std::to_string(i), field);
  for (int i = 0; i < 3; ++i) std::filesystem::remove(path + "." + std::to_string(i));
}

}  // namespace cairn::bench
