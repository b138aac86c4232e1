// Requests otherwise: cancel, free, ask, and what they refer to.
#include "mpi_bindings/wrappers.hpp"

using namespace cairn::mpi;

CAIRN_WRAPPER(int, Cancel)(MPI_Request* request) {
  const Entry entry;
  Request* known = request == nullptr ? nullptr : Requests::find(*request);
  if (known == nullptr) return native.Cancel(request);
  known->complicate();
  switch (known->kind) {
    case Request::Kind::send:
    case Request::Kind::buffered_send:
      // It has been counted. Open MPI can't cancel sends either.
      return MPI_SUCCESS;
    case Request::Kind::receive:
      if (known->state == Receive::State::held) {
        layer->window().withdraw(*known);
        layer->wire().complete_cancelled(*known);
      } else if (known->state != Receive::State::in_mpi || known->delivered || known->counted) {
        return MPI_SUCCESS;  // matched already: a cancel can't succeed any more
      } else {
        native.Cancel(&known->real);
      }
      known->cancelled = true;
      return MPI_SUCCESS;
    default: return native.Cancel(&known->real);
  }
}

CAIRN_WRAPPER(int, Request_free)(MPI_Request* request) {
  const Entry entry;
  Request* known = request == nullptr ? nullptr : Requests::find(*request);
  if (known == nullptr) {
    if (layer != nullptr && request != nullptr) complete_requests.ended(*request);
    return native.Request_free(request);
  }
  *request = MPI_REQUEST_NULL;
  known->complicate();
  if (known->kind == Request::Kind::receive && known->active()) {
    layer->complete_later(*known);
    return MPI_SUCCESS;
  }
  const int error = known->persistent ? MPI_SUCCESS : native.Request_free(&known->real);
  layer->forget(*known);
  return error;
}

CAIRN_WRAPPER(int, Request_get_status)(MPI_Request request, int* flag, MPI_Status* status) {
  const Entry entry;
  Request* known = Requests::find(request);
  if (known == nullptr) return native.Request_get_status(request, flag, status);
  layer->poll_sometimes();
  if (!known->active()) return native.Request_get_status(MPI_REQUEST_NULL, flag, status);
  if (!in_mpi(*known)) {
    *flag = 0;
    return MPI_SUCCESS;
  }
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  const int error = native.Request_get_status(known->real, flag, seen);
  if (*flag == 0 || known->kind != Request::Kind::receive) return error;
  int cancelled = 0;
  PMPI_Test_cancelled(seen, &cancelled);
  if (cancelled == 0) layer->observed(*known, *seen);
  return error;
}

/// A pending receive may have to be posted again, and a buffered send made again: Cairn needs the
/// type for as long.
CAIRN_WRAPPER(int, Type_free)(MPI_Datatype* type) {
  const Entry entry;
  fast.small_type = {};  // another type may get the same handle
  if (layer != nullptr && type != nullptr) {
    layer->requests().for_each([&](Request& request) {
      const bool keeps =
          request.kind == Request::Kind::receive || request.kind == Request::Kind::buffered_send;
      const bool uses = keeps && request.type == *type && !request.own_type &&
                        (request.active() || request.persistent);
      if (!uses) return;
      // Not MPI_Type_dup: that calls the program's attribute functions.
      PMPI_Type_contiguous(1, *type, &request.type);
      PMPI_Type_commit(&request.type);
      request.own_type = true;
      request.complicate();
    });
  }
  return native.Type_free(type);
}

CAIRN_WRAPPER(MPI_Fint, Request_c2f)(MPI_Request request) {
  const Request* known = Requests::find(request);
  return known == nullptr ? native.Request_c2f(request) : Requests::fortran_handle(*known);
}

CAIRN_WRAPPER(MPI_Request, Request_f2c)(MPI_Fint request) {
  const Entry entry;
  Request* known = layer == nullptr ? nullptr : layer->requests().find_fortran(request);
  return known == nullptr ? native.Request_f2c(request) : Requests::handle(*known);
}
