#include "io/state_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/checksum.hpp"
#include "io/geometry.hpp"
#include "io/loaded_index.hpp"
#include "io/slab_bytes.hpp"

namespace cairn::io {
namespace {

template <class Row>
std::span<const Row> rows_of(const std::vector<Row>& rows, std::uint64_t first_loaded,
                             std::uint64_t first, std::uint64_t count) {
  return std::span{rows}.subspan(first - first_loaded, count);
}

}  // namespace

struct StateReader::Impl {
  LoadedIndex index;

  const RankRow* rank_row(int rank) const;
  const PlaceRow* place(const SlabInfo& slab) const;
  const std::filesystem::path& path_of(const SlabInfo& slab) const;
  Status damaged(const SlabInfo& slab, const BlockRow& block) const;
  template <class Use>
  Status for_each_block(const SlabInfo& slab, Use destination) const;
};

StateReader::StateReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StateReader::StateReader(StateReader&&) noexcept = default;
StateReader& StateReader::operator=(StateReader&&) noexcept = default;
StateReader::~StateReader() = default;

Result<StateReader> StateReader::open(const std::filesystem::path& epoch_directory,
                                      std::optional<int> only_rank) {
  auto index = LoadedIndex::load(epoch_directory, only_rank);
  if (!index) return index.status();
  return StateReader{std::make_unique<Impl>(Impl{std::move(*index)})};
}

int StateReader::ranks() const { return impl_->index.commit.info.ranks; }
const EpochInfo& StateReader::info() const { return impl_->index.commit.info; }
const std::vector<Entry>& StateReader::entries() const { return impl_->index.entries; }
const std::vector<Communicator>& StateReader::communicators() const {
  return impl_->index.communicators;
}

const RankRow* StateReader::Impl::rank_row(int rank) const {
  const int first = index.first_rank;
  if (rank < first || rank - first >= static_cast<int>(index.ranks.size())) return nullptr;
  return &index.ranks[static_cast<std::size_t>(rank - first)];
}

std::vector<SlabInfo> StateReader::slabs(int rank) const {
  if (impl_->rank_row(rank) == nullptr) return {};
  const LoadedIndex& index = impl_->index;
  const std::size_t entries = index.entries.size();
  std::vector<SlabInfo> slabs;
  for (std::size_t i = 0; i < entries; ++i) {
    const SlabRow& row =
        index.slabs[static_cast<std::size_t>(rank - index.first_rank) * entries + i];
    SlabInfo slab{rank, i, row.count, row.start, row.first_block, {}, {}};
    const std::size_t dims = index.entries[i].global_shape.size();
    slab.offset.assign(row.offset, row.offset + dims);
    slab.shape.assign(row.shape, row.shape + dims);
    slabs.push_back(std::move(slab));
  }
  return slabs;
}

/// Nothing when the slab is in state.h5.
const PlaceRow* StateReader::Impl::place(const SlabInfo& slab) const {
  if (index.places.empty()) return nullptr;
  const auto rank = static_cast<std::size_t>(slab.rank - index.first_rank);
  return &index.places[rank * index.entries.size() + slab.entry];
}

const std::filesystem::path& StateReader::Impl::path_of(const SlabInfo& slab) const {
  const PlaceRow* where = place(slab);
  return where != nullptr ? index.nodes[where->node].path : index.file.path();
}

Status StateReader::Impl::damaged(const SlabInfo& slab, const BlockRow& block) const {
  return {Code::corruption,
          fmt::format("{}: '{}' of rank {} is damaged: bytes {} to {} of its slab have the wrong "
                      "checksum",
                      path_of(slab).native(), index.entries[slab.entry].name, slab.rank,
                      block.block * block_bytes, block.block * block_bytes + block.bytes - 1)};
}

/// Reads each block of the slab to `destination(first byte, bytes)` and checks it there.
template <class Use>
Status StateReader::Impl::for_each_block(const SlabInfo& slab, Use destination) const {
  const Entry& entry = index.entries[slab.entry];
  const PlaceRow* where = place(slab);
  const File* file = &index.file;
  Extent extent;
  File opened;
  if (where != nullptr) {
    const LoadedIndex::Node& node = index.nodes[where->node];
    extent = node.extents[slab.entry];
    file = &node.file;
    if (!file->is_open()) {
      auto node_file = File::open(node.path, O_RDONLY);
      if (!node_file) return node_file.status();
      opened = std::move(*node_file);
      file = &opened;
    }
  } else {
    extent = index.extents[slab.entry];
  }
  const std::uint64_t elements = extent.bytes / entry.element_bytes;
  const std::uint64_t start = where != nullptr ? where->start : slab.start;
  const bool flat = where != nullptr || entry.global_shape.empty();
  const std::span<const std::uint64_t> global = flat ? std::span{&elements, 1} : entry.global_shape;
  const std::span<const std::uint64_t> offset = flat ? std::span{&start, 1} : slab.offset;
  const std::span<const std::uint64_t> shape = flat ? std::span{&slab.count, 1} : slab.shape;
  const SlabBytes bytes{extent.offset, entry.element_bytes, global, offset, shape};
  const std::uint64_t blocks = (slab.count * entry.element_bytes + block_bytes - 1) / block_bytes;
  for (const BlockRow& block : rows_of(index.blocks, index.first_block, slab.first_block, blocks)) {
    const std::uint64_t first = block.block * block_bytes;
    const std::span<std::byte> memory = destination(first, block.bytes);
    if (auto status = bytes.read(*file, first, memory); !status) return status;
    if (checksum(memory) != block.checksum) return damaged(slab, block);
  }
  return {};
}

Status StateReader::read_slab(const SlabInfo& slab, std::span<std::byte> destination) const {
  if (destination.size() != slab.count * entries()[slab.entry].element_bytes) {
    return {Code::invalid_argument,
            fmt::format("'{}' of rank {} has {} elements of {} bytes, and the memory {} bytes",
                        entries()[slab.entry].name, slab.rank, slab.count,
                        entries()[slab.entry].element_bytes, destination.size())};
  }
  return impl_->for_each_block(slab, [destination](std::uint64_t first, std::uint64_t bytes) {
    return destination.subspan(first, bytes);
  });
}

Status StateReader::check_slab(const SlabInfo& slab) const {
  std::vector<std::byte> buffer(block_bytes);
  return impl_->for_each_block(slab, [&buffer](std::uint64_t, std::uint64_t bytes) {
    return std::span{buffer}.first(bytes);
  });
}

std::vector<ChannelCounter> StateReader::counters(int rank) const {
  const RankRow* row = impl_->rank_row(rank);
  if (row == nullptr) return {};
  const LoadedIndex& index = impl_->index;
  std::vector<ChannelCounter> counters;
  for (const CounterRow& counter :
       rows_of(index.counters, index.first_counter, row->first_counter, row->counters)) {
    counters.push_back(
        {counter.communicator, static_cast<int>(counter.peer), counter.sent, counter.received});
  }
  return counters;
}

Result<std::vector<Message>> StateReader::messages(int rank) const {
  const RankRow* row = impl_->rank_row(rank);
  std::vector<Message> messages;
  if (row == nullptr) return messages;
  const LoadedIndex& index = impl_->index;
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
