#include "io/names.hpp"

#include <fmt/format.h>

#include <charconv>

#include "io/records.hpp"

namespace cairn::io {
namespace {

/// Length of the UTF-8 sequence at the start of `text`; 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool surrogate = first == 0xed && byte(1) >= 0xa0;
  const bool too_large = first == 0xf4 && byte(1) >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

}  // namespace

std::string epoch_directory_name(std::uint64_t epoch) {
  return fmt::format("{}{:08}", epoch_prefix, epoch);
}

std::optional<std::uint64_t> parse_epoch_directory_name(std::string_view name) {
  if (!name.starts_with(epoch_prefix)) return std::nullopt;
  const std::string_view digits = name.substr(epoch_prefix.size());
  std::uint64_t epoch = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), epoch);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  if (epoch_directory_name(epoch) != name) return std::nullopt;
  return epoch;
}

std::string node_file_name(std::uint64_t node) { return fmt::format("state-node-{:04}.h5", node); }

std::string encode_link_name(std::string_view name) {
  const bool dots_only = name.find_first_not_of('.') == std::string_view::npos;
  std::string encoded;
  for (std::size_t i = 0; i < name.size();) {
    const auto c = static_cast<unsigned char>(name[i]);
    const std::size_t length = utf8_length(name.substr(i));
    if (length == 0 || c < 0x20 || c == 0x7f || c == '%' || c == '/' || (dots_only && c == '.')) {
      encoded += fmt::format("%{:02X}", c);
      i += 1;
    } else {
      encoded += name.substr(i, length);
      i += length;
    }
  }
  return encoded;
}

std::string dataset_path(const Entry& entry) {
  if (entry.name.empty()) return changes_dataset;
  const char* group = entry.type == ElementType::serialized ? objects_group : regions_group;
  return fmt::format("{}/{}", group, encode_link_name(entry.name));
}

Entry changes_entry() { return {"", ElementType::uint8, 1, {}}; }

}  // namespace cairn::io
