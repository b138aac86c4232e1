// Operating-system files: descriptors that close themselves, and reads, writes and syncs that say
// what failed. Every call is local.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <cairn/status.hpp>

namespace cairn::io {

/// Owns a file descriptor. The destructor drops close errors; close() reports them.
class File {
 public:
  File() = default;
  File(int descriptor, std::filesystem::path path)
      : descriptor_(descriptor), path_(std::move(path)) {}
  File(File&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}
  File& operator=(File&& other) noexcept;
  ~File();

  /// open(2) with O_CLOEXEC; new files get mode 0600. not_found when it does not exist.
  static Result<File> open(const std::filesystem::path& path, int flags);

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  const std::filesystem::path& path() const { return path_; }

  /// Fills `bytes` from `offset`. corruption when the file ends before that.
  Status read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// The same for bytes that are one after another in the file and here and there in memory.
  Status read_at(std::uint64_t offset, std::span<const std::span<std::byte>> parts) const;
  Status write(std::string_view text) const;
  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) const;
  /// Has the disk begin with what was written there; a hint, whose failure sync() will tell.
  void start_disk(std::uint64_t offset, std::uint64_t bytes) const;
  Result<std::uint64_t> size() const;
  Status sync() const;
  Status close();

 private:
  int descriptor_ = -1;
  std::filesystem::path path_;
};

/// "PATH: ACTION: reason" from errno; not_found for ENOENT, else io_error.
Status errno_status(const std::filesystem::path& path, std::string_view action);

/// fsync of a directory: makes creations and renames in it durable.
Status sync_directory(const std::filesystem::path& path);

/// The whole of a small file; corruption when it is larger than `limit_bytes`.
Result<std::string> read_text(const std::filesystem::path& path, std::uint64_t limit_bytes);

/// Writes `text` to PATH.tmp, syncs, renames it to `path`, syncs the directory.
Status write_atomically(const std::filesystem::path& path, std::string_view text);

/// Renames a directory; io_error when `to` exists (whatever it is).
Status rename_directory(const std::filesystem::path& from, const std::filesystem::path& to);

/// Removes what a killed job left: all in `directory` whose names begin so. What can't be removed
/// does no harm but takes space.
void remove_leftovers(const std::filesystem::path& directory, std::string_view prefix);

}  // namespace cairn::io
