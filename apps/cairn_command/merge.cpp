// compact and export: full epochs of those that build on others.
#include <fmt/format.h>

#include "commands.hpp"
#include "format.hpp"
#include "io/full_copy.hpp"

namespace cairn::command {

int compact(const io::Store& store, std::uint64_t epoch) {
  const auto before = store.read_commit(epoch);
  if (!before) return report(before.status());
  const auto after = io::compact_epoch(store, epoch);
  if (!after) return report(after.status());
  if (!before->parent && before->compression == after->compression &&
      before->bytes == after->bytes) {
    fmt::print("epoch {} is full already\n", epoch);
    return good;
  }
  fmt::print("epoch {} is full now: {}\n", epoch, human_bytes(after->bytes));
  if (before->parent) {
    fmt::print("it no longer needs epoch {}; a job removes what it does not keep\n",
               *before->parent);
  }
  return good;
}

int export_epoch(const io::Store& store, std::uint64_t epoch, const std::filesystem::path& path) {
  const auto reader = io::StateReader::open(store.epoch_path(epoch));
  if (!reader) return report(reader.status());
  const auto written = io::write_full_copy(*reader, path);
  return written ? good : report(written.status());
}

}  // namespace cairn::command
