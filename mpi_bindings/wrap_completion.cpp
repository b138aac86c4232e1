// Completing requests: Wait, Test and their kin.
#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// Whether MPI's status is needed to count it.
inline bool needs_status(const Request& simple) {
  return simple.kind == Request::Kind::receive && simple.peer == MPI_ANY_SOURCE;
}

/// A simple request has been completed by MPI, without error.
inline void complete_simple(MPI_Request* handle, Request& request, const MPI_Status* status) {
  if (request.tally != &Request::complicated) {
    ++*request.tally;
  } else if (request.kind == Request::Kind::receive) {
    const int source = request.peer != MPI_ANY_SOURCE ? request.peer : status->MPI_SOURCE;
    ++request.communicator->channel(source).received;
  }
  if (request.persistent) [[unlikely]] {
    request.state = Receive::State::inactive;
    request.simple = false;
    return;
  }
  *handle = MPI_REQUEST_NULL;
  layer->requests().put(request);
}

/// Tests a simple request when everything is plain; waits for it when everything is quiet and
/// `may_block`.
inline int test_simple(MPI_Request* handle, Request& request, int* flag, MPI_Status* status,
                       bool may_block = false) {
  MPI_Status own;
  if (status == MPI_STATUS_IGNORE && needs_status(request)) status = &own;
  MPI_Request real = request.real;
  int error = MPI_SUCCESS;
  if (may_block && fast.quiet) {
    *flag = 1;
    error = native.Wait(&real, status);
  } else {
    error = native.Test(&real, flag, status);
  }
  if (error != MPI_SUCCESS) [[unlikely]] {
    if (status == MPI_STATUS_IGNORE) {
      status = &own;
      own.MPI_SOURCE = request.peer;
    }
    return finish(handle, request, real, *status, error, true);
  }
  if (*flag != 0) complete_simple(handle, request, status);
  return error;
}

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
      } else if (request->simple) [[likely]] {
        real_[i] = request->real;
        needs_status_ = needs_status_ || needs_status(*request);
      } else if (request->state == Receive::State::inactive) {
        real_[i] = MPI_REQUEST_NULL;
      } else if (in_mpi(*request)) [[likely]] {
        real_[i] = request->real;
        needs_status_ = true;
      } else {
        real_[i] = MPI_REQUEST_NULL;
        ++waiting_;
      }
    }
    return waiting_ == 0;
  }

  MPI_Request* real() { return real_; }

  /// Where MPI is to put the statuses: Cairn may need some when the program wants none.
  MPI_Status* statuses(MPI_Status* wanted) {
    if (wanted != MPI_STATUSES_IGNORE || (fast.plain && !needs_status_)) return wanted;
    if (own_statuses_ == nullptr) {
      own_statuses_ = statuses_.take(static_cast<std::size_t>(count_));
    }
    return own_statuses_;
  }

  /// MPI has completed the request at `place` with `status`.
  int complete(int place, MPI_Status& status, int error, bool report) {
    Request* request = Requests::find(handles_[place]);
    if (request == nullptr) {
      complete_own(place);
      return error;
    }
    if (request->state == Receive::State::inactive) return error;
    if (fast.plain && request->simple && error == MPI_SUCCESS) [[likely]] {
      complete_simple(&handles_[place], *request, &status);
      return error;
    }
    return finish(&handles_[place], *request, real_[place], status, error, report);
  }

  /// MPI has completed those whose places are in `places` (all when that is null), with `error`;
  /// the statuses are in the order of `places`.
  int complete_many(int number, const int* places, MPI_Status* statuses, int error) {
    if (statuses == MPI_STATUSES_IGNORE) {
      // All are simple, and from known sources. One that failed has taken its message, too; but
      // after an error elsewhere MPI may not have completed some.
      for (int i = 0; i < number; ++i) {
        const int place = places == nullptr ? i : places[i];
        Request* request = Requests::find(handles_[place]);
        if (request == nullptr) {
          complete_own(place);
        } else if (request->simple && (error == MPI_SUCCESS || real_[place] == MPI_REQUEST_NULL)) {
          complete_simple(&handles_[place], *request, nullptr);
        }
      }
      return error;
    }
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

  /// `all`: the call waits for all of them.
  Call describe(const char* name, bool all) const {
    Call call{name, nullptr, MPI_PROC_NULL, MPI_ANY_TAG};
    for (int i = 0; i < count_; ++i) {
      const Request* request = Requests::find(handles_[i]);
      if (request == nullptr || !request->active()) continue;
      call = {name, request->communicator, request->peer, request->tag};
      if (request->kind == Request::Kind::receive) break;
    }
    if (all) {
      call.requests = handles_;
      call.count = count_;
    }
    return call;
  }

 private:
  /// One of MPI's own.
  void complete_own(int place) {
    if (real_[place] != handles_[place]) complete_requests.ended(handles_[place]);
    handles_[place] = real_[place];
  }

  int count_;
  MPI_Request* handles_;
  Scratch<MPI_Request> reals_;
  MPI_Request* real_;
  Scratch<MPI_Status> statuses_;
  MPI_Status* own_statuses_ = nullptr;
  bool needs_status_ = false;
  bool gathered_ = false;
  int waiting_ = 0;
  std::uint64_t generation_ = 0;
};

