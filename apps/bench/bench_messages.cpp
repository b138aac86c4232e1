// What messages cost: a plain MPI program, to be run with and without LD_PRELOAD=libcairn.so.
//
//   mpirun -n 2 bench_messages          one line per case: name, microseconds per message
//                                       (halo and allreduce: per call)
//   mpirun -n 1 bench_messages CASE N   N messages from the rank to itself, to count instructions
//
// The first line says whether Cairn is there: "cairn 1" or "cairn 0".
#include <dlfcn.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string_view>
#include <vector>

namespace {

constexpr int batches = 200;
constexpr std::size_t window = 64;

int rank = 0;

// Runs `operation` in short batches, and prints the fastest one's microseconds per unit, of which
// an operation has `units`. Other programs on the machine can only make a batch slower.
void measure(const char* name, int operations, std::size_t units,
             const std::function<void()>& operation) {
  double fastest = std::numeric_limits<double>::infinity();
  for (int batch = 0; batch < batches; ++batch) {
    PMPI_Barrier(MPI_COMM_WORLD);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < operations; ++i) operation();
    const std::chrono::duration<double, std::micro> elapsed =
        std::chrono::steady_clock::now() - begin;
    fastest = std::min(fastest, elapsed.count() / operations / static_cast<double>(units));
  }
  if (rank == 0) std::printf("%s %.6f\n", name, fastest);
}

void ping_pong(const char* name, int bytes, int operations) {
  std::vector<char> buffer(static_cast<std::size_t>(bytes), 'x');
  measure(name, operations, 2, [&] {
    if (rank == 0) {
      MPI_Send(buffer.data(), bytes, MPI_CHAR, 1, 0, MPI_COMM_WORLD);
      MPI_Recv(buffer.data(), bytes, MPI_CHAR, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
      MPI_Recv(buffer.data(), bytes, MPI_CHAR, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(buffer.data(), bytes, MPI_CHAR, 0, 0, MPI_COMM_WORLD);
    }
  });
}

// One window of non-blocking 8-byte messages to `destination`, from `source`.
void exchange_window(int source, int destination) {
  static std::array<double, window> sent{};
  static std::array<double, window> received{};
  std::array<MPI_Request, 2 * window> requests{};
  for (std::size_t i = 0; i < window; ++i) {
    MPI_Irecv(&received[i], 1, MPI_DOUBLE, source, static_cast<int>(i), MPI_COMM_WORLD,
              &requests[i]);
  }
  for (std::size_t i = 0; i < window; ++i) {
    MPI_Isend(&sent[i], 1, MPI_DOUBLE, destination, static_cast<int>(i), MPI_COMM_WORLD,
              &requests[window + i]);
  }
  MPI_Waitall(2 * window, requests.data(), MPI_STATUSES_IGNORE);
}

// Both halo rows of a strip of a periodic 2-D grid, 1024 doubles each.
void exchange_halo() {
  constexpr int width = 1024;
  using Row = std::array<double, width>;
  static std::array<Row, 4> rows{};  // halo above, first, last, halo below
  int ranks = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const int above = (rank + ranks - 1) % ranks;
  const int below = (rank + 1) % ranks;
  std::array<MPI_Request, 4> requests{};
  MPI_Irecv(rows[0].data(), width, MPI_DOUBLE, above, 0, MPI_COMM_WORLD, &requests[0]);
  MPI_Irecv(rows[3].data(), width, MPI_DOUBLE, below, 1, MPI_COMM_WORLD, &requests[1]);
  MPI_Isend(rows[2].data(), width, MPI_DOUBLE, below, 0, MPI_COMM_WORLD, &requests[2]);
  MPI_Isend(rows[1].data(), width, MPI_DOUBLE, above, 1, MPI_COMM_WORLD, &requests[3]);
  MPI_Waitall(4, requests.data(), MPI_STATUSES_IGNORE);
}

void allreduce() {
  double mine = rank;
  double sum = 0;
  MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

void send_and_receive() {
  double sent = 1;
  double received = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(&received, 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD, &request);
  MPI_Send(&sent, 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
}

void to_itself(std::string_view name, int messages) {
  if (name == "window") {
    for (int i = 0; i < messages; i += static_cast<int>(window)) exchange_window(0, 0);
  } else {
    for (int i = 0; i < messages; ++i) send_and_receive();
  }
}

void all_cases() {
  ping_pong("ping_pong_8B", 8, 2000);
  ping_pong("ping_pong_1KiB", 1 << 10, 1000);
  ping_pong("ping_pong_64KiB", 64 << 10, 50);
  ping_pong("ping_pong_1MiB", 1 << 20, 5);
  measure("window_64x8B", 50, window, [] { exchange_window(1 - rank, 1 - rank); });
  measure("halo_2x8KiB", 200, 1, exchange_halo);
  measure("allreduce_8B", 1000, 1, allreduce);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int ranks = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (rank == 0) std::printf("cairn %d\n", dlsym(RTLD_DEFAULT, "cairn_last_error") != nullptr);
  if (argc == 3) {
    to_itself(argv[1], std::atoi(argv[2]));
  } else if (ranks == 2) {
    all_cases();
  } else {
    std::fprintf(stderr, "bench_messages: needs 2 ranks\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  MPI_Finalize();
}
