// Settings of a session. Each can be overridden by the environment variable named beside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace cairn {

/// When a checkpoint is due.
struct Interval {
  enum class Kind { off, seconds, every };
  Kind kind = Kind::seconds;
  double seconds = 60;      ///< Kind::seconds: time between two checkpoints
  std::uint64_t every = 0;  ///< Kind::every: at each safe point whose index is a multiple of this

  static Interval off() { return {Kind::off, 0, 0}; }
  static Interval every_seconds(double value) { return {Kind::seconds, value, 0}; }
  static Interval every_safe_points(std::uint64_t value) { return {Kind::every, 0, value}; }
};

/// Which checkpoint restart() uses.
struct RestartFrom {
  enum class Kind { automatic, never, epoch };
  Kind kind = Kind::automatic;  ///< automatic: the newest one that all ranks can validate
  std::uint64_t epoch = 0;      ///< Kind::epoch: this one and no other
};

struct Options {
  std::string directory = "cairn";    ///< CAIRN_DIR: the checkpoint directory
  Interval interval;                  ///< CAIRN_INTERVAL=<seconds>|every:<N>|off
  RestartFrom restart;                ///< CAIRN_RESTART=auto|never|<epoch>
  int keep = 3;                       ///< CAIRN_KEEP: newest checkpoints that are kept, ≥ 1
  std::string log_level = "warning";  ///< CAIRN_LOG=off|error|warning|info|debug
  /// CAIRN_PROTOCOL=chandy-lamport|coordinated. chandy-lamport: the program goes on while its
  /// checkpoint is taken and written; coordinated: all ranks stop for it.
  std::string protocol = "chandy-lamport";
  /// CAIRN_CUT=aligned|marker, for chandy-lamport. aligned: all ranks cut at the same safe point.
  /// marker: rank 0 cuts at its next safe point, the others at theirs, or in a SafeRegion, when
  /// they hear of it; for programs whose ranks pass different numbers of safe points.
  std::string cut = "aligned";
  /// CAIRN_DRIVER=direct|mpiio: how ranks write; the file is the same. direct: each rank by itself
  /// at its place in the file. mpiio, always with the protocol coordinated: through MPI-IO,
  /// collectively where a rank's part is scattered in the file, for file systems that want few
  /// large requests; Open MPI's may hang when opening the file fails on some ranks only.
  std::string driver = "direct";
  /// CAIRN_LAYOUT=shared|per-node|group:<ranks>. shared: one file, state.h5. per-node: the data of
  /// the ranks on a node is in a file of the node's, of which state.h5 has virtual datasets: for
  /// file systems where many nodes that write one file are slow. group:<ranks>: so many consecutive
  /// ranks share a file, wherever they are. Not with the driver mpiio. A restart may use another
  /// layout.
  std::string layout = "shared";
  /// CAIRN_INCREMENTAL=auto|pagemap|hash|off: a checkpoint holds what has changed since the one
  /// before. pagemap: the kernel notes which pages are written to. hash: everything is copied, and
  /// compared in the background. auto: what costs less, for each region. off: checkpoints hold
  /// everything. One of which most has changed is always full, and a program whose state is smaller
  /// than 1 MiB on each rank has only full ones.
  std::string incremental = "auto";
  /// CAIRN_FULL_EVERY=auto|<N>: every N-th checkpoint is full. 0, auto: when those since the last
  /// full one would make a restart, or the directory, too large.
  std::uint64_t full_every = 0;
  /// CAIRN_COMPRESS=none|lz4|zstd|zstd:<1 to 19>: what checkpoints hold is compressed in the
  /// background. Full ones, too: only `cairn export` makes plain HDF5 files of them.
  std::string compress = "none";
  /// CAIRN_PATIENCE=<seconds>: longest time that a rank waits at a cut for the others before the
  /// epoch is given up and the program goes on.
  double patience_seconds = 60;
  /// CAIRN_STORE_LIMIT=<MiB>: most memory for messages drained while waiting; past it the epoch is
  /// given up.
  std::uint64_t store_limit_mib = 1024;
  /// CAIRN_STAGING_LIMIT=<MiB>: most memory of a rank for a copy of its state, which is written
  /// while the program goes on. When that does not do, or the node has less, the program waits
  /// instead.
  std::uint64_t staging_limit_mib = std::uint64_t{1} << 30U;
  /// CAIRN_PENDING_REQUESTS=refuse|repost. What happens when sends or receives that are not
  /// protected are pending at a safe point. refuse: no checkpoint is taken there. repost: one is;
  /// the program knows after a restart which there were, and calls MPI_Irecv again for each receive
  /// that it had not yet seen complete, in the same order. Their messages, and those of its pending
  /// sends, are in the checkpoint.
  std::string pending_requests = "refuse";
  /// Name compared at a restart, so that one program never continues from another's checkpoint.
  /// Empty: the name of the executable.
  std::string application;
};

}  // namespace cairn
