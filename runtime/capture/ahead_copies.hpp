// Copies that were made before the cut, and what of them is still good at the cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "runtime/capture/byte_ranges.hpp"

namespace cairn::capture {

/// A part of the program's memory, and where its copy is or is to be.
struct CopyPiece {
  const std::byte* from = nullptr;
  std::uint64_t bytes = 0;
  std::byte* to = nullptr;  ///< null: no place yet
  bool copied = false;      ///< and nothing has been written to it since
};

/// Local; one thread at a time.
class AheadCopies {
 public:
  void clear() {
    copies_.clear();
    wholes_.clear();
  }
  /// Pieces that overlap no earlier one. `copied`: else it has a place only.
  void add(const CopyPiece& piece) { copies_[piece.from] = piece; }

  /// The pieces of `memory` are one after another at `to`.
  void add_whole(std::span<const std::byte> memory, std::byte* to) {
    wholes_[memory.data()] = {memory.data(), memory.size(), to, false};
  }

  /// How the bytes of `memory` in `ranges` come into a copy: cut where copies begin and end, and
  /// where what is `fresh`, that is written to since, does. In order.
  std::vector<CopyPiece> pieces(std::span<const std::byte> memory, const ByteRanges& ranges,
                                const ByteRanges& fresh) const;
  /// The copy of all of `memory` in one piece, null when there is none.
  std::byte* whole(std::span<const std::byte> memory) const;

 private:
  std::map<const std::byte*, CopyPiece> copies_;
  std::map<const std::byte*, CopyPiece> wholes_;
};

}  // namespace cairn::capture
