// The memory of one random message, and the request that it travels with.
#pragma once

#include <mpi.h>

#include <memory>
#include <vector>

namespace conformance {

/// `count` ints in memory in one of four layouts that all match a sequence of MPI_INT.
class Buffer {
 public:
  Buffer(int count, int form) : count_(count), form_(form == 3 && count > 1000 ? 0 : form) {
    const int stride = form_ == 1 ? 2 : form_ == 2 ? 3 : 1;
    ints_.assign(static_cast<std::size_t>(count) * static_cast<std::size_t>(stride) + 1,
                 kUntouched);
    elements_ = form_ % 2 ? 1 : count;
    if (form_ == 1) MPI_Type_vector(count, 1, 2, MPI_INT, &type_);
    if (form_ == 2) MPI_Type_create_resized(MPI_INT, 0, 3 * sizeof(int), &type_);
    if (form_ == 3) {
      std::vector<int> backwards(static_cast<std::size_t>(count));
      for (int i = 0; i < count; ++i) backwards[i] = count - 1 - i;
      MPI_Type_create_indexed_block(count, 1, backwards.data(), MPI_INT, &type_);
    }
    if (form_ != 0) MPI_Type_commit(&type_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { free_type(); }

  void* data() { return ints_.data(); }
  int elements() const { return elements_; }
  MPI_Datatype type() const { return type_; }
  /// MPI keeps what it still needs.
  void free_type() {
    if (type_ != MPI_INT) MPI_Type_free(&type_);
    type_ = MPI_INT;
  }
  void fill(const std::vector<int>& values) {
    for (int i = 0; i < count_; ++i) ints_[at(i)] = values[i];
  }
  /// The first values of `expected.size()`, and nothing anywhere else.
  bool holds(const std::vector<int>& expected) const {
    std::vector<int> all(ints_.size(), kUntouched);
    for (std::size_t i = 0; i < expected.size(); ++i) all[at(static_cast<int>(i))] = expected[i];
    return all == ints_;
  }

 private:
  static constexpr int kUntouched = -5;
  std::size_t at(int i) const {
    return static_cast<std::size_t>(form_ == 3 ? count_ - 1 - i : form_ == 0 ? i : i * (form_ + 1));
  }

  int count_, form_, elements_ = 0;
  MPI_Datatype type_ = MPI_INT;
  std::vector<int> ints_;
};

struct Transfer {
  std::unique_ptr<Buffer> buffer;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status{};
  bool persistent = false;
};

}  // namespace conformance
