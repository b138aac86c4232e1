#include "io/state_write.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <thread>

#include "base/checksum.hpp"
#include "base/crash_point.hpp"
#include "io/files.hpp"
#include "io/geometry.hpp"
#include "io/names.hpp"
#include "io/part_writing.hpp"
#include "io/state_file.hpp"
#include "io/table_parts.hpp"

namespace cairn::io {
namespace {

std::string describe(const EntryRow& row) {
  const std::span shape{row.global_shape, static_cast<std::size_t>(row.dims)};
  return fmt::format("'{}' ({}, {} bytes per element, global shape [{}])", row.name,
                     element_type_name(static_cast<ElementType>(row.type)), row.element_bytes,
                     fmt::join(shape, ", "));
}

std::string_view text_of(const std::vector<EntryRow>& rows) {
  return {reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(EntryRow)};
}

Status open_file(std::optional<BulkWriter>& writer, const std::filesystem::path& path) {
  auto opened = BulkWriter::open(path);
  if (!opened) {
    return {Code::io_error,
            fmt::format("{}: the checkpoint directory must be on a file system that all nodes "
                        "share",
                        opened.status().message())};
  }
  writer.emplace(std::move(*opened));
  return {};
}

/// What distinguishes this rank's entries from rank 0's.
Status difference(const std::vector<EntryRow>& mine, std::string_view text_of_root) {
  std::vector<EntryRow> theirs(text_of_root.size() / sizeof(EntryRow));
  if (!theirs.empty()) std::memcpy(theirs.data(), text_of_root.data(), text_of_root.size());
  std::size_t i = 0;
  while (i < mine.size() && i < theirs.size() &&
         std::memcmp(&mine[i], &theirs[i], sizeof(EntryRow)) == 0) {
    ++i;
  }
  if (i == mine.size() && i == theirs.size()) return {};
  const auto name = [i](const auto& rows) {
    return i < rows.size() ? describe(rows[i]) : "nothing more";
  };
  return {Code::invalid_argument,
          fmt::format("entry {} is {}, on rank 0 {}: every rank must protect the same names, types "
                      "and global shapes in the same order",
                      i, name(mine), name(theirs))};
}

}  // namespace

StateWrite::StateWrite(MPI_Comm comm, std::filesystem::path path, EpochInfo info, Options options)
    : all_(comm), path_(std::move(path)), info_(std::move(info)), options_(std::move(options)) {
  if (options_.group.has_file()) {
    node_ = std::make_unique<NonblockingCollective>(options_.group.comm);
    node_path_ = path_.parent_path() / node_file_name(options_.group.number);
  }
  if (options_.driver != WriteDriver::mpiio) return;
  if (node_ != nullptr) {
    note({Code::invalid_argument, "the driver mpiio can't write a file for each node"});
  } else if (options_.blocking) {
    mpiio_.emplace(comm, path_);
  } else {
    note({Code::invalid_argument, "the driver mpiio can't write while the program goes on"});
  }
}

// ---- What the caller gives ----------------------------------------------------------------------

void StateWrite::begin(std::vector<Entry> entries, std::vector<Slab> slabs,
                       FindChanges find_changes) {
  entries_ = std::move(entries);
  slabs_ = std::move(slabs);
  slabs_in_use_ = true;
  begun_ = true;
  attempt([this]() -> Status {
    auto rows = RankRows::of_data(all_.rank(), entries_, slabs_);
    if (rows) rows_ = std::move(*rows);
    return rows.ok() ? Status{} : rows.status();
  });
  if (!find_changes || !local_) return;
  thread_.post([this, find = std::move(find_changes)](const std::stop_token& cancelled) {
    auto found = find(cancelled);
    if (found) found_ = std::move(*found);
    return found.ok() ? Status{} : found.status();
  });
}

void StateWrite::finish(std::vector<ChannelCounter> counters, std::vector<Message> messages,
                        std::vector<Communicator> communicators) {
  messages_ = std::move(messages);
  finished_ = true;
  attempt([&] { return rows_.add_channels(counters, messages_, communicators); });
}

void StateWrite::fail(Status why) {
  if (step_ > Step::vote && step_ != Step::report) return;
  note(std::move(why));
  thread_.cancel();  // nobody will want what it writes
}

std::uint64_t StateWrite::written_bytes() const {
  return (writer_ ? writer_->written_bytes() : 0) +
         (index_writer_ ? index_writer_->written_bytes() : 0);
}

void StateWrite::note(Status status) {
  if (local_) local_ = std::move(status);
}

void StateWrite::attempt(const std::function<Status()>& work) {
  try {
    note(work());
  } catch (const std::exception& error) {
    note({Code::io_error, fmt::format("can't write a checkpoint: {}", error.what())});
  }
}

// ---- The steps ----------------------------------------------------------------------------------

bool StateWrite::poll() {
  while (step_ != Step::over) {
    if (!all_.test() || (node_ != nullptr && !node_->test()) || !may_begin(step_)) return false;
    step_ = run(step_);
  }
  return thread_.idle();
}

void StateWrite::wait() {
  if (thread_.idle()) {
    std::this_thread::yield();
  } else {
    thread_.wait(std::chrono::milliseconds(1));
  }
}

/// Whether what the step needs, apart from the step before, is there.
bool StateWrite::may_begin(Step step) const {
  switch (step) {
    case Step::compare_entries: return (begun_ || !local_) && thread_.idle();
    case Step::place_channels: return finished_ || !local_;
    case Step::place_slabs:
    case Step::share_data_offsets:
    case Step::share_node_offsets:
    case Step::share_table_offsets:
    case Step::vote:
    case Step::share_outcome:
    case Step::conclude: return thread_.idle();
    default: return true;
  }
}

/// Returns the next step.
StateWrite::Step StateWrite::run(Step step) {
  switch (step) {
    case Step::compare_entries: return compare_entries();
    case Step::choose_form: return choose_form();
    case Step::place_slabs: return place_slabs();
    case Step::explain_difference: return explain_difference();
    case Step::lay_out_data: return lay_out_data();
    case Step::share_data_offsets: return share_data_offsets();
    case Step::lay_out_node: return lay_out_node();
    case Step::share_node_offsets: return share_node_offsets();
    case Step::write_data: return write_data();
    case Step::place_channels: return place_channels();
    case Step::lay_out_tables: return lay_out_tables();
    case Step::share_table_offsets: return share_table_offsets();
    case Step::write_tables: return write_tables();
    case Step::vote: return vote();
    case Step::publish: return publish();
    case Step::share_outcome: return share_outcome();
    case Step::report: return report();
    case Step::conclude: return conclude();
    case Step::remove_file: return remove_file();
    case Step::over: break;
  }
  return Step::over;
}

/// The lowest rank that has failed, if any; whether all have the same entries: the smallest
/// checksum is then also the largest; and whether all had rather write everything.
StateWrite::Step StateWrite::compare_entries() {
  note(thread_.take_status());
  const std::uint64_t sum = checksum(std::as_bytes(std::span{rows_.entries}));
  const int first_failed = local_ ? all_.size() : all_.rank();
  all_.min({static_cast<std::uint64_t>(first_failed), sum, ~sum,
            found_.nearly_everything ? std::uint64_t{1} : 0});
  return Step::choose_form;
}

StateWrite::Step StateWrite::choose_form() {
  const auto& least = all_.values();
  if (least[0] < static_cast<std::uint64_t>(all_.size())) return Step::report;
  if (least[1] != ~least[2]) {
    all_.broadcast(std::string{text_of(rows_.entries)}, 0);
    return Step::explain_difference;
  }
  if (least[3] != 0) info_.parent.reset();
  if (!info_.parent) info_.parent_id = 0;
  info_.compression = codec_name(options_.compression.codec);
  by_changes_ = info_.parent || options_.compression.on();
  if (!by_changes_) return Step::place_slabs;
  if (!info_.parent) found_.changes = everything(entries_, slabs_);
  if (options_.compression.on()) {
    compressor_.emplace(options_.compression);
    thread_.post(
        [this](const auto& cancelled) { return compressor_->compress(found_.changes, cancelled); });
  }
  return Step::place_slabs;
}

StateWrite::Step StateWrite::place_slabs() {
  note(thread_.take_status());
  stored_ = boxed_ = entries_;
  std::vector<Slab> boxed_slabs = slabs_;
  if (by_changes_) {
    rows_.keep_changes(found_.changes);
    stored_ = {changes_entry()};
    boxed_.push_back(changes_entry());
    boxed_slabs.push_back({nullptr, rows_.delta.bytes, {}, {}});
  }
  Amounts mine = rows_.amounts();
  if (info_.parent) mine[Amounts::chain] = found_.chain_bytes;
  all_.sum({mine.data().begin(), mine.data().end()});
  auto boxes = RankBoxes::pack(boxed_, boxed_slabs, options_.group);
  if (!boxes.empty()) all_.gather(std::move(boxes));
  if (node_ != nullptr) node_->sum(rows_.stored_elements());
  return Step::lay_out_data;
}

StateWrite::Step StateWrite::explain_difference() {
  attempt([this] { return difference(rows_.entries, all_.text()); });
  return Step::report;
}

/// Rank 0 makes a file with room for the data.
StateWrite::Step StateWrite::lay_out_data() {
  Amounts before{stored_.size()};
  std::copy(all_.before().begin(), all_.before().end(), before.data().begin());
  rows_.place_data(before);
  totals_ = Amounts{stored_.size()};
  std::copy(all_.total().begin(), all_.total().end(), totals_.data().begin());
  info_.state_bytes = totals_[Amounts::state];
  info_.chain_bytes = totals_[Amounts::chain];
  info_.changed_bytes = info_.parent ? totals_[Amounts::changed] : totals_[Amounts::state];
  layout_.emplace(stored_, entries_.size(), totals_,
                  node_ != nullptr ? DataPlace::nodes : DataPlace::state);
  if (node_ != nullptr) rows_.place_in_node(options_.group.number, node_->before());
  if (is_root()) {
    attempt([this]() -> Status {
      boxes_.emplace(boxed_, all_.gathered(), static_cast<std::size_t>(all_.size()),
                     node_ != nullptr);
      if (auto status = boxes_->check(); !status) return status;
      if (auto status = make_image(Layout::Content::data); !status) return status;
      reserved_bytes_ = image_.file.size();
      thread_.post([this](const auto&) {
        const Status prepared = options_.prepare ? options_.prepare() : Status{};
        return prepared ? create_state_file(path_, reserved_bytes_) : prepared;
      });
      return {};
    });
  }
  return Step::share_data_offsets;
}

/// `count` offsets, or word that this rank, which should know them, has failed.
std::vector<std::uint64_t> StateWrite::offsets_to_share(const std::vector<std::uint64_t>& offsets,
                                                        std::size_t count) {
  note(thread_.take_status());
  std::vector<std::uint64_t> values{local_ ? std::uint64_t{1} : 0};
  values.insert(values.end(), offsets.begin(), offsets.end());
  values.resize(count + 1);
  return values;
}

/// Rank 0's.
StateWrite::Step StateWrite::share_data_offsets() {
  all_.broadcast(offsets_to_share(image_.entry_offsets, stored_.size()), 0);
  return node_ != nullptr ? Step::lay_out_node : Step::write_data;
}

/// Now the directory is there.
StateWrite::Step StateWrite::lay_out_node() {
  if (all_.values()[0] == 0) return Step::report;
  if (leads_node()) {
    attempt([this]() -> Status {
      if (!local_) return {};
      auto image = make_node_image(info_, options_.group.number, stored_, node_->total());
      if (!image) return image.status();
      node_image_ = std::move(*image);
      node_file_made_ = true;
      thread_.post([this](const auto&) { return make_node_file(node_image_); });
      return {};
    });
  }
  return Step::share_node_offsets;
}

/// Those of the node's first rank. When it has failed, the others of the node go on without writing
/// data: all ranks will hear of it together.
StateWrite::Step StateWrite::share_node_offsets() {
  node_elements_ = node_->total();
  node_->broadcast(offsets_to_share(node_image_.entry_offsets, stored_.size()), 0);
  return Step::write_data;
}

StateWrite::Step StateWrite::write_data() {
  const auto& shared = node_ != nullptr ? node_->values() : all_.values();
  if (shared[0] == 0) return node_ != nullptr ? Step::place_channels : Step::report;
  attempt([&]() -> Status {
    take_offsets(shared);
    make_data_parts();
    return {};
  });
  if (mpiio_) {
    note(write_data_collectively());
  } else if (local_) {
    thread_.post([this](const auto& cancelled) { return write_data_directly(cancelled); });
  }
  return Step::place_channels;
}

StateWrite::Step StateWrite::place_channels() {
  note(thread_.take_status());
  Amounts mine = rows_.amounts();
  std::vector<std::uint64_t> values{mine.channels().begin(), mine.channels().end()};
  values.push_back(local_ ? 0 : 1);
  all_.sum(std::move(values));
  if (node_ != nullptr) all_.gather(pack_node_index());
  return Step::lay_out_tables;
}

/// Rank 0 makes room for the tables and writes HDF5's metadata.
StateWrite::Step StateWrite::lay_out_tables() {
  if (all_.total().back() != 0) return Step::report;
  const auto take = [](std::span<std::uint64_t> to, const std::vector<std::uint64_t>& from) {
    std::copy_n(from.begin(), to.size(), to.begin());
  };
  Amounts before{stored_.size()};
  take(before.channels(), all_.before());
  rows_.place_channels(before);
  take(totals_.channels(), all_.total());
  layout_.emplace(stored_, entries_.size(), totals_,
                  node_ != nullptr ? DataPlace::nodes : DataPlace::state);
  if (is_root()) {
    attempt([this]() -> Status {
      if (node_ != nullptr) unpack_node_indexes(all_.gathered());
      const auto offsets = image_.entry_offsets;
      if (auto status = make_image(Layout::Content::everything); !status) return status;
      if (offsets != image_.entry_offsets) {
        return {Code::io_error, "HDF5 lays the same data out differently when there are tables"};
      }
      thread_.post(
          [this](const auto&) { return complete_state_file(path_, image_, reserved_bytes_); });
      return {};
    });
  }
  return Step::share_table_offsets;
}

/// Rank 0's.
StateWrite::Step StateWrite::share_table_offsets() {
  std::vector<std::uint64_t> offsets{image_.table_offsets.begin(), image_.table_offsets.end()};
  offsets.push_back(image_.payload_offset);
  all_.broadcast(offsets_to_share(offsets, table_count + 1), 0);
  return Step::write_tables;
}

StateWrite::Step StateWrite::write_tables() {
  if (all_.values()[0] == 0) return Step::report;
  attempt([this]() -> Status {
    take_offsets(all_.values());
    const auto tables = table_parts(rows_, *layout_, std::span{offsets_}.subspan(stored_.size()));
    parts_.insert(parts_.end(), tables.begin(), tables.end());
    return {};
  });
  if (mpiio_) note(write_tables_collectively());
  if (local_) {
    thread_.post([this](const auto& cancelled) {
      return mpiio_ ? sync() : write_tables_directly(cancelled);
    });
  }
  return Step::vote;
}

StateWrite::Step StateWrite::vote() {
  note(thread_.take_status());
  if (node_ != nullptr) note(node_->error());
  all_.agree(local_);
  return Step::publish;
}

/// The decision is rank 0's alone from here on.
StateWrite::Step StateWrite::publish() {
  if (!all_.agreed() || !options_.publish) return Step::conclude;
  if (is_root()) {
    thread_.post([this](const auto&) {
      return options_.publish(info_, {image_.datasets, std::move(node_indexes_)});
    });
  }
  return Step::share_outcome;
}

StateWrite::Step StateWrite::share_outcome() {
  all_.agree(thread_.take_status());
  return Step::conclude;
}

StateWrite::Step StateWrite::report() {
  note(thread_.take_status());
  thread_.cancel();
  if (mpiio_) note(mpiio_->close());
  all_.agree(local_);
  return Step::conclude;
}

/// Nobody writes any more: after a failure the ranks meet, so that the files can go.
StateWrite::Step StateWrite::conclude() {
  status_ = all_.agreed();
  if (status_) return Step::over;
  all_.barrier();
  return Step::remove_file;
}

StateWrite::Step StateWrite::remove_file() {
  static_cast<void>(thread_.take_status());
  thread_.post([this](const auto&) {
    if (reserved_bytes_ > 0) ::unlink(path_.c_str());
    if (node_file_made_) ::unlink(node_path_.c_str());
    return Status{};
  });
  return Step::over;
}

// ---- Their parts --------------------------------------------------------------------------------

Status StateWrite::make_image(Layout::Content content) {
  auto image = layout_->make_image(info_, content, &*boxes_);
  if (!image) return image.status();
  image_ = std::move(*image);
  return {};
}

void StateWrite::take_offsets(const std::vector<std::uint64_t>& shared) {
  offsets_.insert(offsets_.end(), shared.begin() + 1, shared.end());
}

/// What rank 0 has to know of a node's file, from the rank that made it; zeros from the others.
std::vector<std::uint64_t> StateWrite::pack_node_index() const {
  std::vector<std::uint64_t> values{node_index_.bytes, node_index_.metadata_checksum};
  for (const Entry& entry : stored_) {
    const auto dataset = node_index_.datasets.find(dataset_path(entry));
    const Extent extent = dataset != node_index_.datasets.end() ? dataset->second : Extent{};
    values.insert(values.end(), {extent.offset, extent.bytes});
  }
  return values;
}

void StateWrite::unpack_node_indexes(const std::vector<std::uint64_t>& gathered) {
  const auto ranks = static_cast<std::size_t>(all_.size());
  node_indexes_.resize(boxes_->node_count());
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    auto value = gathered.begin() + static_cast<std::ptrdiff_t>(rank * (gathered.size() / ranks));
    if (*value == 0) continue;
    StateIndex& index = node_indexes_[boxes_->node(rank)];
    index.name = node_file_name(boxes_->node(rank));
    index.bytes = *value++;
    index.metadata_checksum = *value++;
    for (const Entry& entry : stored_) {
      Extent& extent = index.datasets[dataset_path(entry)];
      extent.offset = *value++;
      extent.bytes = *value++;
    }
  }
}

