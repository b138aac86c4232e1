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
    T& taken = *free_;
    free_ = taken.next_free;
    taken.in_use = true;
    return taken;
  }
  /// Whether take() would have to make more.
  bool exhausted() const { return free_ == nullptr; }
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

  /// Items on their way back to the pool, which can be kept after all.
  class Chain {
   public:
    Chain() = default;
    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;

    void put(T& item) {
      item.in_use = false;
      *end_ = &item;
      end_ = &item.next_free;
    }
    /// Keeps the first one that `fits`; nullptr when none does.
    template <class Fits>
    T* keep_if(Fits&& fits) {
      for (T** place = &first_; place != end_; place = &(*place)->next_free) {
        T* item = *place;
        if (!fits(*item)) continue;
        if (end_ == &item->next_free) {
          end_ = place;
        } else {
          *place = item->next_free;
        }
        item->in_use = true;
        return item;
      }
      return nullptr;
    }

   private:
    friend Pool;
    T* first_ = nullptr;
    T** end_ = &first_;  ///< where the next one goes; what is there is not set
  };
  void put(Chain& chain) {
    *chain.end_ = free_;
    free_ = chain.first_;
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
