// The element types of protected regions, and their names in messages and files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace cairn {

/// Element type of a protected region. `opaque` is any other trivially copyable type, stored as
/// its bytes; `serialized` is the byte stream of a Boost.Serialization object.
enum class ElementType : std::uint8_t {
  int8 = 1,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float32,
  float64,
  opaque,
  serialized,
};

/// Lower-case name of an element type, as `cairn show` prints it.
constexpr std::string_view element_type_name(ElementType type) {
  constexpr std::string_view names[] = {"",        "int8",   "int16",     "int32",  "int64",
                                        "uint8",   "uint16", "uint32",    "uint64", "float32",
                                        "float64", "opaque", "serialized"};
  const auto index = static_cast<std::size_t>(type);
  return index < sizeof names / sizeof *names ? names[index] : "unknown";
}

/// Element type of a C++ type; anything but the arithmetic types is `opaque`.
template <class T>
constexpr ElementType element_type_of() {
  static_assert(
      std::is_trivially_copyable_v<T>,
      "cairn: only trivially copyable types can be protected; use serialize() for others");
  if constexpr (std::is_same_v<T, float>) {
    return ElementType::float32;
  } else if constexpr (std::is_same_v<T, double>) {
    return ElementType::float64;
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    constexpr bool is_signed = std::is_signed_v<T>;
    switch (sizeof(T)) {
      case 1: return is_signed ? ElementType::int8 : ElementType::uint8;
      case 2: return is_signed ? ElementType::int16 : ElementType::uint16;
      case 4: return is_signed ? ElementType::int32 : ElementType::uint32;
      default: return is_signed ? ElementType::int64 : ElementType::uint64;
    }
  } else {
    return ElementType::opaque;
  }
}

}  // namespace cairn
