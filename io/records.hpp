// What one epoch consists of, in memory: regions and objects, channel state, and who wrote it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <cairn/element_type.hpp>

namespace cairn::io {

/// At most this many dimensions in a global shape.
inline constexpr int max_dimensions = 8;
/// A name has at most this many bytes, and none of them is 0.
inline constexpr std::size_t max_name_bytes = 255;
/// A communicator's label has at most this many bytes.
inline constexpr std::size_t max_label_bytes = 63;
/// Checksums are kept per block of this many bytes of a rank's slab.
inline constexpr std::uint64_t block_bytes = 1 << 20;

/// One named region or object. The same on every rank, in the same order.
struct Entry {
  std::string name;
  ElementType type = ElementType::opaque;
  std::uint32_t element_bytes = 1;
  /// Shape of the whole dataset, in elements. Empty: the ranks' slabs one after another, 1-D.
  std::vector<std::uint64_t> global_shape;

  bool operator==(const Entry&) const = default;
};

/// One rank's part of an entry: contiguous in memory, row-major.
struct Slab {
  const std::byte* data = nullptr;
  std::uint64_t count = 0;  ///< elements
  /// Place and shape within Entry::global_shape (elements); empty when that is empty.
  std::vector<std::uint64_t> offset, shape;
};

/// Numbers that `cairn verify` proves consistency with: what this rank has sent to and received
/// from `peer` on one communicator, cumulative over all restarts, at its cut.
struct ChannelCounter {
  std::uint64_t communicator = 0;
  int peer = 0;  ///< rank in MPI_COMM_WORLD
  std::uint64_t sent = 0;
  std::uint64_t received = 0;

  bool operator==(const ChannelCounter&) const = default;
};

/// A message in flight at the cut, stored by its destination. Messages of a rank are in the order
/// in which they have to be delivered per (communicator, source, tag).
struct Message {
  std::uint64_t communicator = 0;
  int source = 0;       ///< rank in MPI_COMM_WORLD
  int destination = 0;  ///< rank in MPI_COMM_WORLD
  int tag = 0;
  std::vector<std::byte> bytes;  ///< as MPI_PACKED

  bool operator==(const Message&) const = default;
};

/// A communicator that the program had at the cut.
struct Communicator {
  std::uint64_t id = 0;
  std::string label;  ///< at most 63 bytes, e.g. "world.2": the second one made from world
  std::uint32_t size = 0;

  bool operator==(const Communicator&) const = default;
};

/// Everything that one rank contributes to an epoch. `slabs[i]` belongs to `entries[i]`.
struct RankState {
  std::vector<Entry> entries;
  std::vector<Slab> slabs;
  std::vector<ChannelCounter> counters;
  std::vector<Message> messages;
  /// Only those in which this rank is rank 0, so that each is stored once.
  std::vector<Communicator> communicators;
};

/// Identity of a job: what a restart compares.
struct Job {
  std::string application;  ///< program name
  std::vector<std::string> command;
  std::string uuid;
  int ranks = 0;
};

/// How an epoch holds its data, and what it builds on.
struct DataForm {
  /// Epoch that this one builds on: it is a delta, and holds what has changed since. Nothing: it is
  /// full.
  std::optional<std::uint64_t> parent;
  std::uint64_t parent_id = 0;      ///< EpochInfo::id of that
  std::string compression{"none"};  ///< of what it holds: none, lz4, zstd
  std::uint64_t state_bytes = 0;    ///< of all slabs of all ranks
  /// How many of them have changed since the epoch before; state_bytes when that is not known.
  std::uint64_t changed_bytes = 0;
  /// How many have changed since the last full epoch: what a restart reads, apart from that.
  std::uint64_t chain_bytes = 0;

  std::string_view kind() const { return parent ? "delta" : "full"; }
};

/// One epoch, as COMMIT.json describes it.
struct EpochInfo : DataForm {
  std::uint64_t epoch = 0;
  /// A random number that is this epoch's alone, so that a delta can tell what it builds on from
  /// another epoch of the same number; filled by the store. 0: of a format before 3.
  std::uint64_t id = 0;
  std::string protocol;                  ///< "coordinated", …
  std::uint64_t safe_point = 0;          ///< index of the safe point of the cut
  std::uint64_t messages_in_flight = 0;  ///< filled by the store
  double blocked_seconds = 0;            ///< longest time that a rank was kept from computing
  std::uint64_t bytes = 0;               ///< size of all files; filled by the store
  std::string committed_at;              ///< UTC, ISO 8601; filled by the store
  int ranks = 0;
  std::string application;
  std::string uuid;
};

}  // namespace cairn::io