/// Those of the program's requests up to `end` that are not complete are under way again. `real`:
/// what MPI has left of them, if it was asked; of complete requests, too, if `all_asked`.
[[gnu::cold]] void undo(MPI_Request* handles, const MPI_Request* end, const MPI_Request* real,
                        bool all_asked) {
  for (; handles != end; ++handles) {
    Request* request = Requests::find(*handles);
    const bool asked = real != nullptr && (request != nullptr || all_asked);
    const bool complete = asked ? *real++ == MPI_REQUEST_NULL : real != nullptr;
    if (!complete) {
      if (request == nullptr) continue;
      request->in_use = true;
      --*request->tally;
      continue;
    }
    if (request != nullptr) {
      layer->requests().put(*request);
    } else {
      complete_requests.ended(*handles);
    }
    *handles = MPI_REQUEST_NULL;
  }
}

/// Increases tallies. Most often they are the same one again and again, and a loop would wait for
/// it to come back from memory each time.
class Tallies {
 public:
  Tallies() = default;
  Tallies(const Tallies&) = delete;
  Tallies& operator=(const Tallies&) = delete;
  ~Tallies() { *last_ += number_; }
  void increase(std::uint64_t* tally) {
    if (tally != last_) [[unlikely]] {
      *last_ += std::exchange(number_, 0);
      last_ = tally;
    }
    ++number_;
  }

 private:
  std::uint64_t* last_ = &Request::complicated;
  std::uint64_t number_ = 0;
};

/// Waits for requests that all have but a tally, or no record: one pass over them. Their records
/// are put back, and what they receive is counted, before MPI waits: while it does nobody looks.
/// False when there are others; then nothing has changed. `ask_all`: MPI need not be asked for
/// complete requests, but for the places of their statuses.
template <bool ask_all>
inline bool wait_quietly(int count, MPI_Request* handles, MPI_Status* statuses, int& error) {
  // Most often what is true of the first is true of all.
  const Request* first = Requests::find(*handles);
  if (first != nullptr && first->tally == &Request::complicated) return false;
  Scratch<MPI_Request> reals;
  MPI_Request* const real = reals.take(static_cast<std::size_t>(count));
  MPI_Request* real_end = real;
  MPI_Request* const end = handles + count;
  Requests::Returning done{layer->requests()};
  std::size_t complete = 0;
  std::size_t others = 0;
  for (Tallies tallies; const MPI_Request handle : std::span{handles, end}) {
    if (Request* request = Requests::find(handle)) {
      tallies.increase(request->tally);
      *real_end++ = request->real;
      done.add(*request);
      continue;
    }
    if (handle == complete_requests.handle) [[likely]] {
      ++complete;
    } else if (handle != MPI_REQUEST_NULL) {
      ++others;
    }
    if (ask_all) *real_end++ = handle;
  }
  if (Request::complicated + others > 0) [[unlikely]] {
    undo(handles, end, nullptr, ask_all);
    return false;
  }
  error = native.Waitall(static_cast<int>(real_end - real), real, statuses);
  if (error != MPI_SUCCESS) [[unlikely]] {
    undo(handles, end, real, ask_all);
    return true;
  }
#pragma GCC unroll 8
  for (MPI_Request* handle = handles; handle != end; ++handle) *handle = MPI_REQUEST_NULL;
  complete_requests.ended(complete);
  layer->requests().put(done);
  return true;
}

int test_one(MPI_Request* request, int* flag, MPI_Status* status) {
  Request* known = Requests::find(*request);
  if (known == nullptr) {
    const MPI_Request own = *request;
    const int error = native.Test(request, flag, status);
    if (*request != own) complete_requests.ended(own);
    return error;
  }
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
  if (!batch.refresh()) return MPI_SUCCESS;
  return native.Testall(count, batch.real(), flag, batch.statuses(statuses));
}

int test_any(Batch& batch, int count, int* index, int* flag, MPI_Status* status) {
  const bool all_in_mpi = batch.refresh();
  const int error = native.Testany(count, batch.real(), index, flag, status);
  if (!all_in_mpi && *index == MPI_UNDEFINED) *flag = 0;
  return error;
}

int test_some(Batch& batch, int count, int* done, int* indices, MPI_Status* statuses) {
  const bool all_in_mpi = batch.refresh();
  const int error = native.Testsome(count, batch.real(), done, indices, batch.statuses(statuses));
  if (!all_in_mpi && *done == MPI_UNDEFINED) *done = 0;
  return error;
}

