#include "runtime/capture/registry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <limits>

#include "base/checksum.hpp"

namespace cairn::capture {
namespace {

/// Whether an array of this shape has more bytes than there are numbers for.
bool is_too_large(const std::vector<std::uint64_t>& shape, std::uint64_t element_bytes) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return false;
  std::uint64_t left = std::numeric_limits<std::uint64_t>::max() / element_bytes;
  for (const auto extent : shape) left /= extent;
  return left == 0;
}

std::uint64_t product(const std::vector<std::uint64_t>& values) {
  std::uint64_t result = 1;
  for (const auto value : values) result *= value;
  return result;
}

Status check_shape(const Item& item) {
  const auto& global = item.entry.global_shape;
  if (global.empty() && item.offset.empty() && item.shape.empty()) return {};
  const auto bad = [&](std::string_view what) {
    return Status{Code::invalid_argument,
                  fmt::format("the shape of \"{}\" is not valid: {}", item.entry.name, what)};
  };
  if (global.empty() || global.size() > io::max_dimensions) return bad("1 to 8 dimensions");
  if (item.offset.size() != global.size() || item.shape.size() != global.size()) {
    return bad("global, offset and local must have the same number of dimensions");
  }
  for (std::size_t i = 0; i < global.size(); ++i) {
    if (item.shape[i] > global[i] || item.offset[i] > global[i] - item.shape[i]) {
      return bad("this rank's part lies outside the global shape");
    }
  }
  if (is_too_large(global, item.entry.element_bytes)) return bad("it has more than 2^64 bytes");
  return {};
}

/// The number of elements of a region, checked against its shape.
Result<std::uint64_t> element_count(const Item& item) {
  const std::uint64_t count = item.view().size() / item.entry.element_bytes;
  if (item.shape.empty() || count == product(item.shape)) return count;
  return Status{Code::invalid_argument, fmt::format("\"{}\" has {} elements, but its shape has {}",
                                                    item.entry.name, count, product(item.shape))};
}

Status save_object(const Item& item, std::vector<std::byte>& bytes) {
  try {
    item.save(bytes);
    return {};
  } catch (const std::exception& error) {
    return {Code::invalid_argument,
            fmt::format("\"{}\" could not be serialized: {}", item.entry.name, error.what())};
  }
}

}  // namespace

Status Registry::add(Item item) {
  const std::string& name = item.entry.name;
  if (name.empty() || name.size() > io::max_name_bytes || name.find('\0') != std::string::npos) {
    return {Code::invalid_argument,
            fmt::format("\"{}\" can't be a name: 1 to {} bytes, none of them 0", name,
                        io::max_name_bytes)};
  }
  if (auto status = check_shape(item); !status) return status;
  if (item.view) {
    if (auto count = element_count(item); !count) return count.status();
  }
  const auto same = std::find_if(items_.begin(), items_.end(),
                                 [&](const Item& other) { return other.entry.name == name; });
  if (same == items_.end()) {
    items_.push_back(std::move(item));
  } else {
    *same = std::move(item);
  }
  return {};
}

const Item* Registry::find(const std::string& name) const {
  const auto found = std::find_if(items_.begin(), items_.end(),
                                  [&](const Item& item) { return item.entry.name == name; });
  return found == items_.end() ? nullptr : &*found;
}

void Registry::remove(const std::string& name) {
  std::erase_if(items_, [&](const Item& item) { return item.entry.name == name; });
}

std::uint64_t Registry::fingerprint() const {
  std::uint64_t hash = items_.size();
  for (const auto& item : items_) {
    hash = mix(hash, checksum(std::as_bytes(std::span{item.entry.name})));
    hash = mix(hash, static_cast<std::uint64_t>(item.entry.type));
    hash = mix(hash, item.entry.element_bytes);
    for (const auto extent : item.entry.global_shape) hash = mix(hash, extent);
  }
  return hash;
}

std::uint64_t Registry::staged_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& item : items_) {
    if (item.view) bytes += staged_size(item.view().size());
  }
  return bytes;
}

Result<Capture> Registry::capture() const { return capture(true); }
Result<Capture> Registry::capture_regions() const { return capture(false); }

Result<Capture> Registry::capture(bool objects) const {
  Capture capture;
  capture.objects.reserve(items_.size());
  for (const auto& item : items_) {
    io::Slab slab;
    if (item.save) {
      auto& bytes = capture.objects.emplace_back();
      if (auto status = objects ? save_object(item, bytes) : Status{}; !status) return status;
      slab.data = bytes.data();
      slab.count = bytes.size();
    } else {
      const auto count = element_count(item);
      if (!count) return count.status();
      slab.data = item.view().data();
      slab.count = *count;
    }
    capture.memory.push_back(item.save ? std::span{capture.objects.back()} : item.view());
    slab.offset = item.offset;
    slab.shape = item.shape;
    capture.entries.push_back(item.entry);
    capture.slabs.push_back(std::move(slab));
  }
  return capture;
}

}  // namespace cairn::capture
