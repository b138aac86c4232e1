// What messages cost, in time: a plain MPI program for 2 ranks, to be run with and without
// LD_PRELOAD=libcairn.so.
//
//   mpirun -n 2 bench_messages DIRECTORY [session]
//
// It works on command, so that several of these programs can take turns of some milliseconds on the
// same cores: rank r reads names of cases, one a line, from the pipe DIRECTORY/case-<r>; rank 0
// answers each with a line, microseconds per message or call, into the pipe DIRECTORY/time. While
// it waits for a command it sleeps. It ends when the pipe is closed. Its first answer is "cairn 1"
// or "cairn 0", whether Cairn is there, and the names of all cases. "session": with a session of
// Cairn's and safe points.
#include <dlfcn.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

constexpr int batches = 9;
constexpr std::ptrdiff_t window = 64;
constexpr std::size_t largest_bytes = 4 << 20;

int rank = 0;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "bench_messages: %s\n", message.c_str());
  MPI_Abort(MPI_COMM_WORLD, 2);
  std::abort();
}

// ---- Messages between two ranks

void ping_pong(int bytes) {
  static std::vector<char> buffer(largest_bytes, 'x');
  if (rank == 0) {
    MPI_Send(buffer.data(), bytes, MPI_CHAR, 1, 0, MPI_COMM_WORLD);
    MPI_Recv(buffer.data(), bytes, MPI_CHAR, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  } else {
    MPI_Recv(buffer.data(), bytes, MPI_CHAR, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Send(buffer.data(), bytes, MPI_CHAR, 0, 0, MPI_COMM_WORLD);
  }
}

// A window of non-blocking messages each way.
void exchange_window() {
  static std::array<double, window> sent{};
  static std::array<double, window> received{};
  static std::array<MPI_Request, 2 * window> requests{};
  const int other = 1 - rank;
  for (std::ptrdiff_t i = 0; i < window; ++i) {
    MPI_Irecv(&received[i], 1, MPI_DOUBLE, other, 0, MPI_COMM_WORLD, &requests[i]);
  }
  for (std::ptrdiff_t i = 0; i < window; ++i) {
    MPI_Isend(&sent[i], 1, MPI_DOUBLE, other, 0, MPI_COMM_WORLD, &requests[window + i]);
  }
  MPI_Waitall(2 * window, requests.data(), MPI_STATUSES_IGNORE);
}

// A stream of blocking messages one way, then one the other way.
void exchange_streams() {
  double value = 0;
  for (const int sender : {0, 1}) {
    for (std::ptrdiff_t i = 0; i < window; ++i) {
      if (rank == sender) {
        MPI_Send(&value, 1, MPI_DOUBLE, 1 - rank, 0, MPI_COMM_WORLD);
      } else {
        MPI_Recv(&value, 1, MPI_DOUBLE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      }
    }
  }
}

void allreduce() {
  double mine = rank;
  double sum = 0;
  MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

// ---- Halo exchange: blocks of 256 x 256 of a periodic grid, their rim received from four sides

class Halo {
 public:
  Halo() {
    int ranks = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    std::array<int, 2> dims{};
    const std::array<int, 2> periods{1, 1};
    MPI_Dims_create(ranks, 2, dims.data());
    MPI_Cart_create(MPI_COMM_WORLD, 2, dims.data(), periods.data(), 0, &grid_);
    MPI_Type_vector(size, 1, width, MPI_DOUBLE, &column_);
    MPI_Type_commit(&column_);
    start([this](auto... send) { MPI_Send_init(send..., &persistent_[next_++]); },
          [this](auto... receive) { MPI_Recv_init(receive..., &persistent_[next_++]); });
  }

  void exchange() {
    std::array<MPI_Request, 8> requests{};
    int next = 0;
    start([&](auto... send) { MPI_Isend(send..., &requests[next++]); },
          [&](auto... receive) { MPI_Irecv(receive..., &requests[next++]); });
    MPI_Waitall(8, requests.data(), MPI_STATUSES_IGNORE);
  }

  void exchange_persistently() {
    MPI_Startall(8, persistent_.data());
    MPI_Waitall(8, persistent_.data(), MPI_STATUSES_IGNORE);
  }

  void free() {
    for (auto& request : persistent_) MPI_Request_free(&request);
    MPI_Type_free(&column_);
    MPI_Comm_free(&grid_);
  }

 private:
  static constexpr std::ptrdiff_t size = 256;
  static constexpr std::ptrdiff_t width = size + 2;

  double* at(std::ptrdiff_t row, std::ptrdiff_t column) { return &field_[row * width + column]; }

  // The receives, then the sends, of all four sides.
  template <typename Send, typename Receive>
  void start(const Send& send, const Receive& receive) {
    std::array<std::array<int, 2>, 2> neighbours{};  // dimension, direction
    for (int dim = 0; dim < 2; ++dim) {
      MPI_Cart_shift(grid_, dim, 1, &neighbours[dim][0], &neighbours[dim][1]);
    }
    receive(at(0, 1), size, MPI_DOUBLE, neighbours[0][0], 0, grid_);
    receive(at(size + 1, 1), size, MPI_DOUBLE, neighbours[0][1], 1, grid_);
    receive(at(1, 0), 1, column_, neighbours[1][0], 2, grid_);
    receive(at(1, size + 1), 1, column_, neighbours[1][1], 3, grid_);
    send(at(size, 1), size, MPI_DOUBLE, neighbours[0][1], 0, grid_);
    send(at(1, 1), size, MPI_DOUBLE, neighbours[0][0], 1, grid_);
    send(at(1, size), 1, column_, neighbours[1][1], 2, grid_);
    send(at(1, 1), 1, column_, neighbours[1][0], 3, grid_);
  }

  std::vector<double> field_ = std::vector<double>(std::size_t{width} * width, 1.0);
  MPI_Comm grid_ = MPI_COMM_NULL;
  MPI_Datatype column_ = MPI_DATATYPE_NULL;
  std::array<MPI_Request, 8> persistent_{};
  int next_ = 0;
};

// ---- An application: Jacobi relaxation of 512 x 512 points a rank, in strips

class Jacobi {
 public:
  explicit Jacobi(std::function<void()> safe_point) : safe_point_(std::move(safe_point)) {
    int ranks = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    above_ = rank > 0 ? rank - 1 : MPI_PROC_NULL;
    below_ = rank + 1 < ranks ? rank + 1 : MPI_PROC_NULL;
    if (rank == 0) std::fill_n(old_.begin(), width, 1.0);  // a hot edge
    if (rank == 0) std::fill_n(new_.begin(), width, 1.0);
  }

  void step() {
    MPI_Sendrecv(&old_[width], width, MPI_DOUBLE, above_, 0, &old_[(size + 1) * width], width,
                 MPI_DOUBLE, below_, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Sendrecv(&old_[size * width], width, MPI_DOUBLE, below_, 1, old_.data(), width, MPI_DOUBLE,
                 above_, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    sweep();
    if (++step_ % 10 == 0) {
      const double mine = largest_change();
      double change = 0;
      MPI_Allreduce(&mine, &change, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
      if (!(change < 1)) fail("the relaxation diverges");
    }
    old_.swap(new_);
    safe_point_();
  }

 private:
  static constexpr std::ptrdiff_t size = 512;
  static constexpr std::ptrdiff_t width = size + 2;

  void sweep() {
    for (std::ptrdiff_t i = 1; i <= size; ++i) {
      const double* middle = &old_[i * width];
      double* result = &new_[i * width];
      for (std::ptrdiff_t j = 1; j <= size; ++j) {
        result[j] = 0.25 * (middle[j - width] + middle[j + width] + middle[j - 1] + middle[j + 1]);
      }
    }
  }

  double largest_change() const {
    double change = 0;
    for (std::size_t i = 0; i < old_.size(); ++i) {
      change = std::max(change, std::abs(new_[i] - old_[i]));
    }
    return change;
  }

  std::function<void()> safe_point_;
  std::vector<double> old_ = std::vector<double>(std::size_t{size + 2} * width, 0.0);
  std::vector<double> new_ = old_;
  int above_ = 0;
  int below_ = 0;
  int step_ = 0;
};

// ---- Cairn's C interface, when a session is asked for; this program is not linked with it

class OptionalSession {
 public:
  explicit OptionalSession(bool wanted) {
    if (!wanted) return;
    session_ = function<void*(MPI_Comm)>("cairn_open")(MPI_COMM_WORLD);
    function<unsigned long(void*)>("cairn_restart")(session_);
    safe_point_ = function<int(void*)>("cairn_safe_point");
  }
  void safe_point() {
    if (safe_point_ != nullptr) safe_point_(session_);
  }
  void close() {
    if (session_ != nullptr) function<void(void*)>("cairn_close")(session_);
  }

 private:
  template <typename F>
  static F* function(const char* name) {
    void* const address = dlsym(RTLD_DEFAULT, name);
    if (address == nullptr) fail(std::string{name} + " is not there");
    return reinterpret_cast<F*>(address);
  }

  void* session_ = nullptr;
  int (*safe_point_)(void*) = nullptr;
};

// ---- Measuring

struct Case {
  std::string name;
  int parts;       // of a batch, different from each other; each is timed for itself
  int operations;  // in a part: a fraction of a millisecond, or one operation
  int units;       // messages, or calls, in an operation
  std::function<void()> operation;
};

// Microseconds per unit in a turn of a few batches: of each part the median of all batches, so that
// what the rest of the machine does in between has little say.
double take_turn(const Case& one) {
  const auto run_part = [&] {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < one.operations; ++i) one.operation();
    const std::chrono::duration<double, std::micro> elapsed =
        std::chrono::steady_clock::now() - begin;
    return elapsed.count() / one.operations / one.units;
  };
  std::vector<std::array<double, batches>> times(one.parts);
  run_part();  // warms up
  for (int batch = 0; batch < batches; ++batch) {
    PMPI_Barrier(MPI_COMM_WORLD);
    for (auto& part : times) part[batch] = run_part();
  }
  double sum = 0;
  for (auto& part : times) {
    std::nth_element(part.begin(), part.begin() + batches / 2, part.end());
    sum += part[batches / 2];
  }
  return sum / one.parts;
}

void serve(const std::string& directory, const std::vector<Case>& cases) {
  std::ifstream commands(directory + "/case-" + std::to_string(rank));
  std::ofstream answers;
  if (rank == 0) {
    answers.open(directory + "/time");
    answers << "cairn " << (dlsym(RTLD_DEFAULT, "cairn_last_error") != nullptr);
    for (const auto& one : cases) answers << ' ' << one.name;
    answers << std::endl;
  }
  for (std::string name; std::getline(commands, name);) {
    const auto one = std::find_if(cases.begin(), cases.end(),
                                  [&](const Case& other) { return other.name == name; });
    if (one == cases.end()) fail("no case " + name);
    const double microseconds = take_turn(*one);
    if (rank == 0) answers << microseconds << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int ranks = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (argc < 2 || ranks != 2) fail("usage: mpirun -n 2 bench_messages DIRECTORY [session]");
  OptionalSession session(argc > 2 && std::string_view{argv[2]} == "session");
  Halo halo;
  Jacobi jacobi([&] { session.safe_point(); });
  serve(argv[1], {
                     {"ping_pong_8B", 1, 1000, 2, [] { ping_pong(8); }},
                     {"ping_pong_64B", 1, 800, 2, [] { ping_pong(64); }},
                     {"ping_pong_1KiB", 1, 300, 2, [] { ping_pong(1 << 10); }},
                     {"ping_pong_4KiB", 1, 80, 2, [] { ping_pong(4 << 10); }},
                     {"ping_pong_64KiB", 1, 20, 2, [] { ping_pong(64 << 10); }},
                     {"ping_pong_1MiB", 1, 2, 2, [] { ping_pong(1 << 20); }},
                     {"ping_pong_4MiB", 1, 1, 2, [] { ping_pong(4 << 20); }},
                     {"rate_isend_64x8B", 1, 30, window, exchange_window},
                     {"rate_send_64x8B", 1, 30, 2 * window, exchange_streams},
                     {"halo_4x2KiB", 1, 60, 1, [&] { halo.exchange(); }},
                     {"halo_persistent_4x2KiB", 1, 60, 1, [&] { halo.exchange_persistently(); }},
                     {"allreduce_8B", 1, 600, 1, allreduce},
                     {"jacobi_512x512", 10, 1, 1, [&] { jacobi.step(); }},
                 });
  halo.free();
  session.close();
  MPI_Finalize();
}
