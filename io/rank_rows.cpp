#include "io/rank_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <span>
#include <unordered_set>

#include "io/geometry.hpp"
#include "io/hdf5.hpp"

namespace cairn::io {
namespace {

Status invalid(const Entry& entry, std::string_view what) {
  return {Code::invalid_argument, fmt::format("'{}' can't be saved: {}", entry.name, what)};
}

/// HDF5 and the file system count in signed 64-bit numbers.
constexpr std::uint64_t most_bytes = std::numeric_limits<std::int64_t>::max();

Status check_entry(const Entry& entry) {
  if (entry.name.empty()) return invalid(entry, "it has no name");
  if (entry.name.size() > max_name_bytes || entry.name.find('\0') != std::string::npos) {
    return invalid(entry,
                   fmt::format("a name has at most {} bytes, none of them 0", max_name_bytes));
  }
  if (entry.type < ElementType::int8 || entry.type > ElementType::serialized) {
    return invalid(entry, "unknown element type");
  }
  const std::size_t bytes = element_type_bytes(entry.type);
  if (entry.element_bytes == 0 || (bytes != 0 && bytes != entry.element_bytes)) {
    return invalid(entry, fmt::format("{} bytes per {} element", entry.element_bytes,
                                      element_type_name(entry.type)));
  }
  if (entry.global_shape.size() > max_dimensions) {
    return invalid(entry, fmt::format("more than {} dimensions", max_dimensions));
  }
  const auto elements = volume(entry.global_shape);
  if (!elements || *elements > most_bytes / entry.element_bytes) {
    return invalid(entry, "its global shape is too large");
  }
  if (!entry.global_shape.empty() && entry.type == ElementType::serialized) {
    return invalid(entry, "a serialized object has no global shape");
  }
  return {};
}

Status check_slab(const Entry& entry, const Slab& slab) {
  if (slab.count > most_bytes / entry.element_bytes) return invalid(entry, "it is too large");
  if (slab.count > 0 && slab.data == nullptr) return invalid(entry, "it has no memory");
  if (entry.global_shape.empty()) return {};
  if (!inside(entry.global_shape, slab.offset, slab.shape)) {
    return invalid(entry, fmt::format("the slab at [{}] of shape [{}] is not inside the global "
                                      "shape [{}]",
                                      fmt::join(slab.offset, ", "), fmt::join(slab.shape, ", "),
                                      fmt::join(entry.global_shape, ", ")));
  }
  if (volume(slab.shape) != slab.count) {
    return invalid(entry, fmt::format("the slab has {} elements, its shape [{}] another number",
                                      slab.count, fmt::join(slab.shape, ", ")));
  }
  return {};
}

EntryRow entry_row(const Entry& entry) {
  EntryRow row{};
  std::copy(entry.name.begin(), entry.name.end(), row.name);
  row.type = static_cast<std::uint32_t>(entry.type);
  row.element_bytes = entry.element_bytes;
  row.dims = entry.global_shape.size();
  std::copy(entry.global_shape.begin(), entry.global_shape.end(), row.global_shape);
  return row;
}

void add_slab(RankRows& rows, std::uint32_t index, const Entry& entry, const Slab& slab) {
  SlabRow row{};
  row.rank = rows.rank.rank;
  row.entry = index;
  row.count = slab.count;
  row.first_block = rows.blocks.size();
  if (!entry.global_shape.empty()) {
    std::copy(slab.offset.begin(), slab.offset.end(), row.offset);
    std::copy(slab.shape.begin(), slab.shape.end(), row.shape);
  }
  rows.slabs.push_back(row);

  const std::uint64_t bytes = slab.count * entry.element_bytes;
  for (std::uint64_t first = 0; first < bytes; first += block_bytes) {
    rows.blocks.push_back(
        {row.rank, index, first / block_bytes, std::min(block_bytes, bytes - first), 0});
  }
}

Status add_messages(RankRows& rows, const std::vector<Message>& messages) {
  rows.messages.reserve(messages.size());
  for (const Message& message : messages) {
    if (message.destination != static_cast<int>(rows.rank.rank)) {
      return {Code::invalid_argument, fmt::format("a message to rank {} can't be saved by rank {}",
                                                  message.destination, rows.rank.rank)};
    }
    rows.messages.push_back({message.communicator, message.source, message.destination, message.tag,
                             static_cast<std::uint32_t>(rows.messages.size()), rows.payload_bytes,
                             message.bytes.size(), 0});
    rows.payload_bytes += message.bytes.size();
  }
  return {};
}

Status add_communicators(RankRows& rows, const std::vector<Communicator>& communicators) {
  for (const Communicator& communicator : communicators) {
    if (communicator.label.size() > max_label_bytes) {
      return {Code::invalid_argument, fmt::format("communicator label '{}' is longer than {} bytes",
                                                  communicator.label, max_label_bytes)};
    }
    CommunicatorRow row{communicator.id, communicator.size, rows.rank.rank, {}};
    std::copy(communicator.label.begin(), communicator.label.end(), row.label);
    rows.communicators.push_back(row);
  }
  return {};
}

}  // namespace

Result<RankRows> RankRows::of_data(int rank, const std::vector<Entry>& all_entries,
                                   const std::vector<Slab>& own_slabs) {
  if (own_slabs.size() != all_entries.size()) {
    return Status{Code::invalid_argument,
                  fmt::format("{} entries but {} slabs", all_entries.size(), own_slabs.size())};
  }
  RankRows rows;
  rows.rank.rank = static_cast<std::uint32_t>(rank);
  rows.rank.entries = static_cast<std::uint32_t>(all_entries.size());
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < all_entries.size(); ++i) {
    const Entry& entry = all_entries[i];
    if (auto status = check_entry(entry); !status) return status;
    if (auto status = check_slab(entry, own_slabs[i]); !status) return status;
    if (!names.insert(entry.name).second) return invalid(entry, "there are two of this name");
    rows.entries.push_back(entry_row(entry));
    add_slab(rows, static_cast<std::uint32_t>(i), entry, own_slabs[i]);
  }
  rows.rank.blocks = rows.blocks.size();
  return rows;
}

