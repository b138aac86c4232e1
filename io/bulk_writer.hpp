// Writes large amounts of data to a file that is laid out already, so that the disk is busy from
// the beginning.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include <cairn/status.hpp>

#include "io/files.hpp"

namespace cairn::io {

/// Through the page cache, but the disk is told to start after every few pieces: fsync(2) alone
/// would let it wait until everything has been copied. apps/bench/bench_disk compares this with
/// other ways. Others may write other bytes of the file at the same time. Used by one thread.
class BulkWriter {
 public:
  /// The file must exist.
  static Result<BulkWriter> open(const std::filesystem::path& path);

  Status write(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Then on stable storage is what this writer has written.
  Status sync() { return file_.sync(); }
  Status close() { return file_.close(); }
  std::uint64_t written_bytes() const { return written_bytes_; }

 private:
  explicit BulkWriter(File file) : file_(std::move(file)) {}
  void wrote(std::uint64_t offset, std::uint64_t bytes);

  File file_;
  std::uint64_t begin_ = 0, end_ = 0;  // the last stretch that the disk has not been told of
  std::uint64_t written_bytes_ = 0;
};

}  // namespace cairn::io
