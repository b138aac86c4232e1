// What the program has protected: memory regions and serialized objects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <cairn/status.hpp>

#include "io/records.hpp"
#include "runtime/capture/byte_ranges.hpp"

namespace cairn::capture {

/// One protected name. Regions have `view` (and `resize` when a restart may change their size),
/// objects have `save` and `load`.
struct Item {
  io::Entry entry;
  std::vector<std::uint64_t> offset, shape;  ///< with a global shape
  std::function<std::span<std::byte>()> view;
  std::function<void(std::size_t count)> resize;
  std::function<void(std::vector<std::byte>& bytes)> save;
  std::function<void(std::span<const std::byte> bytes)> load;
};

/// What of a slab is to be written.
struct Selection {
  bool whole = true;
  ByteRanges ranges;                   ///< of the slab, when not whole; they may touch
  std::vector<const std::byte*> data;  ///< of each range
  bool ahead = false;                  ///< copies may have been made ahead of the cut
  ByteRanges fresh;                    ///< and this has been written to since
};

/// The state of this rank at a safe point, ready to be written: regions are not copied.
struct Capture {
  std::vector<io::Entry> entries;
  std::vector<io::Slab> slabs;
  std::vector<std::vector<std::byte>> objects;  ///< owns the bytes of serialized slabs
  std::vector<std::span<std::byte>> memory;     ///< the program's, or an object's bytes
  std::vector<Selection> selected;              ///< see ChangeTracker; empty: all is whole
};

/// Copies of regions begin at cache lines.
constexpr std::uint64_t staged_size(std::uint64_t bytes) { return (bytes + 63) / 64 * 64; }

class Registry {
 public:
  /// Adds an item, or replaces the one of the same name. invalid_argument: empty or too long name,
  /// a shape that does not fit.
  Status add(Item item);
  const std::vector<Item>& items() const { return items_; }
  /// Null when there is none of that name.
  const Item* find(const std::string& name) const;
  void remove(const std::string& name);

  /// The same on every rank when all protect the same names, types and shapes in the same order.
  std::uint64_t fingerprint() const;

  /// Memory that a copy of all regions takes now (see Staging). Local.
  std::uint64_t staged_bytes() const;

  /// Captures everything. Local. invalid_argument: a vector no longer fits its shape, or an object
  /// could not be serialized; names it.
  Result<Capture> capture() const;
  /// The same without objects: they are empty.
  Result<Capture> capture_regions() const;

 private:
  Result<Capture> capture(bool objects) const;

  std::vector<Item> items_;
};

}  // namespace cairn::capture
