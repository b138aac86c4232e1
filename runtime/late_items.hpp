// What a checkpoint has of names that the program protects only after restart().
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <cairn/status.hpp>

#include "io/records.hpp"
#include "runtime/capture/registry.hpp"

namespace cairn {

/// Whether an item fits what a checkpoint has under its name on `rank`. invalid_argument: says what
/// differs, and what to do.
Status check_item(const capture::Item& item, const io::Entry& stored, std::uint64_t count,
                  int rank);
/// Gives an object its content. corruption: it does not understand it.
Status load_object(const capture::Item& item, const std::vector<std::byte>& bytes);

/// Local.
class LateItems {
 public:
  /// That a checkpoint has this name is no error, although the program has not protected it yet.
  void expect(std::string name) { expected_.insert(std::move(name)); }
  bool expected(const std::string& name) const { return expected_.contains(name); }

  void keep(io::Entry entry, std::vector<std::byte> bytes);
  /// Restores what is protected now, once; ok when there is nothing for it.
  Status restore(const capture::Item& item, int rank);
  /// Names that are there, but have not been protected.
  std::vector<std::string> waiting() const;
  /// Forgets what is kept, not what is expected.
  void clear() { kept_.clear(); }

 private:
  struct Kept {
    io::Entry entry;
    std::vector<std::byte> bytes;
  };
  std::set<std::string> expected_;
  std::map<std::string, Kept> kept_;
};

}  // namespace cairn
