// Fortran. Open MPI's Fortran interfaces (mpif.h, mpi, mpi_f08) call PMPI_* for everything, which
// are wrappers of Cairn's. But after a request has completed they look into Open MPI's own request
// object for its Fortran handle, which Cairn's requests don't have; so the functions that complete
// requests are here, under the names that Fortran compilers and the mpi_f08 module call.
#include <mpi.h>

#include <cstddef>
#include <vector>

#include "mpi_bindings/wrappers.hpp"

namespace {

/// Fortran's statuses are C's, as an array of integers.
constexpr std::size_t status_integers = sizeof(MPI_Status) / sizeof(MPI_Fint);

bool is_ignored(const MPI_Fint* status) {
  return status == MPI_F_STATUS_IGNORE || status == MPI_F_STATUSES_IGNORE;
}

void store(const MPI_Status& status, MPI_Fint* fortran) {
  if (!is_ignored(fortran)) PMPI_Status_c2f(&status, fortran);
}

/// Requests of a call, and their statuses, in C and back.
struct Requests {
  Requests(MPI_Fint size, MPI_Fint* fortran_handles)
      : fortran(fortran_handles),
        handles(static_cast<std::size_t>(size < 0 ? 0 : size)),
        statuses(handles.size() + 1) {
    for (std::size_t i = 0; i < handles.size(); ++i) handles[i] = MPI_Request_f2c(fortran[i]);
  }
  /// After the call: completed requests have new handles.
  void store_handles() {
    for (std::size_t i = 0; i < handles.size(); ++i) fortran[i] = MPI_Request_c2f(handles[i]);
  }
  void store_statuses(MPI_Fint number, MPI_Fint* wanted) const {
    if (is_ignored(wanted)) return;
    for (std::size_t i = 0; i < static_cast<std::size_t>(number < 0 ? 0 : number); ++i) {
      store(statuses[i], wanted + i * status_integers);
    }
  }
  int count() const { return static_cast<int>(handles.size()); }

  MPI_Fint* fortran;
  std::vector<MPI_Request> handles;
  std::vector<MPI_Status> statuses;
};

/// Fortran's logical, and its indices, which begin with 1.
MPI_Fint logical(int flag) { return flag != 0 ? 1 : 0; }
MPI_Fint index(int c_index) { return c_index == MPI_UNDEFINED ? MPI_UNDEFINED : c_index + 1; }

void store_indices(int number, const std::vector<int>& indices, MPI_Fint* fortran) {
  for (int i = 0; i < number; ++i) fortran[i] = index(indices[static_cast<std::size_t>(i)]);
}

void set_error(MPI_Fint* error, int code) {
  if (error != nullptr) *error = code;
}

}  // namespace

