#include "runtime/chaos.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>

#include "mpi_bindings/native.hpp"
#include "runtime/environment.hpp"
#include "runtime/session_impl.hpp"

namespace cairn {
namespace {

Chaos* chaos = nullptr;

int size_of(MPI_Comm comm) {
  int size = 1;
  PMPI_Comm_size(comm, &size);
  return size;
}

std::uint64_t seed_of_rank(std::uint64_t seed) {
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return seed * 1000003 + static_cast<std::uint64_t>(rank);
}

/// Rank 0's environment counts, as for all settings. Collective.
void start_chaos(mpi::ChannelLayer& layer) {
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  ChaosSettings settings;
  Status status;
  if (rank == 0) status = read_chaos_settings(settings);
  std::array<std::uint64_t, 3> words = {settings.calls, settings.seed, status ? 1U : 0U};
  mpi::native.Bcast(words.data(), words.size(), MPI_UINT64_T, 0, MPI_COMM_WORLD);
  if (words[2] == 0) stop_program(status, 2);
  if (words[0] == 0) return;
  layer.set_stress();
  chaos = new Chaos{layer, words[0], words[1]};  // for the rest of the process's life
  layer.add_progress(chaos);
}

/// Before main(): MPI_Init will call it.
[[maybe_unused]] const bool registered = (mpi::layer_started = start_chaos) != nullptr;

}  // namespace

bool chaos_is_on() { return chaos != nullptr; }

Chaos::Chaos(mpi::ChannelLayer& layer, std::uint64_t calls, std::uint64_t seed)
    : layer_(layer),
      control_(private_world()),
      leaving_control_(private_world()),
      size_(size_of(control_)),
      transport_(std::make_unique<protocol::MpiTransport>(control_)),
      leaving_(std::make_unique<protocol::MpiTransport>(leaving_control_)),
      channels_(layer),
      epochs_(*transport_, *leaving_, channels_, *this),
      random_(seed_of_rank(seed)),
      calls_(calls) {
  calls_left_ = next_gap();
}

/// Each rank starts one epoch in so many of its calls that all together start one in `calls_`.
std::uint64_t Chaos::next_gap() {
  const std::uint64_t longest = 2 * calls_ * static_cast<std::uint64_t>(size_);
  return std::uniform_int_distribution<std::uint64_t>{1, longest}(random_);
}

/// Not while the program uses one-sided communication or files, or talks to another job: their
/// calls block where Cairn can't work.
bool Chaos::may_start() const {
  return epochs_.may_begin() && !layer_.has_open() && layer_.uncovered_call() == nullptr;
}

void Chaos::called() {
  const mpi::WithoutPolling without_polling;
  if (calls_left_ > 0) --calls_left_;
  if (calls_left_ == 0 && may_start()) {
    epochs_.cut(false);
    calls_left_ = next_gap();
  }
  epochs_.poll();
}

void Chaos::finalize() {
  epochs_.leave();
  while (!epochs_.left()) layer_.poll();
  layer_.remove_progress(this);
  std::array<std::uint64_t, 2> sums = {layer_.window().late_messages(),
                                       layer_.window().reposted_receives()};
  mpi::native.Allreduce(MPI_IN_PLACE, sums.data(), sums.size(), MPI_UINT64_T, MPI_SUM, control_);
  if (transport_->rank() == 0) {
    std::fprintf(stderr,
                 "cairn: chaos: %llu epochs, %llu late messages buffered, %llu receives "
                 "re-posted\n",
                 static_cast<unsigned long long>(epochs_.epochs()),
                 static_cast<unsigned long long>(sums[0]),
                 static_cast<unsigned long long>(sums[1]));
  }
  transport_.reset();
  leaving_.reset();
  mpi::native.Comm_free(&control_);
  mpi::native.Comm_free(&leaving_control_);
}

}  // namespace cairn
