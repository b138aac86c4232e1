#include "io/compression.hpp"

#include <fmt/format.h>
#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace cairn::io {
namespace {

using Codec = Compression::Codec;

constexpr std::array<std::pair<Codec, std::string_view>, 3> codecs = {
    {{Codec::none, "none"}, {Codec::lz4, "lz4"}, {Codec::zstd, "zstd"}}};
constexpr int highest_level = 19;
constexpr std::size_t chunk_bytes = std::size_t{4} << 20;

/// What need not be decompressed at a restart is worth some space.
constexpr std::uint64_t worthwhile(std::uint64_t bytes) { return bytes - bytes / 8; }

}  // namespace

std::optional<Compression> parse_compression(std::string_view text) {
  constexpr std::string_view with_level = "zstd:";
  Compression compression;
  if (text.starts_with(with_level)) {
    const std::string_view digits = text.substr(with_level.size());
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), compression.level);
    if (error != std::errc{} || end != digits.data() + digits.size() || compression.level < 1 ||
        compression.level > highest_level) {
      return std::nullopt;
    }
    compression.codec = Codec::zstd;
    return compression;
  }
  const auto codec = parse_codec(text);
  if (!codec) return std::nullopt;
  compression.codec = *codec;
  return compression;
}

std::string_view codec_name(Codec codec) {
  for (const auto& [known, name] : codecs) {
    if (known == codec) return name;
  }
  return "unknown";
}

std::optional<Codec> parse_codec(std::string_view name) {
  for (const auto& [codec, known] : codecs) {
    if (known == name) return codec;
  }
  return std::nullopt;
}

struct Compressor::Impl {
  Compression compression;
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> zstd{nullptr, ZSTD_freeCCtx};
  std::vector<std::unique_ptr<std::byte[]>> chunks;  // NOLINT(modernize-avoid-c-arrays)
  std::size_t used = chunk_bytes;                    // of the last one

  /// Bytes that the change takes in `room`; 0 when it does not become smaller.
  std::size_t compress(const Change& change, std::span<std::byte> room) const {
    if (compression.codec == Codec::lz4) {
      const int written = LZ4_compress_default(
          reinterpret_cast<const char*>(change.data), reinterpret_cast<char*>(room.data()),
          static_cast<int>(change.bytes), static_cast<int>(room.size()));
      return static_cast<std::size_t>(std::max(written, 0));
    }
    const std::size_t written = ZSTD_compressCCtx(zstd.get(), room.data(), room.size(), change.data,
                                                  change.bytes, compression.level);
    return ZSTD_isError(written) != 0 ? 0 : written;
  }
};

Compressor::Compressor(const Compression& compression) : impl_(std::make_unique<Impl>()) {
  impl_->compression = compression;
  if (compression.codec == Codec::zstd) impl_->zstd.reset(ZSTD_createCCtx());
}

Compressor::~Compressor() = default;

Status Compressor::compress(Changes& changes, const std::stop_token& cancelled) {
  for (Change& change : changes) {
    if (cancelled.stop_requested()) return {};
    const std::uint64_t most = worthwhile(change.bytes);
    if (impl_->used + most > chunk_bytes) {
      impl_->chunks.push_back(std::make_unique_for_overwrite<std::byte[]>(chunk_bytes));
      impl_->used = 0;
    }
    std::byte* room = impl_->chunks.back().get() + impl_->used;
    const std::size_t written = impl_->compress(change, {room, most});
    if (written == 0 || written >= change.bytes) continue;
    change.data = room;
    change.stored_bytes = written;
    impl_->used += written;
  }
  return {};
}

Status decompress(Codec codec, std::span<const std::byte> stored, std::span<std::byte> bytes) {
  bool good = false;
  if (codec == Codec::lz4) {
    good =
        LZ4_decompress_safe(reinterpret_cast<const char*>(stored.data()),
                            reinterpret_cast<char*>(bytes.data()), static_cast<int>(stored.size()),
                            static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
  } else if (codec == Codec::zstd) {
    good =
        ZSTD_decompress(bytes.data(), bytes.size(), stored.data(), stored.size()) == bytes.size();
  }
  if (good) return {};
  return {Code::corruption,
          fmt::format("{} bytes can't be decompressed ({})", stored.size(), codec_name(codec))};
}

}  // namespace cairn::io
