// io_sample_writer DIR: writes three epochs of the full sample, for tests of the command.
#include <cstdio>

#include "sample.hpp"

int main(int argc, char** argv) {
  using cairn::world_rank;
  using cairn::world_size;
  using namespace cairn::io;
  MPI_Init(&argc, &argv);
  int failed = argc != 2;
  for (std::uint64_t epoch = 1; failed == 0 && epoch <= 3; ++epoch) {
    Sample sample = Sample::full(world_rank(), world_size());
    const auto status =
        write_epoch(Store{argv[1]}, sample_info(epoch, world_size()), sample.state());
    if (!status) std::fprintf(stderr, "%s\n", status.message().c_str());
    failed = !status.ok();
  }
  MPI_Finalize();
  return failed;
}
