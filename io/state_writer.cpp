#include "io/state_writer.hpp"

#include "io/state_write.hpp"

namespace cairn::io {

Status write_state(MPI_Comm comm, const std::filesystem::path& path, const EpochInfo& info,
                   const RankState& state, const WriteOptions& options, DataForm* form) {
  StateWrite write{comm,
                   path,
                   info,
                   {.driver = options.driver,
                    .blocking = true,
                    .group = options.group,
                    .compression = options.compression}};
  write.begin(state.entries, state.slabs, options.find_changes);
  write.finish(state.counters, state.messages, state.communicators);
  while (!write.poll()) write.wait();
  if (form != nullptr) *form = write.form();
  return write.status();
}

}  // namespace cairn::io
