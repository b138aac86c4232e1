// Completing requests: Wait, Test and their kin.
#include <algorithm>
#include <cstddef>
#include <memory>

#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// Room for as many T as a call on many requests usually needs, without allocation.
template <class T>
class Scratch {
 public:
  T* take(std::size_t size) {
    if (size <= room) return small_;
    large_ = std::make_unique_for_overwrite<T[]>(size);
    return large_.get();
  }

 private:
  static constexpr std::size_t room = 128;
  T small_[room];  // not initialized
  std::unique_ptr<T[]> large_;
};

/// The requests of one call, and what stands for each in MPI.
class Batch {
 public:
  Batch(int count, MPI_Request* handles)
      : count_(std::max(count, 0)),
        handles_(handles),
        real_(reals_.take(static_cast<std::size_t>(count_))) {}

  /// Asks again what stands for each when Cairn may have changed that. Returns whether MPI can be
  /// asked for all; else some wait for Cairn, and MPI_REQUEST_NULL stands for those.
  bool refresh() {
    if (gathered_ && waiting_ == 0 && generation_ == layer->window().generation()) [[likely]]
      return true;
    gathered_ = true;
    generation_ = layer->window().generation();
    waiting_ = 0;
    for (int i = 0; i < count_; ++i) {
      Request* request = Requests::find(handles_[i]);
      if (request == nullptr) {
        real_[i] = handles_[i];
      } else if (request->state == Receive::State::inactive) {
        real_[i] = MPI_REQUEST_NULL;
      } else if (in_mpi(*request)) [[likely]] {
        real_[i] = request->real;
      } else {
        real_[i] = MPI_REQUEST_NULL;
        ++waiting_;
      }
    }
    return waiting_ == 0;
  }

  MPI_Request* real() { return real_; }

  /// Room for `size` statuses when the program wants none.
  MPI_Status* statuses(MPI_Status* wanted) {
    return wanted != MPI_STATUSES_IGNORE ? wanted
                                         : statuses_.take(static_cast<std::size_t>(count_));
  }

  /// MPI has completed the request at `place` with `status`.
  int complete(int place, MPI_Status& status, int error, bool report) {
    Request* request = Requests::find(handles_[place]);
    if (request == nullptr) {
      handles_[place] = real_[place];
      return error;
    }
    if (request->state == Receive::State::inactive) return error;
    return finish(&handles_[place], *request, real_[place], status, error, report);
  }

  /// MPI has completed those whose places are in `places` (all when that is null), with `error`;
  /// the statuses are in the order of `places`.
  int complete_many(int number, const int* places, MPI_Status* statuses, int error) {
    bool reported = error != MPI_ERR_IN_STATUS;
    for (int i = 0; i < number; ++i) {
      const int place = places == nullptr ? i : places[i];
      const int own = error == MPI_ERR_IN_STATUS ? statuses[i].MPI_ERROR : MPI_SUCCESS;
      if (own == MPI_ERR_PENDING) continue;
      // MPI calls the error handler for the first that failed, and so must Cairn.
      const bool report = own != MPI_SUCCESS && !reported;
      reported = reported || own != MPI_SUCCESS;
      complete(place, statuses[i], own, report);
    }
    return error;
  }

  Call describe(const char* name) const {
    Call call{name, nullptr, MPI_PROC_NULL, MPI_ANY_TAG};
    for (int i = 0; i < count_; ++i) {
      const Request* request = Requests::find(handles_[i]);
      if (request == nullptr || !request->active()) continue;
      call = {name, request->communicator, request->peer, request->tag};
      if (request->kind == Request::Kind::receive) break;
    }
    return call;
  }

 private:
  int count_;
  MPI_Request* handles_;
  Scratch<MPI_Request> reals_;
  MPI_Request* real_;
  Scratch<MPI_Status> statuses_;
  bool gathered_ = false;
  int waiting_ = 0;
  std::uint64_t generation_ = 0;
};

int test_one(MPI_Request* request, int* flag, MPI_Status* status) {
  Request* known = Requests::find(*request);
  if (known == nullptr) return native.Test(request, flag, status);
  if (known->state == Receive::State::inactive) {
    MPI_Request null = MPI_REQUEST_NULL;
    return native.Test(&null, flag, status);
  }
  if (!in_mpi(*known)) [[unlikely]] {
    *flag = 0;
    return MPI_SUCCESS;
  }
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  seen->MPI_SOURCE = MPI_PROC_NULL;
  MPI_Request real = known->real;
  const int error = native.Test(&real, flag, seen);
  if (*flag == 0 && error == MPI_SUCCESS) return error;
  return finish(request, *known, real, *seen, error, true);
}