void StateWrite::make_data_parts() {
  for (std::size_t i = 0; i < stored_.size(); ++i) {
    const Entry& entry = stored_[i];
    Part part{
        dataset_path(entry), offsets_[i], entry.element_bytes, layout_->shape(i), {}, {}, nullptr};
    if (!by_changes_) {
      part.offset = slabs_[i].offset;
      part.shape = slabs_[i].shape;
      part.data = slabs_[i].data;
    }
    if (node_ != nullptr) part.global = {node_elements_[i]};
    if (node_ != nullptr || entry.global_shape.empty()) {
      const std::uint64_t start = by_changes_ ? rows_.delta.start : rows_.slabs[i].start;
      part.offset = {node_ != nullptr ? rows_.places[i].start : start};
      part.shape = {rows_.stored_elements()[i]};
    }
    parts_.push_back(std::move(part));
  }
}

// ---- In the thread ------------------------------------------------------------------------------

/// The node's file, complete but for the data.
Status StateWrite::make_node_file(const StateImage& image) {
  const std::uint64_t bytes = image.file.size();
  if (auto status = create_state_file(node_path_, bytes); !status) return status;
  if (auto status = complete_state_file(node_path_, image, bytes); !status) return status;
  auto index = index_node(node_path_, image.datasets);
  if (!index) return index.status();
  node_index_ = std::move(*index);
  return {};
}

