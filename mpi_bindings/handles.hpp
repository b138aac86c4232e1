// Handles of Cairn's own that the program holds in place of MPI's: a request or a matched message
// may have to change what it stands for in MPI while the program waits for it.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <type_traits>

namespace cairn::mpi {

/// Objects of type T that are used again and again: no allocation but to grow. Each has a handle
/// of type Handle, an address with its lowest bit set, which no handle of MPI's has; and a number
/// for Fortran. T has members `index`, `in_use`, `next_free`.
template <class T, class Handle>
class Pool {
  static_assert(std::is_pointer_v<Handle>, "made for Open MPI, whose handles are addresses");

 public:
  T& take() {
    if (free_ == nullptr) [[unlikely]]
      grow();
    return take_next();
  }
  /// What take() would return without making more; nullptr when there is none.
  T* next() const { return free_; }
  /// Takes that.
  T& take_next() {
    T& taken = *free_;
    free_ = taken.next_free;
    taken.in_use = true;
    return taken;
  }
  void put(T& item) {
    item.in_use = false;
    item.next_free = free_;
    free_ = &item;
  }

  static Handle handle(T& item) {
    return reinterpret_cast<Handle>(reinterpret_cast<char*>(&item) + 1);
  }
  /// What `handle` stands for; nullptr when it is one of MPI's.
  static T* find(Handle handle) {
    if ((reinterpret_cast<std::uintptr_t>(handle) & 1U) == 0) return nullptr;
    return reinterpret_cast<T*>(reinterpret_cast<char*>(handle) - 1);
  }

  static constexpr MPI_Fint first_fortran_handle = 1 << 30;
  static MPI_Fint fortran_handle(const T& item) {
    return first_fortran_handle + static_cast<MPI_Fint>(item.index);
  }
  /// nullptr when it is one of MPI's.
  T* find_fortran(MPI_Fint handle) {
    if (handle < first_fortran_handle) return nullptr;
    const auto index = static_cast<std::size_t>(handle - first_fortran_handle);
    return index < items_.size() ? &items_[index] : nullptr;
  }

  template <class Visit>
  void for_each(Visit&& visit) {
    for (auto& item : items_) {
      if (item.in_use) visit(item);
    }
  }

  /// Items on their way back to the pool, which are in use again if they never get there.
  class Returning {
   public:
    explicit Returning(const Pool& pool) : was_free_(pool.free_), first_(pool.free_) {}
    void add(T& item) {
      item.in_use = false;
      item.next_free = first_;
      first_ = &item;
    }

   private:
    friend Pool;
    T* was_free_;
    T* first_;
  };
  void put(const Returning& items) {
    T* first = items.first_;
    if (free_ != items.was_free_) [[unlikely]] {
      T** link = &first;
      while (*link != items.was_free_) link = &(*link)->next_free;
      *link = free_;
    }
    free_ = first;
  }

 private:
  void grow() {
    for (int i = 0; i < 64; ++i) {
      T& made = items_.emplace_back();
      made.index = static_cast<std::uint32_t>(items_.size() - 1);
      put(made);
    }
  }

  std::deque<T> items_;
  T* free_ = nullptr;
};

}  // namespace cairn::mpi
