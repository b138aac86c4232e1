// Writes an epoch's files, all ranks together, while the program goes on computing and
// communicating.
#pragma once

#include <mpi.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include <cairn/status.hpp>

#include "base/background_thread.hpp"
#include "io/bulk_writer.hpp"
#include "io/changes.hpp"
#include "io/compression.hpp"
#include "io/layout.hpp"
#include "io/mpiio_writer.hpp"
#include "io/node_group.hpp"
#include "io/nonblocking.hpp"
#include "io/part.hpp"
#include "io/rank_boxes.hpp"
#include "io/rank_rows.hpp"
#include "io/records.hpp"
#include "io/state_writer.hpp"

namespace cairn::io {

/// One epoch's state file, and the file of each node when the nodes have one: then the data goes
/// there, and the index and the channels into the state file. All ranks make one; each gives its
/// data (begin), later its channels (finish), or says that it can't (fail), when it has come so
/// far; and all call poll() now and then until it says true. No call blocks, or waits for another
/// rank. The data is written by a thread of this object's own, which calls neither MPI nor HDF5;
/// all calls here are made by one thread, that which may call MPI and HDF5.
///
/// The ranks go through the same steps in the same order, whatever fails on one of them: a failure
/// is carried to the next step in which they compare notes. Then all end with the same status, and
/// no file exists.
class StateWrite {
 public:
  struct Options {
    WriteDriver driver = WriteDriver::direct;
    /// Every rank calls begin, finish and poll() in a row and does nothing else until that has said
    /// true. Only then `driver` may be mpiio.
    bool blocking = false;
    /// Its comm is used for nothing else meanwhile. Not with mpiio.
    NodeGroup group = {};
    Compression compression = {};
    /// On rank 0, in its thread, before the file is created: may make its directory.
    std::function<Status()> prepare = nullptr;
    /// On rank 0, in its thread, when every rank has written its part and none has failed: may make
    /// the epoch exist. status() is then what this returns, on every rank.
    std::function<Status(const DataForm&, const WrittenFiles&)> publish = nullptr;
  };

  /// Local. `comm` is unmanaged and used for nothing else meanwhile; rank i of it is rank i of
  /// MPI_COMM_WORLD. `path` and `info` are the same on every rank; `path` must not exist, but its
  /// directory, when rank 0 calls begin() (or after options.prepare). info's bytes, committed_at
  /// and messages_in_flight are not used, but its parent says whether the epoch may be a delta. The
  /// functions in `options` call neither MPI nor HDF5.
  StateWrite(MPI_Comm comm, std::filesystem::path path, EpochInfo info, Options options);
  StateWrite(MPI_Comm comm, std::filesystem::path path, EpochInfo info)
      : StateWrite(comm, std::move(path), std::move(info), Options{}) {}
  StateWrite(const StateWrite&) = delete;
  StateWrite& operator=(const StateWrite&) = delete;
  /// Not before poll() has said true, but at the end of the process; waits for the thread.
  ~StateWrite() = default;

  /// At the cut. The slabs' memory, and that of the changes, stays as it is until slabs_in_use() is
  /// false. Local, quick. `find_changes`: needed when info has a parent. The epoch is full if all
  /// ranks find that nearly everything has changed: a delta would cost as much.
  void begin(std::vector<Entry> entries, std::vector<Slab> slabs, FindChanges find_changes = {});
  /// After begin(), when what was in the channels is known. Local, quick.
  void finish(std::vector<ChannelCounter> counters, std::vector<Message> messages,
              std::vector<Communicator> communicators);
  /// This rank can't contribute, or wants the epoch to fail: instead of begin() or finish(), or at
  /// any time. The first failure counts. Too late, without effect, once this rank has voted. Local.
  void fail(Status why);

  /// Makes progress. True when all is over on this rank: then status() is there, nothing of the
  /// caller's is in use, and the data is on stable storage or the file is gone.
  bool poll();
  /// Returns when the thread has something new, or soon: for a caller of poll() that has nothing
  /// else to do.
  void wait();

  /// After poll() has said true; the same on every rank. Not ok: what the lowest rank that failed
  /// says, with its number unless it is 0. invalid_argument: an entry is wrong, or differs between
  /// ranks. io_error: no space, or the file system refused.
  const Status& status() const { return status_; }
  /// What the epoch has become; the same on every rank when all is over.
  const DataForm& form() const { return info_; }
  bool slabs_in_use() const {
    return slabs_in_use_.load(std::memory_order_acquire) &&
           !(step_ == Step::over && thread_.idle());
  }
  /// Bytes that this rank has written and seconds that its thread has worked; when all is over.
  std::uint64_t written_bytes() const;
  double writer_seconds() const { return thread_.busy_seconds(); }

