#include "io/sealed_json.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <span>

#include "base/checksum.hpp"
#include "io/files.hpp"
#include "io/names.hpp"

namespace cairn::io {
namespace {

using nlohmann::json;

// A COMMIT.json has about 100 bytes per protected name and 20 per MiB of index tables.
constexpr std::uint64_t largest_document_bytes = std::uint64_t{256} << 20;

/// The exact text that ends a document whose other text is `body`: byte for byte, so that there is
/// only one accepted spelling.
std::string trailer(std::string_view body) {
  return fmt::format(",\n  \"checksum\": \"{}\"\n}}\n",
                     to_hex(checksum(std::as_bytes(std::span{body}))));
}

}  // namespace

std::string seal(const nlohmann::ordered_json& document) {
  std::string text = document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize(text.size() - 2);  // "\n}"
  return text + trailer(text);
}

Result<json> unseal(std::string_view text, const std::filesystem::path& path) {
  const std::size_t trailer_bytes = trailer({}).size();
  const auto damaged = [&](std::string_view what) {
    return Status{Code::corruption, fmt::format("{}: {}", path.native(), what)};
  };
  if (text.size() < trailer_bytes) return damaged("is torn: it has no checksum");
  const std::string_view body = text.substr(0, text.size() - trailer_bytes);
  if (text.substr(body.size()) != trailer(body)) return damaged("its checksum is wrong");
  json document = json::parse(std::string{body} + "\n}", nullptr, false);
  if (!document.is_object()) return damaged("is not a JSON object");
  int version = 0;
  if (!get(document, "format_version", version) || version < 1) {
    return damaged("has no format_version");
  }
  if (version > format_version) {
    return Status{Code::unsupported,
                  fmt::format("{}: has format version {}, and this Cairn reads versions up to {}: "
                              "use the Cairn that wrote it, or a newer one",
                              path.native(), version, format_version)};
  }
  return document;
}

Result<json> read_sealed(const std::filesystem::path& path) {
  const auto text = read_text(path, largest_document_bytes);
  if (!text) return text.status();
  return unseal(*text, path);
}

bool get(const json& object, const char* key, std::string& value) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return false;
  value = found->get<std::string>();
  return true;
}

bool get(const json& object, const char* key, std::uint64_t& value) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return false;
  value = found->get<std::uint64_t>();
  return true;
}

bool get(const json& object, const char* key, int& value) {
  std::uint64_t wide = 0;
  if (!get(object, key, wide) || wide > std::numeric_limits<int>::max()) return false;
  value = static_cast<int>(wide);
  return true;
}

bool get(const json& object, const char* key, double& value) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return false;
  value = found->get<double>();
  return true;
}

std::string to_hex(std::uint64_t value) { return fmt::format("{:016x}", value); }

bool from_hex(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return error == std::errc{} && end == text.data() + text.size() && to_hex(value) == text;
}

}  // namespace cairn::io
