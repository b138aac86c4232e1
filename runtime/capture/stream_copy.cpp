#include "runtime/capture/stream_copy.hpp"

#include <cstdint>
#include <cstring>

#ifdef __x86_64__
#include <emmintrin.h>
#endif

namespace cairn::capture {

#ifdef __x86_64__

namespace {

constexpr std::size_t line_bytes = 64;
constexpr std::size_t page_bytes = 4096;

inline void copy_line(std::byte* to, const std::byte* from) {
  const auto* source = reinterpret_cast<const __m128i*>(from);
  auto* destination = reinterpret_cast<__m128i*>(to);
  const __m128i a = _mm_loadu_si128(source);
  const __m128i b = _mm_loadu_si128(source + 1);
  const __m128i c = _mm_loadu_si128(source + 2);
  const __m128i d = _mm_loadu_si128(source + 3);
  _mm_stream_si128(destination, a);
  _mm_stream_si128(destination + 1, b);
  _mm_stream_si128(destination + 2, c);
  _mm_stream_si128(destination + 3, d);
}

}  // namespace

void StreamCopy::add(std::byte* to, const std::byte* from, std::size_t bytes) {
  std::size_t done = 0;
  if (reinterpret_cast<std::uintptr_t>(to) % line_bytes == 0) {
    for (; bytes - done >= page_bytes; done += page_bytes) {
      to_[waiting_] = to + done;
      from_[waiting_] = from + done;
      if (++waiting_ == pages) finish();
    }
  }
  std::memcpy(to + done, from + done, bytes - done);
}

void StreamCopy::finish() {
  if (waiting_ == pages) {
    for (std::size_t line = 0; line < page_bytes; line += line_bytes) {
      for (std::size_t i = 0; i < pages; ++i) copy_line(to_[i] + line, from_[i] + line);
    }
    _mm_sfence();  // another thread will read it
  } else {
    for (std::size_t i = 0; i < waiting_; ++i) std::memcpy(to_[i], from_[i], page_bytes);
  }
  waiting_ = 0;
}

#else

void StreamCopy::add(std::byte* to, const std::byte* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}
void StreamCopy::finish() {}

#endif

}  // namespace cairn::capture
