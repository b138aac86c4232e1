#include "io/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <vector>

#include "base/log.hpp"

namespace cairn::io {
namespace fs = std::filesystem;

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<File> File::open(const fs::path& path, int flags) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) return errno_status(path, "can't open");
  return File{descriptor, path};
}

Status File::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_status(path_, fmt::format("can't read at byte {}", offset));
    if (n == 0) {
      return {Code::corruption, fmt::format("{}: ends at byte {}", path_.native(), offset)};
    }
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Status File::read_at(std::uint64_t offset, std::span<const std::span<std::byte>> parts) const {
  std::array<iovec, 256> places;
  while (!parts.empty()) {
    const std::size_t count = std::min(parts.size(), places.size());
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
      places[i] = {parts[i].data(), parts[i].size()};
      bytes += parts[i].size();
    }
    const ssize_t n =
        ::preadv(descriptor_, places.data(), static_cast<int>(count), static_cast<off_t>(offset));
    const bool all = n >= 0 && static_cast<std::size_t>(n) == bytes;
    // A part of it, or an error: one by one.
    for (std::size_t i = 0; i < count && !all; ++i) {
      if (auto status = read_at(offset, parts[i]); !status) return status;
      offset += parts[i].size();
    }
    if (all) offset += bytes;
    parts = parts.subspan(count);
  }
  return {};
}

Status File::write(std::string_view text) const {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor_, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_status(path_, "can't write");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Status File::write_at(std::uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_status(path_, fmt::format("can't write at byte {}", offset));
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

void File::start_disk(std::uint64_t offset, std::uint64_t bytes) const {
  ::sync_file_range(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                    SYNC_FILE_RANGE_WRITE);
}

Result<std::uint64_t> File::size() const {
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0) return errno_status(path_, "can't stat");
  return static_cast<std::uint64_t>(info.st_size);
}

Status File::sync() const {
  // Not repeated after an error: the kernel may have dropped the dirty pages, and a second fsync
  // would then report success for data that is lost.
  if (::fsync(descriptor_) != 0) return errno_status(path_, "can't sync to disk");
  return {};
}

Status File::close() {
  if (descriptor_ < 0) return {};
  const int result = ::close(std::exchange(descriptor_, -1));
  if (result != 0 && errno != EINTR) return errno_status(path_, "can't close");
  return {};
}

Status errno_status(const fs::path& path, std::string_view action) {
  const int error = errno;
  const Code code = error == ENOENT ? Code::not_found : Code::io_error;
  return {code, fmt::format("{}: {}: {}", path.native(), action, std::strerror(error))};
}

Status sync_directory(const fs::path& path) {
  auto directory = File::open(path, O_RDONLY | O_DIRECTORY);
  if (!directory) return directory.status();
  return directory->sync();
}

Result<std::string> read_text(const fs::path& path, std::uint64_t limit_bytes) {
  auto file = File::open(path, O_RDONLY);
  if (!file) return file.status();
  const auto size = file->size();
  if (!size) return size.status();
  if (*size > limit_bytes) {
    return Status{Code::corruption,
                  fmt::format("{}: is {} bytes long, more than it can be", path.native(), *size)};
  }
  std::string text(*size, '\0');
  if (auto status = file->read_at(0, std::as_writable_bytes(std::span{text})); !status) {
    return status;
  }
  return text;
}

Status write_atomically(const fs::path& path, std::string_view text) {
  fs::path temporary = path;
  temporary += ".tmp";
  auto file = File::open(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file) return file.status();
  Status status = file->write(text);
  if (status) status = file->sync();
  if (status) status = file->close();
  if (status && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = errno_status(path, "can't rename to it");
  }
  if (!status) {
    ::unlink(temporary.c_str());
    return status;
  }
  return sync_directory(path.parent_path());
}

Status rename_directory(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == EINVAL || errno == ENOSYS) {  // a file system without RENAME_NOREPLACE
    std::error_code error;
    if (fs::exists(fs::symlink_status(to, error))) {
      errno = EEXIST;
    } else if (::rename(from.c_str(), to.c_str()) == 0) {
      return {};
    }
  }
  const int reason = errno;
  return {Code::io_error, fmt::format("{}: can't rename to {}: {}", from.native(),
                                      to.filename().native(), std::strerror(reason))};
}

void remove_leftovers(const fs::path& directory, std::string_view prefix) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (const auto& item : fs::directory_iterator(directory, error)) {
    const std::string name = item.path().filename();
    if (name.starts_with(prefix)) leftovers.push_back(item.path());
  }
  for (const fs::path& path : leftovers) {
    fs::remove_all(path, error);
    if (error) log::warning("{}: can't remove it: {}", path.native(), error.message());
  }
}

}  // namespace cairn::io
