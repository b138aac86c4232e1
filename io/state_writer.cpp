#include "io/state_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <span>

#include "base/checksum.hpp"
#include "base/crash_point.hpp"
#include "io/collective.hpp"
#include "io/files.hpp"
#include "io/geometry.hpp"
#include "io/layout.hpp"
#include "io/part_writer.hpp"
#include "io/rank_rows.hpp"
#include "io/space.hpp"

namespace cairn::io {
namespace {

class StateWriter {
 public:
  StateWriter(MPI_Comm comm, const std::filesystem::path& path, const EpochInfo& info,
              const RankState& state)
      : all_(comm), path_(path), info_(info), state_(state), totals_(0) {}

  Status run(WriteDriver driver);

 private:
  Status prepare();
  Status same_entries();
  Status check_shapes() const;
  std::vector<Box> gather_boxes(const Slab& slab, std::size_t dims) const;
  Status lay_out();
  Status create_file(const MemoryFile& metadata);
  void share_offsets(const StateImage& image);
  Status check_visible() const;
  void make_parts();
  Status write_parts(PartWriter& writer);
  Status sync();

  Collective all_;
  const std::filesystem::path& path_;
  const EpochInfo& info_;
  const RankState& state_;
  RankRows rows_;
  Amounts totals_;
  std::vector<std::uint64_t> offsets_;  // of the entries, the tables, the payload
  std::vector<Part> parts_;             // in the same order
};

Status StateWriter::run(WriteDriver driver) {
  if (auto status = prepare(); !status) return status;
  Status status = lay_out();
  if (status) {
    crash_point("file_created");
    make_parts();
    const auto writer =
        driver == WriteDriver::direct ? make_direct_writer(path_) : make_mpiio_writer(path_, all_);
    status = write_parts(*writer);
  }
  if (status) status = sync();
  if (!status && all_.rank() == 0) ::unlink(path_.c_str());
  return status;
}

/// Everything that can go wrong without a file.
Status StateWriter::prepare() {
  Result<RankRows> rows = Status{Code::io_error, "not enough memory to write a checkpoint"};
  try {
    rows = make_rank_rows(all_.rank(), state_);
  } catch (const std::bad_alloc&) {  // the others must hear of it
  }
  if (auto status = all_.agree(rows.ok() ? Status{} : rows.status()); !status) return status;
  rows_ = std::move(*rows);
  if (auto status = same_entries(); !status) return status;
  Amounts amounts = rows_.amounts();
  totals_ = amounts;
  totals_.values() = all_.sum(amounts.values());
  amounts.values() = all_.sum_before(amounts.values());
  rows_.place(amounts);
  return all_.agree(check_shapes());
}

std::string describe(const EntryRow& row) {
  const std::span shape{row.global_shape, static_cast<std::size_t>(row.dims)};
  return fmt::format("'{}' ({}, {} bytes per element, global shape [{}])", row.name,
                     element_type_name(static_cast<ElementType>(row.type)), row.element_bytes,
                     fmt::join(shape, ", "));
}

Status StateWriter::same_entries() {
  const auto bytes = std::as_bytes(std::span{rows_.entries});
  if (all_.agree_on(checksum(bytes))) return {};
  const std::string first =
      all_.broadcast({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, 0);
  std::vector<EntryRow> theirs(first.size() / sizeof(EntryRow));
  if (!theirs.empty()) std::memcpy(theirs.data(), first.data(), first.size());
  const auto& mine = rows_.entries;
  std::size_t i = 0;
  while (i < mine.size() && i < theirs.size() &&
         std::memcmp(&mine[i], &theirs[i], sizeof(EntryRow)) == 0) {
    ++i;
  }
  const auto name = [i](const auto& rows) {
    return i < rows.size() ? describe(rows[i]) : "nothing more";
  };
  Status local;
  if (i < mine.size() || i < theirs.size()) {
    local = {Code::invalid_argument,
             fmt::format("entry {} is {}, on rank 0 {}: every rank must protect the same names, "
                         "types and global shapes in the same order",
                         i, name(mine), name(theirs))};
  }
  return all_.agree(local);
}

/// Two ranks that write the same element would leave a checkpoint that no restart accepts.
/// Collective; rank 0 looks at all parts.
Status StateWriter::check_shapes() const {
  Status status;
  for (std::size_t i = 0; i < state_.entries.size(); ++i) {
    const Entry& entry = state_.entries[i];
    if (entry.global_shape.empty()) continue;
    const std::vector<Box> boxes = gather_boxes(state_.slabs[i], entry.global_shape.size());
    const auto overlap = find_overlap(boxes);
    if (!overlap || !status) continue;
    status = {Code::invalid_argument,
              fmt::format("'{}' can't be saved: the parts of ranks {} and {} of its global shape "
                          "overlap; check the offsets that they are protected with",
                          entry.name, overlap->first, overlap->second)};
  }
  return status;
}

/// Every rank's part of an entry, on rank 0.
std::vector<Box> StateWriter::gather_boxes(const Slab& slab, std::size_t dims) const {
  std::vector<std::uint64_t> mine = slab.offset;
  mine.insert(mine.end(), slab.shape.begin(), slab.shape.end());
  mine.resize(2 * dims);
  const bool root = all_.rank() == 0;
  std::vector<std::uint64_t> all(root ? mine.size() * static_cast<std::size_t>(all_.size()) : 0);
  const int count = static_cast<int>(mine.size());
  PMPI_Gather(mine.data(), count, MPI_UINT64_T, all.data(), count, MPI_UINT64_T, 0, all_.comm());
  std::vector<Box> boxes;
  for (auto it = all.begin(); it != all.end(); it += 2 * static_cast<std::ptrdiff_t>(dims)) {
    const auto middle = it + static_cast<std::ptrdiff_t>(dims);
    boxes.push_back({{it, middle}, {middle, middle + static_cast<std::ptrdiff_t>(dims)}});
  }
  return boxes;
}

/// Rank 0 makes the file, with room for everything and its metadata; nobody writes before all
/// ranks see it.
Status StateWriter::lay_out() {
  StateImage image;
  Status local;
  if (all_.rank() == 0) {
    auto made = Layout{state_.entries, totals_}.make_image(info_);
    if (made.ok()) {
      image = std::move(*made);
      local = create_file(image.file);
    } else {
      local = made.status();
    }
  }
  if (auto status = all_.agree(local); !status) return status;
  share_offsets(image);
  return all_.agree(check_visible());
}

Status StateWriter::create_file(const MemoryFile& metadata) {
  auto file = File::open(path_, O_RDWR | O_CREAT | O_EXCL);
  if (!file) return file.status();
  if (auto status = reserve_space(*file, metadata.size()); !status) return status;
  for (const auto& [number, page] : metadata.pages()) {
    const std::uint64_t offset = number * MemoryFile::page_bytes;
    if (offset >= metadata.size()) continue;
    const std::uint64_t bytes = std::min<std::uint64_t>(page.size(), metadata.size() - offset);
    if (auto s = file->write_at(offset, std::span{page}.first(bytes)); !s) return s;
  }
  return file->close();
}

void StateWriter::share_offsets(const StateImage& image) {
  std::vector<std::uint64_t> offsets = image.entry_offsets;
  offsets.insert(offsets.end(), image.table_offsets.begin(), image.table_offsets.end());
  offsets.push_back(image.payload_offset);
  offsets.resize(state_.entries.size() + table_count + 1);
  offsets_ = all_.broadcast(std::move(offsets), 0);
}

Status StateWriter::check_visible() const {
  const auto file = File::open(path_, O_RDWR);
  if (file) return {};
  return {Code::io_error,
          fmt::format("{}: the checkpoint directory must be on a file system that all nodes share",
                      file.status().message())};
}

void StateWriter::make_parts() {
  const Layout layout{state_.entries, totals_};
  for (std::size_t i = 0; i < state_.entries.size(); ++i) {
    const Entry& entry = state_.entries[i];
    const Slab& slab = state_.slabs[i];
    Part part{dataset_path(entry), offsets_[i], entry.element_bytes, layout.shape(i), slab.offset,
              slab.shape,          slab.data};
    if (entry.global_shape.empty()) {
      part.offset = {rows_.slabs[i].start};
      part.shape = {slab.count};
    }
    parts_.push_back(std::move(part));
  }
  const auto add = [&](TableId id, const auto& rows, std::uint64_t first) {
    const Table& table = tables()[id];
    parts_.push_back({table.path,
                      offsets_[parts_.size()],
                      table.row_bytes,
                      {layout.rows(id)},
                      {first},
                      {rows.size()},
                      std::as_bytes(std::span{rows}).data()});
  };
  const auto rank = static_cast<std::uint64_t>(all_.rank());
  if (rank != 0) rows_.entries.clear();
  add(entry_rows, rows_.entries, 0);
  add(rank_rows, std::span{&rows_.rank, 1}, rank);
  add(slab_rows, rows_.slabs, rank * rows_.slabs.size());
  add(block_rows, rows_.blocks, rows_.rank.first_block);
  add(communicator_rows, rows_.communicators, rows_.first_communicator);
  add(counter_rows, rows_.counters, rows_.rank.first_counter);
  add(message_rows, rows_.messages, rows_.rank.first_message);
  parts_.push_back({payload_dataset,
                    offsets_[parts_.size()],
                    1,
                    {layout.payload_bytes()},
                    {rows_.first_payload},
                    {rows_.payload.size()},
                    rows_.payload.data()});
}

Status StateWriter::write_parts(PartWriter& writer) {
  Status status = all_.agree(writer.open(parts_));
  if (status) {
    Status local;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (i == state_.entries.size() / 2) crash_point("half_written");
      Status written = writer.write(parts_[i]);
      if (local) local = std::move(written);
    }
    status = all_.agree(local);
  }
  if (status) crash_point("written");
  const Status closed = all_.agree(writer.close());
  if (status) status = closed;
  if (status) crash_point("closed");
  return status;
}

/// One rank per node: a node's ranks share its page cache.
Status StateWriter::sync() {
  Status local;
  if (all_.rank_on_node() == 0) {
    auto file = File::open(path_, O_RDWR);
    local = file.ok() ? file->sync() : file.status();
    if (local) local = file->close();
  }
  const Status status = all_.agree(local);
  if (status) crash_point("data_synced");
  return status;
}

}  // namespace

Status write_state(MPI_Comm comm, const std::filesystem::path& path, const EpochInfo& info,
                   const RankState& state, WriteDriver driver) {
  return StateWriter{comm, path, info, state}.run(driver);
}

}  // namespace cairn::io