#define CAIRN_FORTRAN __attribute__((visibility("default"))) void
/// The names of one function: ompi_x_f is what mpi_f08 calls.
#define CAIRN_FORTRAN_NAMES(lower, upper, params)                                                  \
  extern "C" {                                                                                     \
  __attribute__((visibility("default"), alias("ompi_" #lower "_f"))) void mpi_##lower params;      \
  __attribute__((visibility("default"), alias("ompi_" #lower "_f"))) void mpi_##lower##_ params;   \
  __attribute__((visibility("default"), alias("ompi_" #lower "_f"))) void mpi_##lower##__ params;  \
  __attribute__((visibility("default"), alias("ompi_" #lower "_f"))) void MPI_##upper params;      \
  __attribute__((visibility("default"), alias("ompi_" #lower "_f"))) void pmpi_##lower params;     \
  __attribute__((visibility("default"), alias("ompi_" #lower "_f"))) void pmpi_##lower##_ params;  \
  __attribute__((visibility("default"), alias("ompi_" #lower "_f"))) void pmpi_##lower##__ params; \
  __attribute__((visibility("default"), alias("ompi_" #lower "_f"))) void PMPI_##upper params;     \
  }

extern "C" {

CAIRN_FORTRAN ompi_wait_f(MPI_Fint* request, MPI_Fint* status, MPI_Fint* error) {
  MPI_Request handle = MPI_Request_f2c(*request);
  MPI_Status seen;
  const int code = MPI_Wait(&handle, &seen);
  *request = MPI_Request_c2f(handle);
  if (code == MPI_SUCCESS) store(seen, status);
  set_error(error, code);
}

CAIRN_FORTRAN ompi_test_f(MPI_Fint* request, MPI_Fint* flag, MPI_Fint* status, MPI_Fint* error) {
  MPI_Request handle = MPI_Request_f2c(*request);
  MPI_Status seen;
  int done = 0;
  const int code = MPI_Test(&handle, &done, &seen);
  *request = MPI_Request_c2f(handle);
  *flag = logical(done);
  if (code == MPI_SUCCESS && done != 0) store(seen, status);
  set_error(error, code);
}

CAIRN_FORTRAN ompi_waitall_f(MPI_Fint* count, MPI_Fint* requests, MPI_Fint* statuses,
                             MPI_Fint* error) {
  Requests all{*count, requests};
  const int code = MPI_Waitall(all.count(), all.handles.data(), all.statuses.data());
  all.store_handles();
  if (code == MPI_SUCCESS || code == MPI_ERR_IN_STATUS) all.store_statuses(*count, statuses);
  set_error(error, code);
}

CAIRN_FORTRAN ompi_testall_f(MPI_Fint* count, MPI_Fint* requests, MPI_Fint* flag,
                             MPI_Fint* statuses, MPI_Fint* error) {
  Requests all{*count, requests};
  int done = 0;
  const int code = MPI_Testall(all.count(), all.handles.data(), &done, all.statuses.data());
  all.store_handles();
  *flag = logical(done);
  if (done != 0 || code == MPI_ERR_IN_STATUS) all.store_statuses(*count, statuses);
  set_error(error, code);
}

CAIRN_FORTRAN ompi_waitany_f(MPI_Fint* count, MPI_Fint* requests, MPI_Fint* place, MPI_Fint* status,
                             MPI_Fint* error) {
  Requests all{*count, requests};
  int done = MPI_UNDEFINED;
  const int code = MPI_Waitany(all.count(), all.handles.data(), &done, all.statuses.data());
  all.store_handles();
  *place = index(done);
  if (code == MPI_SUCCESS) store(all.statuses.front(), status);
  set_error(error, code);
}

CAIRN_FORTRAN ompi_testany_f(MPI_Fint* count, MPI_Fint* requests, MPI_Fint* place, MPI_Fint* flag,
                             MPI_Fint* status, MPI_Fint* error) {
  Requests all{*count, requests};
  int done = 0;
  int which = MPI_UNDEFINED;
  const int code = MPI_Testany(all.count(), all.handles.data(), &which, &done, all.statuses.data());
  all.store_handles();
  *flag = logical(done);
  *place = index(which);
  if (code == MPI_SUCCESS && done != 0) store(all.statuses.front(), status);
  set_error(error, code);
}

CAIRN_FORTRAN ompi_waitsome_f(MPI_Fint* count, MPI_Fint* requests, MPI_Fint* done, MPI_Fint* places,
                              MPI_Fint* statuses, MPI_Fint* error) {
  Requests all{*count, requests};
  std::vector<int> indices(all.handles.size());
  int number = 0;
  const int code =
      MPI_Waitsome(all.count(), all.handles.data(), &number, indices.data(), all.statuses.data());
  all.store_handles();
  *done = number;
  if (number != MPI_UNDEFINED) {
    store_indices(number, indices, places);
    all.store_statuses(number, statuses);
  }
  set_error(error, code);
}

CAIRN_FORTRAN ompi_testsome_f(MPI_Fint* count, MPI_Fint* requests, MPI_Fint* done, MPI_Fint* places,
                              MPI_Fint* statuses, MPI_Fint* error) {
  Requests all{*count, requests};
  std::vector<int> indices(all.handles.size());
  int number = 0;
  const int code =
      MPI_Testsome(all.count(), all.handles.data(), &number, indices.data(), all.statuses.data());
  all.store_handles();
  *done = number;
  if (number != MPI_UNDEFINED) {
    store_indices(number, indices, places);
    all.store_statuses(number, statuses);
  }
  set_error(error, code);
}

}  // extern "C"

CAIRN_FORTRAN_NAMES(wait, WAIT, (MPI_Fint*, MPI_Fint*, MPI_Fint*))
CAIRN_FORTRAN_NAMES(test, TEST, (MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*))
CAIRN_FORTRAN_NAMES(waitall, WAITALL, (MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*))
CAIRN_FORTRAN_NAMES(testall, TESTALL, (MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*))
CAIRN_FORTRAN_NAMES(waitany, WAITANY, (MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*))
CAIRN_FORTRAN_NAMES(testany, TESTANY,
                    (MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*))
CAIRN_FORTRAN_NAMES(waitsome, WAITSOME,
                    (MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*))
CAIRN_FORTRAN_NAMES(testsome, TESTSOME,
                    (MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*, MPI_Fint*))
