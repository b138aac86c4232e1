#include "io/state_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/checksum.hpp"
#include "io/epoch_data.hpp"
#include "io/loaded_index.hpp"
#include "io/names.hpp"

namespace cairn::io {
namespace {

template <class Row>
std::span<const Row> rows_of(const std::vector<Row>& rows, std::uint64_t first_loaded,
                             std::uint64_t first, std::uint64_t count) {
  return std::span{rows}.subspan(first - first_loaded, count);
}

}  // namespace

struct StateReader::Impl {
  std::vector<EpochData> chain;  // the epoch itself, the one that it builds on, …

  const EpochData& own() const { return chain.front(); }
  const LoadedIndex& index() const { return own().index; }
  Status load(const std::filesystem::path& epoch_directory, std::optional<int> only_rank);
  std::vector<std::vector<Stretch>> held(const SlabInfo& slab) const;
  Status check_complete(const SlabInfo& slab, std::vector<std::vector<Stretch>>& wanted) const;
};

StateReader::StateReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StateReader::StateReader(StateReader&&) noexcept = default;
StateReader& StateReader::operator=(StateReader&&) noexcept = default;
StateReader::~StateReader() = default;

Result<StateReader> StateReader::open(const std::filesystem::path& epoch_directory,
                                      std::optional<int> only_rank) {
  auto impl = std::make_unique<Impl>();
  if (auto status = impl->load(epoch_directory, only_rank); !status) return status;
  return StateReader{std::move(impl)};
}

/// The epoch and all that it builds on. Parents have smaller numbers, so there is an end.
Status StateReader::Impl::load(const std::filesystem::path& epoch_directory,
                               std::optional<int> only_rank) {
  auto first = LoadedIndex::load(epoch_directory, only_rank);
  if (!first) return first.status();
  chain.emplace_back(std::move(*first));
  while (const auto parent = chain.back().index.commit.info.parent) {
    const EpochInfo& child = chain.back().index.commit.info;
    auto index =
        LoadedIndex::load(epoch_directory.parent_path() / epoch_directory_name(*parent), only_rank);
    const auto broken = [&](std::string_view why) {
      return Status{Code::corruption,
                    fmt::format("epoch {} builds on epoch {}, {}", child.epoch, *parent, why)};
    };
    if (!index && index.status().code() == Code::not_found) return broken("which is gone");
    if (!index) return broken("which can't be used: " + index.status().message());
    const EpochInfo& info = index->commit.info;
    if (info.epoch != *parent || info.id != child.parent_id || info.ranks != child.ranks) {
      return broken("but there is another one of that number");
    }
    chain.emplace_back(std::move(*index));
  }
  return {};
}

int StateReader::ranks() const { return info().ranks; }
const EpochInfo& StateReader::info() const { return impl_->index().commit.info; }
const std::vector<Entry>& StateReader::entries() const { return impl_->index().entries; }
const std::vector<Communicator>& StateReader::communicators() const {
  return impl_->index().communicators;
}
std::vector<Communicator> StateReader::communicators_led_by(int rank) const {
  std::vector<Communicator> led;
  const LoadedIndex& index = impl_->index();
  for (std::size_t i = 0; i < index.communicators.size(); ++i) {
    if (index.communicator_roots[i] == rank) led.push_back(index.communicators[i]);
  }
  return led;
}
std::size_t StateReader::chain_length() const { return impl_->chain.size(); }

std::vector<SlabInfo> StateReader::slabs(int rank) const {
  const auto number = impl_->own().rank_number(rank);
  if (!number) return {};
  const LoadedIndex& index = impl_->index();
  const std::size_t entries = index.entries.size();
  std::vector<SlabInfo> slabs;
  for (std::size_t i = 0; i < entries; ++i) {
    const SlabRow& row = index.slabs[*number * entries + i];
    SlabInfo slab{rank, i, row.count, row.start, {}, {}};
    const std::size_t dims = index.entries[i].global_shape.size();
    slab.offset.assign(row.offset, row.offset + dims);
    slab.shape.assign(row.shape, row.shape + dims);
    slabs.push_back(std::move(slab));
  }
  return slabs;
}

/// What each epoch of the chain holds of a slab. An epoch that does not know the entry, or knows
/// another one of its name, is where the entry began: what is older is not it.
std::vector<std::vector<Stretch>> StateReader::Impl::held(const SlabInfo& slab) const {
  std::vector<std::vector<Stretch>> held;
  const Entry& entry = index().entries[slab.entry];
  for (const EpochData& epoch : chain) {
    const auto here = epoch.find(entry);
    if (!here) break;
    held.push_back(epoch.stretches(*epoch.rank_number(slab.rank), *here));
  }
  return held;
}

Status StateReader::Impl::check_complete(const SlabInfo& slab,
                                         std::vector<std::vector<Stretch>>& wanted) const {
  bool complete = false;
  wanted = resolve(held(slab), slab.count * index().entries[slab.entry].element_bytes, complete);
  if (complete) return {};
  return {Code::corruption,
          fmt::format("{}: '{}' of rank {} is damaged: not all of it is in the epochs that this "
                      "one builds on",
                      index().file.path().native(), index().entries[slab.entry].name, slab.rank)};
}

Status StateReader::read_slab(const SlabInfo& slab, std::span<std::byte> destination) const {
  const Entry& entry = entries()[slab.entry];
  if (destination.size() != slab.count * entry.element_bytes) {
    return {
        Code::invalid_argument,
        fmt::format("'{}' of rank {} has {} elements of {} bytes, and the memory {} bytes",
                    entry.name, slab.rank, slab.count, entry.element_bytes, destination.size())};
  }
  std::vector<std::vector<Stretch>> wanted;
  if (auto status = impl_->check_complete(slab, wanted); !status) return status;
  for (std::size_t i = wanted.size(); i-- > 0;) {
    const EpochData& epoch = impl_->chain[i];
    if (wanted[i].empty()) continue;
    const auto status =
        epoch.read(*epoch.rank_number(slab.rank), *epoch.find(entry), wanted[i], destination);
    if (!status) return status;
  }
  return {};
}

Status StateReader::check_complete(const SlabInfo& slab) const {
  if (!impl_->index().by_changes) return {};
  std::vector<std::vector<Stretch>> wanted;
  return impl_->check_complete(slab, wanted);
}

Status StateReader::check_slab(const SlabInfo& slab) const {
  std::vector<std::vector<Stretch>> wanted;
  if (auto status = impl_->check_complete(slab, wanted); !status) return status;
  const EpochData& own = impl_->own();
  const std::size_t rank = *own.rank_number(slab.rank);
  return own.read(rank, slab.entry, own.stretches(rank, slab.entry), {});
}

std::vector<ByteRange> StateReader::own_ranges(const SlabInfo& slab) const {
  std::vector<ByteRange> ranges;
  const EpochData& own = impl_->own();
  for (const Stretch& stretch : own.stretches(*own.rank_number(slab.rank), slab.entry)) {
    if (!ranges.empty() && ranges.back().last == stretch.offset) {
      ranges.back().last = stretch.end();
    } else {
      ranges.push_back({stretch.offset, stretch.end()});
    }
  }
  return ranges;
}

std::string_view change_name(EntryChange::Kind kind) {
  switch (kind) {
    case EntryChange::Kind::unchanged: return "unchanged";
    case EntryChange::Kind::modified: return "modified";
    case EntryChange::Kind::added: return "added";
    case EntryChange::Kind::deleted: return "deleted";
  }
  return "";
}

std::vector<EntryChange> StateReader::entry_changes() const {
  using Kind = EntryChange::Kind;
  std::vector<EntryChange> changes;
  if (impl_->chain.size() < 2) return changes;
  const EpochData& own = impl_->own();
  const EpochData& parent = impl_->chain[1];
  for (std::size_t i = 0; i < entries().size(); ++i) {
    EntryChange change{entries()[i], Kind::unchanged, 0};
    const auto before = parent.find(change.entry);
    bool same_size = true;
    for (std::size_t rank = 0; rank < own.index.ranks.size(); ++rank) {
      for (const Stretch& stretch : own.stretches(rank, i)) change.bytes += stretch.bytes;
      if (before) {
        same_size = same_size && own.slab_bytes(rank, i) == parent.slab_bytes(rank, *before);
      }
    }
    if (change.bytes > 0 || !same_size) change.kind = Kind::modified;
    if (!before) change.kind = Kind::added;
    changes.push_back(std::move(change));
  }
  for (const Entry& entry : parent.index.entries) {
    if (!own.find(entry)) changes.push_back({entry, Kind::deleted, 0});
  }
  return changes;
}

std::vector<ChannelCounter> StateReader::counters(int rank) const {
  const auto number = impl_->own().rank_number(rank);
  if (!number) return {};
  const LoadedIndex& index = impl_->index();
  const RankRow* row = &index.ranks[*number];
  std::vector<ChannelCounter> counters;
  for (const CounterRow& counter :
       rows_of(index.counters, index.first_counter, row->first_counter, row->counters)) {
    counters.push_back(
        {counter.communicator, static_cast<int>(counter.peer), counter.sent, counter.received});
  }
  return counters;
}

Result<std::vector<Message>> StateReader::messages(int rank) const {
  const auto number = impl_->own().rank_number(rank);
  std::vector<Message> messages;
  if (!number) return messages;
  const LoadedIndex& index = impl_->index();
  const RankRow* row = &index.ranks[*number];
  for (const MessageRow& stored :
       rows_of(index.messages, index.first_message, row->first_message, row->messages)) {
    Message message{stored.communicator, stored.source, stored.destination, stored.tag, {}};
    message.bytes.resize(stored.bytes);  // inside the payload, hence not larger than the file
    auto status = index.file.read_at(index.payload.offset + stored.offset, message.bytes);
    if (status && checksum(message.bytes) != stored.checksum) {
      status = {
          Code::corruption,
          fmt::format("{}: the message {} -> {} with tag {} is damaged: its bytes have the "
                      "wrong checksum",
                      index.file.path().native(), stored.source, stored.destination, stored.tag)};
    }
    if (!status) return status;
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace cairn::io