/// MPI_Wait when there may be more to do than to count, or to wait.
[[gnu::noinline]] int wait(MPI_Request* request, MPI_Status* status) {
  const Entry entry;
  if (layer == nullptr || request == nullptr) return native.Wait(request, status);
  return poll_until(
      [&] {
        return Batch{1, request}.describe("MPI_Wait", true);
      },
      [&](int* flag) { return test_one(request, flag, status); });
}

/// MPI_Waitall, likewise.
[[gnu::noinline]] int wait_all(int count, MPI_Request* requests, MPI_Status* statuses) {
  Batch batch{count, requests};
  int error = MPI_SUCCESS;
  if (fast.quiet && batch.refresh()) {
    error = native.Waitall(count, batch.real(), batch.statuses(statuses));
  } else {
    error = poll_until([&] { return batch.describe("MPI_Waitall", true); },
                       [&](int* flag) { return test_all(batch, count, flag, statuses); });
  }
  return batch.complete_many(count, nullptr, batch.statuses(statuses), error);
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

CAIRN_WRAPPER(int, Wait)(MPI_Request* request, MPI_Status* status) {
  if (fast.plain && request != nullptr) [[likely]] {
    Request* known = Requests::find(*request);
    int done = 0;
    if (known != nullptr && known->simple) [[likely]] {
      const int error = test_simple(request, *known, &done, status, true);
      if (done != 0 || error != MPI_SUCCESS) [[likely]]
        return error;
    } else if (*request == complete_requests.handle) {
      complete_requests.ended(1);
      return native.Wait(request, status);
    }
  }
  return wait(request, status);
}

CAIRN_WRAPPER(int, Test)(MPI_Request* request, int* flag, MPI_Status* status) {
  if (fast.plain && request != nullptr) [[likely]] {
    Request* known = Requests::find(*request);
    if (known != nullptr && known->simple) [[likely]] {
      const int error = test_simple(request, *known, flag, status);
      if (*flag == 0) layer->poll_sometimes();
      return error;
    }
    if (*request == complete_requests.handle) {
      complete_requests.ended(1);
      return native.Test(request, flag, status);
    }
  }
  const Entry entry;
  if (layer == nullptr || request == nullptr) return native.Test(request, flag, status);
  layer->poll_sometimes();
  return test_one(request, flag, status);
}

CAIRN_WRAPPER(int, Waitall)(int count, MPI_Request* requests, MPI_Status* statuses) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Waitall(count, requests, statuses);
  if (fast.quiet) [[likely]] {
    int error = MPI_SUCCESS;
    const bool done = statuses == MPI_STATUSES_IGNORE
                          ? wait_quietly<false>(count, requests, statuses, error)
                          : wait_quietly<true>(count, requests, statuses, error);
    if (done) [[likely]]
      return error;
  }
  return wait_all(count, requests, statuses);
}

CAIRN_WRAPPER(int, Testall)(int count, MPI_Request* requests, int* flag, MPI_Status* statuses) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Testall(count, requests, flag, statuses);
  layer->poll_sometimes();
  Batch batch{count, requests};
  const int error = test_all(batch, count, flag, statuses);
  if (*flag == 0 && error == MPI_SUCCESS) return error;
  return batch.complete_many(count, nullptr, batch.statuses(statuses), error);
}

CAIRN_WRAPPER(int, Waitany)(int count, MPI_Request* requests, int* index, MPI_Status* status) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Waitany(count, requests, index, status);
  Batch batch{count, requests};
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  const int error =
      poll_until([&] { return batch.describe("MPI_Waitany", false); },
                 [&](int* flag) { return test_any(batch, count, index, flag, seen); });
  if (*index == MPI_UNDEFINED) return error;
  return batch.complete(*index, *seen, error, true);
}

CAIRN_WRAPPER(int, Testany)
(int count, MPI_Request* requests, int* index, int* flag, MPI_Status* status) {
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

CAIRN_WRAPPER(int, Testsome)
(int count, MPI_Request* requests, int* done, int* indices, MPI_Status* statuses) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Testsome(count, requests, done, indices, statuses);
  layer->poll_sometimes();
  Batch batch{count, requests};
  const int error = test_some(batch, count, done, indices, statuses);
  if (*done == MPI_UNDEFINED || *done <= 0) return error;
  return batch.complete_many(*done, indices, batch.statuses(statuses), error);
}

CAIRN_WRAPPER(int, Waitsome)
(int count, MPI_Request* requests, int* done, int* indices, MPI_Status* statuses) {
  const Entry entry;
  if (layer == nullptr || count <= 0 || requests == nullptr)
    return native.Waitsome(count, requests, done, indices, statuses);
  Batch batch{count, requests};
  const int error = poll_until([&] { return batch.describe("MPI_Waitsome", false); },
                               [&](int* flag) {
                                 const int result =
                                     test_some(batch, count, done, indices, statuses);
                                 *flag = static_cast<int>(*done != 0);
                                 return result;
                               });
  if (*done == MPI_UNDEFINED || *done <= 0) return error;
  return batch.complete_many(*done, indices, batch.statuses(statuses), error);
}
