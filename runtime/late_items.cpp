#include "runtime/late_items.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace cairn {
namespace {

std::string describe(const io::Entry& entry) {
  std::string text{element_type_name(entry.type)};
  if (entry.type == ElementType::opaque) text += fmt::format(" of {} bytes", entry.element_bytes);
  if (entry.global_shape.empty()) return text;
  return fmt::format("{}, shape ({})", text, fmt::join(entry.global_shape, ", "));
}

Status mismatch(const std::string& name, const std::string& what) {
  return {Code::invalid_argument,
          fmt::format("\"{}\" {}; run the program with the settings of the checkpoint, or start "
                      "over with CAIRN_RESTART=never",
                      name, what)};
}

}  // namespace

Status check_item(const capture::Item& item, const io::Entry& stored, std::uint64_t count,
                  int rank) {
  if (!(item.entry == stored)) {
    return mismatch(stored.name, fmt::format("is {} in the checkpoint and {} in the program",
                                             describe(stored), describe(item.entry)));
  }
  if (!item.view || item.resize) return {};
  const std::uint64_t now = item.view().size() / item.entry.element_bytes;
  if (now == count) return {};
  return mismatch(stored.name,
                  fmt::format("has {} elements on rank {} in the checkpoint and {} in the program",
                              count, rank, now));
}

Status load_object(const capture::Item& item, const std::vector<std::byte>& bytes) {
  try {
    item.load(bytes);
    return {};
  } catch (const std::exception& error) {
    return {Code::corruption,
            fmt::format("\"{}\" could not be deserialized: {}", item.entry.name, error.what())};
  }
}

void LateItems::keep(io::Entry entry, std::vector<std::byte> bytes) {
  std::string name = entry.name;
  kept_.insert_or_assign(std::move(name), Kept{std::move(entry), std::move(bytes)});
}

Status LateItems::restore(const capture::Item& item, int rank) {
  const auto found = kept_.find(item.entry.name);
  if (found == kept_.end()) return {};
  const Kept kept = std::move(found->second);
  kept_.erase(found);
  const std::uint64_t count = kept.bytes.size() / kept.entry.element_bytes;
  if (auto status = check_item(item, kept.entry, count, rank); !status) return status;
  if (item.load) return load_object(item, kept.bytes);
  if (item.resize) item.resize(count);
  std::copy(kept.bytes.begin(), kept.bytes.end(), item.view().begin());
  return {};
}

std::vector<std::string> LateItems::waiting() const {
  std::vector<std::string> names;
  for (const auto& [name, kept] : kept_) names.push_back(name);
  return names;
}

}  // namespace cairn
