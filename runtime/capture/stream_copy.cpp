#include "runtime/capture/stream_copy.hpp"

#include <cstring>

#ifdef __x86_64__
#include <emmintrin.h>
#endif

namespace cairn::capture {

#ifdef __x86_64__

namespace {

constexpr std::size_t line_bytes = 64;
constexpr std::size_t page_bytes = 4096;
// Taking turns at several pages has several of the processor's prefetchers work at once.
constexpr std::size_t pages = 8;

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

void stream_copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  constexpr std::size_t group_bytes = pages * page_bytes;
  std::size_t done = 0;
  for (; bytes - done >= group_bytes; done += group_bytes) {
    for (std::size_t line = 0; line < page_bytes; line += line_bytes) {
      for (std::size_t page = 0; page < group_bytes; page += page_bytes) {
        copy_line(to + done + page + line, from + done + page + line);
      }
    }
  }
  _mm_sfence();  // another thread will read it
  std::memcpy(to + done, from + done, bytes - done);
}

#else

void stream_copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

#endif

}  // namespace cairn::capture