void RankRows::keep_changes(const Changes& all_changes) {
  by_changes = true;
  blocks.clear();
  rank.blocks = 0;
  for (SlabRow& slab : slabs) slab.first_block = 0;
  for (const Change& change : all_changes) {
    changes.push_back(
        {rank.rank, change.entry, change.offset, change.bytes, change.stored_bytes, 0});
  }
  delta.rank = rank.rank;
  delta.changes = changes.size();
  delta.bytes = stored_bytes(all_changes);
}

std::vector<std::uint64_t> RankRows::stored_elements() const {
  if (by_changes) return {delta.bytes};
  std::vector<std::uint64_t> elements;
  for (const SlabRow& slab : slabs) elements.push_back(slab.count);
  return elements;
}

Status RankRows::add_channels(const std::vector<ChannelCounter>& all_counters,
                              const std::vector<Message>& all_messages,
                              const std::vector<Communicator>& all_communicators) {
  for (const ChannelCounter& counter : all_counters) {
    counters.push_back({rank.rank, static_cast<std::uint32_t>(counter.peer), counter.communicator,
                        counter.sent, counter.received});
  }
  if (auto status = add_messages(*this, all_messages); !status) return status;
  if (auto status = add_communicators(*this, all_communicators); !status) return status;
  rank.counters = counters.size();
  rank.messages = messages.size();
  return {};
}

void Amounts::add(const Amounts& more) {
  for (std::size_t i = 0; i < values_.size(); ++i) values_[i] += more.values_[i];
}

std::span<BlockRow> RankRows::blocks_of(std::size_t entry) {
  const auto begin = [this](std::size_t i) {
    return i < slabs.size() ? slabs[i].first_block - rank.first_block : blocks.size();
  };
  return std::span{blocks}.subspan(begin(entry), begin(entry + 1) - begin(entry));
}

Amounts RankRows::amounts() const {
  const auto stored = stored_elements();
  Amounts amounts{stored.size()};
  for (std::size_t i = 0; i < stored.size(); ++i) amounts.elements(i) = stored[i];
  amounts[Amounts::ranks] = 1;
  amounts[Amounts::blocks] = blocks.size();
  amounts[Amounts::changes] = changes.size();
  for (const ChangeRow& change : changes) amounts[Amounts::changed] += change.bytes;
  for (const SlabRow& slab : slabs) {
    amounts[Amounts::state] += slab.count * entries[slab.entry].element_bytes;
  }
  amounts[Amounts::counters] = counters.size();
  amounts[Amounts::messages] = messages.size();
  amounts[Amounts::payload] = payload_bytes;
  amounts[Amounts::communicators] = communicators.size();
  return amounts;
}

void RankRows::place_data(const Amounts& before) {
  rank.first_block = before[Amounts::blocks];
  delta.first_change = before[Amounts::changes];
  if (by_changes) {
    delta.start = before.elements(0);
    return;
  }
  for (std::size_t i = 0; i < slabs.size(); ++i) {
    slabs[i].first_block += before[Amounts::blocks];
    // The place of a slab with a shape is its offset.
    if (entries[i].dims == 0) slabs[i].start = before.elements(i);
  }
}

void RankRows::place_in_node(std::uint64_t node, std::span<const std::uint64_t> before) {
  for (std::uint32_t i = 0; i < before.size(); ++i) {
    places.push_back({rank.rank, i, node, before[i]});
  }
}

void RankRows::place_channels(const Amounts& before) {
  first_communicator = before[Amounts::communicators];
  first_payload = before[Amounts::payload];
  rank.first_counter = before[Amounts::counters];
  rank.first_message = before[Amounts::messages];
  for (MessageRow& message : messages) message.offset += before[Amounts::payload];
}

}  // namespace cairn::io
