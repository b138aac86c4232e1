#include "io/space.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "io/names.hpp"

namespace cairn::io {
namespace {

constexpr double mib = 1 << 20;

/// The directory that the user knows: not that of the epoch being written.
std::string directory_of(const File& file) {
  const std::filesystem::path directory = file.path().parent_path();
  const bool temporary = directory.filename().native().starts_with(temporary_prefix);
  return temporary ? directory.parent_path() : directory;
}

Status no_space(const File& file, std::uint64_t bytes, std::uint64_t available) {
  return {Code::io_error,
          fmt::format("no space left in {}: the checkpoint needs {:.1f} MiB, {:.1f} are free; free "
                      "some space, or keep fewer checkpoints (CAIRN_KEEP)",
                      directory_of(file), bytes / mib, available / mib)};
}

Result<std::uint64_t> free_bytes(const File& file) {
  struct statvfs info {};
  if (::fstatvfs(file.descriptor(), &info) != 0) {
    return errno_status(file.path(), "can't see how much space is free");
  }
  // A file system that counts nothing says that it has no blocks.
  if (info.f_blocks == 0) return std::numeric_limits<std::uint64_t>::max();
  return std::uint64_t{info.f_bavail} * info.f_frsize;
}

/// fallocate(2) rather than posix_fallocate(3): where the file system can't do it, the latter
/// writes to every block instead. 0, or errno.
int allocate(const File& file, std::uint64_t bytes) {
  while (::fallocate(file.descriptor(), 0, 0, static_cast<off_t>(bytes)) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

Status reserve_space(const File& file, std::uint64_t bytes, std::uint64_t reserved_bytes) {
  const auto available = free_bytes(file);
  if (!available) return available.status();
  const std::uint64_t missing = bytes - std::min(bytes, reserved_bytes);
  switch (const int error = allocate(file, bytes)) {
    case 0: return {};
    case ENOSPC: return no_space(file, missing, *available);
    case EOPNOTSUPP:
    case ENOSYS: break;
    default:
      return {Code::io_error, fmt::format("no space in {} for a checkpoint of {:.1f} MiB: {}",
                                          directory_of(file), bytes / mib, std::strerror(error))};
  }
  if (*available < missing) return no_space(file, missing, *available);
  if (::ftruncate(file.descriptor(), static_cast<off_t>(bytes)) != 0) {
    return errno_status(file.path(), "can't make it as long as the checkpoint");
  }
  return {};
}

}  // namespace cairn::io
