#include "io/full_copy.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "base/crash_point.hpp"
#include "io/commit_record.hpp"
#include "io/files.hpp"
#include "io/layout.hpp"
#include "io/names.hpp"
#include "io/part_writing.hpp"
#include "io/state_file.hpp"
#include "io/table_parts.hpp"

namespace cairn::io {
namespace {

/// Does for all ranks, one after another, what the ranks do together when they write an epoch.
class FullCopy {
 public:
  FullCopy(const StateReader& reader, const std::filesystem::path& path)
      : reader_(reader), path_(path), totals_(reader.entries().size()) {}

  Result<Datasets> write();

 private:
  Result<RankRows> rows_of(int rank) const;
  Status collect();
  Status write_rank(BulkWriter& writer, const Layout& layout, const StateImage& image,
                    RankRows& rows) const;

  const StateReader& reader_;
  const std::filesystem::path& path_;
  std::vector<RankRows> rows_;
  Amounts totals_;
};

Result<RankRows> FullCopy::rows_of(int rank) const {
  std::vector<Slab> slabs;
  for (const SlabInfo& slab : reader_.slabs(rank)) {
    if (auto status = reader_.check_complete(slab); !status) return status;
    static const std::byte somewhere{};  // the data is read when it is written
    slabs.push_back({&somewhere, slab.count, slab.offset, slab.shape});
  }
  auto rows = RankRows::of_data(rank, reader_.entries(), slabs);
  if (!rows) return rows;
  auto messages = reader_.messages(rank);
  if (!messages) return messages.status();
  const auto status =
      rows->add_channels(reader_.counters(rank), *messages, reader_.communicators_led_by(rank));
  if (!status) return status;
  return rows;
}

/// Where each rank's part is.
Status FullCopy::collect() {
  for (int rank = 0; rank < reader_.ranks(); ++rank) {
    auto rows = rows_of(rank);
    if (!rows) return rows.status();
    rows->place_data(totals_);
    rows->place_channels(totals_);
    totals_.add(rows->amounts());
    rows_.push_back(std::move(*rows));
  }
  return {};
}

Status FullCopy::write_rank(BulkWriter& writer, const Layout& layout, const StateImage& image,
                            RankRows& rows) const {
  const auto rank = static_cast<int>(rows.rank.rank);
  std::vector<std::byte> bytes;
  for (const SlabInfo& slab : reader_.slabs(rank)) {
    const Entry& entry = reader_.entries()[slab.entry];
    bytes.resize(slab.count * entry.element_bytes);
    if (auto status = reader_.read_slab(slab, bytes); !status) return status;
    Part part{dataset_path(entry), image.entry_offsets[slab.entry],
              entry.element_bytes, layout.shape(slab.entry),
              slab.offset,         slab.shape,
              bytes.data()};
    if (entry.global_shape.empty()) {
      part.offset = {rows.slabs[slab.entry].start};
      part.shape = {slab.count};
    }
    if (auto s = write_part(writer, part, rows.blocks_of(slab.entry), {}); !s) return s;
  }
  auto messages = reader_.messages(rank);
  if (!messages) return messages.status();
  const std::uint64_t payload = image.payload_offset + rows.first_payload;
  if (auto s = write_payload(writer, payload, *messages, rows.messages); !s) return s;
  for (const Part& part : table_parts(rows, layout, image.table_offsets)) {
    if (auto s = write_part(writer, part, {}, {}); !s) return s;
  }
  return {};
}

Result<Datasets> FullCopy::write() {
  if (auto status = collect(); !status) return status;
  EpochInfo info = reader_.info();
  static_cast<DataForm&>(info) = {};
  const Layout layout{reader_.entries(), reader_.entries().size(), totals_};
  auto image = layout.make_image(info, Layout::Content::everything);
  if (!image) return image.status();
  if (auto s = create_state_file(path_, image->file.size()); !s) return s;
  if (auto s = complete_state_file(path_, *image, image->file.size()); !s) return s;
  auto writer = BulkWriter::open(path_);
  if (!writer) return writer.status();
  for (RankRows& rows : rows_) {
    if (auto s = write_rank(*writer, layout, *image, rows); !s) return s;
    crash_point("compact_half_written");
  }
  if (auto s = writer->sync(); !s) return s;
  if (auto s = writer->close(); !s) return s;
  return image->datasets;
}

/// Of an epoch's HDF5 files. What can't be removed takes room, no more.
void remove_all_but(const std::filesystem::path& directory, const std::string& state) {
  std::vector<std::filesystem::path> others;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator{directory, error}) {
    if (file.path().extension() == ".h5" && file.path().filename() != state) {
      others.push_back(file.path());
    }
  }
  for (const auto& other : others) std::filesystem::remove(other, error);
}

}  // namespace

Result<Datasets> write_full_copy(const StateReader& reader, const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(path, error))) {
    return Status{Code::invalid_argument, fmt::format("{}: exists already", path.native())};
  }
  auto datasets = FullCopy{reader, path}.write();
  if (!datasets) std::filesystem::remove(path, error);
  return datasets;
}

Result<EpochInfo> compact_epoch(const Store& store, std::uint64_t epoch) {
  const std::filesystem::path directory = store.epoch_path(epoch);
  auto record = read_commit_record(directory);
  if (!record) return record.status();
  const bool plain = !record->info.parent && record->info.compression == "none";
  if (plain && record->nodes.empty()) {
    remove_all_but(directory, record->state.name);  // left behind when this was interrupted
    return record->info;
  }
  const auto reader = StateReader::open(directory);
  if (!reader) return reader.status();
  // Of two names one is free: what COMMIT.json does not name is a leftover.
  const bool compacted = record->state.name == compacted_file;
  const std::filesystem::path path =
      directory / (compacted ? std::string{state_file} : std::string{compacted_file});
  std::error_code error;
  std::filesystem::remove(path, error);
  const auto datasets = write_full_copy(*reader, path);
  if (!datasets) return datasets.status();
  auto index = index_state(path, *datasets);
  if (!index) return index.status();

  crash_point("compact_written");
  CommitRecord merged{record->info, std::move(*index), {}};
  DataForm form;
  form.state_bytes = form.changed_bytes = record->info.state_bytes;
  static_cast<DataForm&>(merged.info) = form;
  if (merged.info.id == 0) merged.info.id = random_id();  // of an older format
  merged.info.bytes = merged.state.bytes;
  if (auto s = write_atomically(directory / commit_file, format_commit(merged)); !s) return s;
  crash_point("compact_committed");
  if (auto again = read_commit_record(directory); !again) return again.status();
  remove_all_but(directory, merged.state.name);
  return merged.info;
}

}  // namespace cairn::io
