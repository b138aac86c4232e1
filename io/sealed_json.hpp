// JSON documents whose last field is a checksum of everything before it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include <cairn/status.hpp>

namespace cairn::io {

/// `document` (a non-empty object) as text that ends in its checksum.
std::string seal(const nlohmann::ordered_json& document);

/// The document in `text`, without its checksum. corruption: a byte is missing or changed.
/// unsupported: its format_version is newer than ours. `path` is for messages.
Result<nlohmann::json> unseal(std::string_view text, const std::filesystem::path& path);

/// Reads a sealed file. not_found when there is none, else as unseal().
Result<nlohmann::json> read_sealed(const std::filesystem::path& path);

/// Sets `value` from `object[key]`; false when it is missing or has another type.
bool get(const nlohmann::json& object, const char* key, std::string& value);
bool get(const nlohmann::json& object, const char* key, std::uint64_t& value);
bool get(const nlohmann::json& object, const char* key, int& value);
bool get(const nlohmann::json& object, const char* key, double& value);

/// A checksum as 16 lower-case hexadecimal digits, and back.
std::string to_hex(std::uint64_t value);
bool from_hex(std::string_view text, std::uint64_t& value);

}  // namespace cairn::io