 private:
  /// In order. Each uses the result of the collective operation that the one before it started, if
  /// any, and starts the next.
  enum class Step {
    compare_entries,  // once begin() has been called and the thread has found the changes
    choose_form,
    place_slabs,         // once the thread has compressed them
    explain_difference,  // only if the entries differ
    lay_out_data,
    share_data_offsets,  // once rank 0's thread has created the file
    lay_out_node,        // only with a file for each node
    share_node_offsets,  // once the thread of the node's first rank has made the file
    write_data,
    place_channels,  // once finish() has been called
    lay_out_tables,
    share_table_offsets,  // once rank 0's thread has written the metadata
    write_tables,
    vote,  // once everything is on stable storage
    publish,
    share_outcome,  // once rank 0's thread has published the epoch
    report,         // at once when some rank is known to have failed, instead of those before
    conclude,
    remove_file,  // only after a failure
    over
  };

  bool may_begin(Step step) const;
  Step run(Step step);
  Step compare_entries();
  Step choose_form();
  Step place_slabs();
  Step explain_difference();
  Step lay_out_data();
  Step share_data_offsets();
  Step share_table_offsets();
  Step lay_out_node();
  Step share_node_offsets();
  Step write_data();
  Step place_channels();
  Step lay_out_tables();
  Step write_tables();
  Step vote();
  Step publish();
  Step share_outcome();
  Step report();
  Step conclude();
  Step remove_file();

  /// Keep this rank's first failure.
  void note(Status status);
  void attempt(const std::function<Status()>& work);

  bool is_root() const { return all_.rank() == 0; }
  /// Whether this rank makes its node's file.
  bool leads_node() const { return node_ != nullptr && node_->rank() == 0; }
  std::vector<std::uint64_t> offsets_to_share(const std::vector<std::uint64_t>& offsets,
                                              std::size_t count);
  Status make_image(Layout::Content content);
  Status make_node_file(const StateImage& image);
  std::vector<std::uint64_t> pack_node_index() const;
  void unpack_node_indexes(const std::vector<std::uint64_t>& gathered);
  void take_offsets(const std::vector<std::uint64_t>& shared);
  void make_data_parts();
  // In the thread:
  Status write_data_directly(const std::stop_token& cancelled);
  Status write_tables_directly(const std::stop_token& cancelled);
  Status sync();
  // With the driver mpiio:
  Status write_data_collectively();
  Status write_tables_collectively();

  NonblockingCollective all_;
  std::unique_ptr<NonblockingCollective> node_;  // only with a file for each node
  std::filesystem::path path_, node_path_;
  EpochInfo info_;
  Options options_;
  Step step_ = Step::compare_entries;
  bool begun_ = false, finished_ = false;
  std::atomic<bool> slabs_in_use_ = false;
  Status local_;   // this rank's first failure
  Status status_;  // everybody's

  std::vector<Entry> entries_;
  std::vector<Slab> slabs_;
  FoundChanges found_;  // the thread's, while that is not idle
  bool by_changes_ = false;
  std::optional<Compressor> compressor_;
  std::vector<Entry> stored_;  // the entries that have datasets, or what stands for the changes
  std::vector<Entry> boxed_;   // all that are told to rank 0
  std::vector<Message> messages_;
  RankRows rows_;
  Amounts totals_{0};
  std::optional<Layout> layout_;
  std::vector<std::uint64_t> offsets_;        // of what is stored, of the tables and the payload
  std::vector<std::uint64_t> node_elements_;  // of what is stored in this node's file
  std::vector<Part> parts_;                   // likewise, without the payload
  // Rank 0:
  StateImage image_;
  std::uint64_t reserved_bytes_ = 0;  // of the file; 0 until it may exist
  std::optional<RankBoxes> boxes_;
  std::vector<StateIndex> node_indexes_;
  // The first rank of a node:
  StateImage node_image_;
  StateIndex node_index_;  // the thread's, while that is not idle; no bytes until the file is there
  bool node_file_made_ = false;  // it may exist

  std::optional<MpiioWriter> mpiio_;
  // The thread's, while that is not idle: of the data's file, and of state.h5 when that is another.
  std::optional<BulkWriter> writer_, index_writer_;
  BackgroundThread thread_;  // last: joined before the rest goes
};

}  // namespace cairn::io
