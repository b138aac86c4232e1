// A hash map for the per-message path: open addressing, no allocation but to grow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace cairn::mpi {

/// Maps 64-bit keys to small values. References are valid until the next insertion or erasure.
/// Linear probing; erasing moves later entries back, so there are no tombstones to collect.
template <class Value>
class FlatMap {
 public:
  using Key = std::uint64_t;

  Value* find(Key key) {
    if (size_ == 0) return nullptr;
    for (std::size_t i = home(key); slots_[i].used; i = next(i)) {
      if (slots_[i].key == key) return &slots_[i].value;
    }
    return nullptr;
  }

  /// The value of `key`, default-constructed when it is new.
  Value& operator[](Key key) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    std::size_t i = home(key);
    for (; slots_[i].used; i = next(i)) {
      if (slots_[i].key == key) return slots_[i].value;
    }
    slots_[i] = {key, Value{}, true};
    ++size_;
    return slots_[i].value;
  }

  void erase(Key key) {
    if (Value* value = find(key)) erase(value);
  }

  /// Erases what find() has just returned.
  void erase(Value* value) {
    const auto offset = reinterpret_cast<char*>(value) - reinterpret_cast<char*>(slots_.data());
    std::size_t hole = static_cast<std::size_t>(offset) / sizeof(Slot);
    for (std::size_t i = next(hole); slots_[i].used; i = next(i)) {
      const std::size_t wanted = home(slots_[i].key);
      if (((i - wanted) & mask()) < ((i - hole) & mask())) continue;
      slots_[hole] = std::move(slots_[i]);
      hole = i;
    }
    slots_[hole] = Slot{};
    --size_;
  }

  std::size_t size() const { return size_; }

  template <class Visit>
  void for_each(Visit&& visit) {
    for (auto& slot : slots_) {
      if (slot.used) visit(slot.key, slot.value);
    }
  }

 private:
  struct Slot {
    Key key = 0;
    Value value{};
    bool used = false;
  };

  std::size_t mask() const { return slots_.size() - 1; }
  // Handles are addresses: the multiplication spreads their upper bits (Fibonacci hashing).
  std::size_t home(Key key) const { return (key * 0x9E3779B97F4A7C15ULL >> 32) & mask(); }
  std::size_t next(std::size_t i) const { return (i + 1) & mask(); }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : 2 * slots_.size());
    old.swap(slots_);
    size_ = 0;
    for (auto& slot : old) {
      if (slot.used) (*this)[slot.key] = std::move(slot.value);
    }
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace cairn::mpi
