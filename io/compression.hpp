// Compression of what an epoch holds, change by change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <cairn/status.hpp>

#include "io/changes.hpp"

namespace cairn::io {

struct Compression {
  enum class Codec { none, lz4, zstd };
  Codec codec = Codec::none;
  int level = 1;  ///< zstd's: 1 is fast, 19 is small

  bool on() const { return codec != Codec::none; }
};

/// "none", "lz4", "zstd" or "zstd:<1 to 19>". Nothing for anything else.
std::optional<Compression> parse_compression(std::string_view text);
/// "none", "lz4" or "zstd": all that a reader has to know.
std::string_view codec_name(Compression::Codec codec);
std::optional<Compression::Codec> parse_codec(std::string_view name);

/// Owns the memory of compressed changes.
class Compressor {
 public:
  explicit Compressor(const Compression& compression);
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  /// Compresses each change that becomes smaller by an eighth or more; others stay as they are.
  /// Stops early, with ok, when `cancelled`. The changes' data lasts as long as this object.
  Status compress(Changes& changes, const std::stop_token& cancelled);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Restores a change that was compressed. corruption: it is not `bytes` of this codec's.
Status decompress(Compression::Codec codec, std::span<const std::byte> stored,
                  std::span<std::byte> bytes);

}  // namespace cairn::io