Status StateWrite::write_data_directly(const std::stop_token& cancelled) {
  if (auto s = open_file(writer_, node_ != nullptr ? node_path_ : path_); !s) return s;
  crash_point("file_created");
  if (by_changes_) {
    const std::uint64_t offset = parts_[0].file_offset + parts_[0].offset[0];
    if (auto s = write_changes(*writer_, offset, found_.changes, rows_.changes, cancelled); !s) {
      return s;
    }
  }
  for (std::size_t i = 0; !by_changes_ && i < entries_.size(); ++i) {
    if (i == entries_.size() / 2) crash_point("half_written");
    if (auto s = write_part(*writer_, parts_[i], rows_.blocks_of(i), cancelled); !s) return s;
  }
  slabs_in_use_.store(false, std::memory_order_release);
  return {};
}

Status StateWrite::write_tables_directly(const std::stop_token& cancelled) {
  if (node_ != nullptr) {
    if (auto s = open_file(index_writer_, path_); !s) return s;
  }
  BulkWriter& writer = index_writer_ ? *index_writer_ : *writer_;
  // First: it completes the rows of the messages.
  if (auto s =
          write_payload(writer, offsets_.back() + rows_.first_payload, messages_, rows_.messages);
      !s) {
    return s;
  }
  for (std::size_t i = stored_.size(); i < parts_.size(); ++i) {
    if (auto s = write_part(writer, parts_[i], {}, cancelled); !s) return s;
  }
  crash_point("written");
  if (auto s = writer_->sync(); !s) return s;
  if (auto s = index_writer_ ? index_writer_->sync() : Status{}; !s) return s;
  crash_point("data_synced");
  if (auto s = writer_->close(); !s) return s;
  if (auto s = index_writer_ ? index_writer_->close() : Status{}; !s) return s;
  crash_point("closed");
  return {};
}