int test_all(Batch& batch, int count, int* flag, MPI_Status* statuses) {
  *flag = 0;
  return batch.refresh() ? native.Testall(count, batch.real(), flag, statuses) : MPI_SUCCESS;
}

int test_any(Batch& batch, int count, int* index, int* flag, MPI_Status* status) {
  const bool all_in_mpi = batch.refresh();
  const int error = native.Testany(count, batch.real(), index, flag, status);
  if (!all_in_mpi && *index == MPI_UNDEFINED) *flag = 0;
  return error;
}

int test_some(Batch& batch, int count, int* done, int* indices, MPI_Status* statuses) {
  const bool all_in_mpi = batch.refresh();
  const int error = native.Testsome(count, batch.real(), done, indices, statuses);
  if (!all_in_mpi && *done == MPI_UNDEFINED) *done = 0;
  return error;
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

CAIRN_WRAPPER(int, Wait)(MPI_Request* request, MPI_Status* status) {
  const Entry entry;
  if (layer == nullptr || request == nullptr) return native.Wait(request, status);
  return poll_until(
      [&] { return Batch{1, request}.describe("MPI_Wait"); },
      [&](int* flag) { return test_one(request, flag, status); });
}

CAIRN_WRAPPER(int, Test)(MPI_Request* request, int* flag, MPI_Status* status) {
  const Entry entry;
  if (layer == nullptr || request == nullptr) return native.Test(request, flag, status);
  layer->poll_sometimes();
  return test_one(request, flag, status);
}

CAIRN_WRAPPER(int, Waitall)(int count, MPI_Request* requests, MPI_Status* statuses) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Waitall(count, requests, statuses);
  Batch batch{count, requests};
  MPI_Status* seen = batch.statuses(statuses);
  const int error = poll_until([&] { return batch.describe("MPI_Waitall"); },
                               [&](int* flag) { return test_all(batch, count, flag, seen); });
  return batch.complete_many(count, nullptr, seen, error);
}

CAIRN_WRAPPER(int, Testall)(int count, MPI_Request* requests, int* flag, MPI_Status* statuses) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Testall(count, requests, flag, statuses);
  layer->poll_sometimes();
  Batch batch{count, requests};
  MPI_Status* seen = batch.statuses(statuses);
  const int error = test_all(batch, count, flag, seen);
  if (*flag == 0 && error == MPI_SUCCESS) return error;
  return batch.complete_many(count, nullptr, seen, error);
}

CAIRN_WRAPPER(int, Waitany)(int count, MPI_Request* requests, int* index, MPI_Status* status) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Waitany(count, requests, index, status);
  Batch batch{count, requests};
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  const int error =
      poll_until([&] { return batch.describe("MPI_Waitany"); },
                 [&](int* flag) { return test_any(batch, count, index, flag, seen); });
  if (*index == MPI_UNDEFINED) return error;
  return batch.complete(*index, *seen, error, true);
}

CAIRN_WRAPPER(int, Testany)(int count, MPI_Request* requests, int* index, int* flag,
                            MPI_Status* status) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Testany(count, requests, index, flag, status);
  layer->poll_sometimes();
  Batch batch{count, requests};
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  const int error = test_any(batch, count, index, flag, seen);
  if ((*flag == 0 && error == MPI_SUCCESS) || *index == MPI_UNDEFINED) return error;
  return batch.complete(*index, *seen, error, true);
}

CAIRN_WRAPPER(int, Testsome)(int count, MPI_Request* requests, int* done, int* indices,
                             MPI_Status* statuses) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Testsome(count, requests, done, indices, statuses);
  layer->poll_sometimes();
  Batch batch{count, requests};
  MPI_Status* seen = batch.statuses(statuses);
  const int error = test_some(batch, count, done, indices, seen);
  if (*done == MPI_UNDEFINED || *done <= 0) return error;
  return batch.complete_many(*done, indices, seen, error);
}

CAIRN_WRAPPER(int, Waitsome)(int count, MPI_Request* requests, int* done, int* indices,
                             MPI_Status* statuses) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Waitsome(count, requests, done, indices, statuses);
  Batch batch{count, requests};
  MPI_Status* seen = batch.statuses(statuses);
  const int error = poll_until(
      [&] { return batch.describe("MPI_Waitsome"); },
      [&](int* flag) {
        const int result = test_some(batch, count, done, indices, seen);
        *flag = static_cast<int>(*done != 0);
        return result;
      });
  if (*done == MPI_UNDEFINED || *done <= 0) return error;
  return batch.complete_many(*done, indices, seen, error);
}