/// Each rank's own writes, so that nobody need wait for the others of its node.
Status StateWrite::sync() {
  auto file = File::open(path_, O_WRONLY);
  if (!file) return file.status();
  if (auto status = file->sync(); !status) return status;
  crash_point("data_synced");
  return file->close();
}

// ---- With the driver mpiio ----------------------------------------------------------------------

Status StateWrite::write_data_collectively() {
  if (auto status = mpiio_->open(local_); !status) return status;
  crash_point("file_created");
  std::vector<std::byte> packed;
  if (by_changes_) {
    packed = pack_changes(found_.changes, rows_.changes);
    parts_[0].data = packed.data();
  }
  for (std::size_t i = 0; !by_changes_ && i < entries_.size(); ++i) {
    sum_blocks(parts_[i], rows_.blocks_of(i));
  }
  return mpiio_->write(parts_);
}

Status StateWrite::write_tables_collectively() {
  std::vector<std::byte> payload;
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    rows_.messages[i].checksum = checksum(messages_[i].bytes);
    payload.insert(payload.end(), messages_[i].bytes.begin(), messages_[i].bytes.end());
  }
  std::vector<Part> parts{parts_.begin() + static_cast<std::ptrdiff_t>(stored_.size()),
                          parts_.end()};
  parts.push_back({payload_dataset,
                   offsets_.back(),
                   1,
                   {layout_->payload_bytes()},
                   {rows_.first_payload},
                   {payload.size()},
                   payload.data()});
  Status status = mpiio_->write(parts);
  crash_point("written");
  const Status closed = mpiio_->close();
  return status ? closed : status;
}

}  // namespace cairn::io
