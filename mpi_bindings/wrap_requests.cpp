// Completing requests: Wait, Test and their kin, Cancel, Request_free.
#include <algorithm>
#include <span>
#include <vector>

#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// Whether the program's own error handler has yet to hear of a delivery's error: deliveries
/// travel on a private communicator.
int report_delivery_error(const RequestRecord& record, int error) {
  if (error != MPI_SUCCESS) PMPI_Comm_call_errhandler(record.communicator->colours[0], error);
  return error;
}

/// Room for the handles and statuses of a call on many requests, kept from call to call.
struct Scratch {
  std::vector<MPI_Request> handles;
  std::vector<MPI_Status> statuses;

  /// Copies the handles, which MPI overwrites; gives the program's statuses, or ours.
  MPI_Status* take(int count, const MPI_Request* requests, MPI_Status* wanted) {
    const auto size = static_cast<std::size_t>(std::max(count, 0));
    handles.assign(requests, requests + size);
    if (wanted != MPI_STATUSES_IGNORE) return wanted;
    if (statuses.size() < size) statuses.resize(size);
    return statuses.data();
  }
};

Scratch scratch;

/// After a call on many requests: records those that have completed. `indices` are their places.
int complete_many(std::span<const int> indices, MPI_Status* statuses, bool packed, int error) {
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto place = static_cast<std::size_t>(indices[i]);
    MPI_Status& status = statuses[packed ? i : place];
    const int own_error = error == MPI_ERR_IN_STATUS ? status.MPI_ERROR : MPI_SUCCESS;
    if (own_error == MPI_ERR_PENDING) continue;
    complete_request(scratch.handles[place], status, own_error);
  }
  return error;
}

Call waiting(const char* name, int count, const MPI_Request* requests) {
  Call call{name, nullptr, MPI_PROC_NULL, MPI_ANY_TAG};
  for (int i = 0; i < count; ++i) {
    const RequestRecord* record = layer->requests().find(requests[i]);
    if (record == nullptr) continue;
    call.communicator = record->communicator;
    call.peer = record->peer;
    call.tag = record->tag;
    if (record->kind == RequestRecord::Kind::receive) break;
  }
  return call;
}

std::vector<int> all_indices;

std::span<const int> first_indices(int count) {
  while (static_cast<int>(all_indices.size()) < count) {
    all_indices.push_back(static_cast<int>(all_indices.size()));
  }
  return {all_indices.data(), static_cast<std::size_t>(std::max(count, 0))};
}

}  // namespace

int complete_request(MPI_Request handle, MPI_Status& status, int error) {
  if (handle == MPI_REQUEST_NULL) return error;
  RequestRecord record;
  if (!layer->requests().take(handle, record)) return error;
  if (record.kind == RequestRecord::Kind::send) return error;
  if (record.cancelled) {
    int cancelled = 0;
    PMPI_Test_cancelled(&status, &cancelled);
    if (cancelled != 0) return error;
  }
  if (record.kind == RequestRecord::Kind::receive) {
    if (status.MPI_SOURCE < 0) return error;
    layer->count_received(*record.communicator, status.MPI_SOURCE, record.colour);
    return error;
  }
  status.MPI_SOURCE = record.peer;
  status.MPI_TAG = record.tag;
  layer->count_delivered(*record.communicator, record.peer);
  return report_delivery_error(record, error);
}

}  // namespace cairn::mpi

using namespace cairn::mpi;

CAIRN_WRAPPER MPI_Wait(MPI_Request* request, MPI_Status* status) {
  if (layer == nullptr || *request == MPI_REQUEST_NULL) return PMPI_Wait(request, status);
  const MPI_Request handle = *request;
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  const int error = poll_until([&] { return waiting("MPI_Wait", 1, request); },
                               [&](int* flag) { return PMPI_Test(request, flag, seen); });
  return complete_request(handle, *seen, error);
}

CAIRN_WRAPPER MPI_Test(MPI_Request* request, int* flag, MPI_Status* status) {
  if (layer == nullptr || *request == MPI_REQUEST_NULL) return PMPI_Test(request, flag, status);
  layer->poll();
  const MPI_Request handle = *request;
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  const int error = PMPI_Test(request, flag, seen);
  return *flag != 0 || error != MPI_SUCCESS ? complete_request(handle, *seen, error) : error;
}

CAIRN_WRAPPER MPI_Waitall(int count, MPI_Request* requests, MPI_Status* statuses) {
  if (layer == nullptr) return PMPI_Waitall(count, requests, statuses);
  MPI_Status* seen = scratch.take(count, requests, statuses);
  const int error =
      poll_until([&] { return waiting("MPI_Waitall", count, requests); },
                 [&](int* flag) { return PMPI_Testall(count, requests, flag, seen); });
  return complete_many(first_indices(count), seen, false, error);
}

CAIRN_WRAPPER MPI_Testall(int count, MPI_Request* requests, int* flag, MPI_Status* statuses) {
  if (layer == nullptr) return PMPI_Testall(count, requests, flag, statuses);
  layer->poll();
  MPI_Status* seen = scratch.take(count, requests, statuses);
  const int error = PMPI_Testall(count, requests, flag, seen);
  if (*flag == 0 && error == MPI_SUCCESS) return error;
  return complete_many(first_indices(count), seen, false, error);
}

CAIRN_WRAPPER MPI_Waitany(int count, MPI_Request* requests, int* index, MPI_Status* status) {
  if (layer == nullptr) return PMPI_Waitany(count, requests, index, status);
  scratch.take(count, requests, MPI_STATUSES_IGNORE);
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  const int error =
      poll_until([&] { return waiting("MPI_Waitany", count, requests); },
                 [&](int* flag) { return PMPI_Testany(count, requests, index, flag, seen); });
  if (*index == MPI_UNDEFINED) return error;
  return complete_request(scratch.handles[static_cast<std::size_t>(*index)], *seen, error);
}

CAIRN_WRAPPER MPI_Testany(int count, MPI_Request* requests, int* index, int* flag,
                          MPI_Status* status) {
  if (layer == nullptr) return PMPI_Testany(count, requests, index, flag, status);
  layer->poll();
  scratch.take(count, requests, MPI_STATUSES_IGNORE);
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  const int error = PMPI_Testany(count, requests, index, flag, seen);
  if ((*flag == 0 && error == MPI_SUCCESS) || *index == MPI_UNDEFINED) return error;
  return complete_request(scratch.handles[static_cast<std::size_t>(*index)], *seen, error);
}

CAIRN_WRAPPER MPI_Testsome(int count, MPI_Request* requests, int* done, int* indices,
                           MPI_Status* statuses) {
  if (layer == nullptr) return PMPI_Testsome(count, requests, done, indices, statuses);
  layer->poll();
  MPI_Status* seen = scratch.take(count, requests, statuses);
  const int error = PMPI_Testsome(count, requests, done, indices, seen);
  if (*done == MPI_UNDEFINED || *done <= 0) return error;
  return complete_many({indices, static_cast<std::size_t>(*done)}, seen, true, error);
}

CAIRN_WRAPPER MPI_Waitsome(int count, MPI_Request* requests, int* done, int* indices,
                           MPI_Status* statuses) {
  if (layer == nullptr) return PMPI_Waitsome(count, requests, done, indices, statuses);
  MPI_Status* seen = scratch.take(count, requests, statuses);
  const int error = poll_until([&] { return waiting("MPI_Waitsome", count, requests); },
                               [&](int* flag) {
                                 const int result =
                                     PMPI_Testsome(count, requests, done, indices, seen);
                                 *flag = static_cast<int>(*done != 0);
                                 return result;
                               });
  if (*done == MPI_UNDEFINED || *done <= 0) return error;
  return complete_many({indices, static_cast<std::size_t>(*done)}, seen, true, error);
}

CAIRN_WRAPPER MPI_Cancel(MPI_Request* request) {
  RequestRecord* record = layer == nullptr ? nullptr : layer->requests().find(*request);
  if (record != nullptr && record->kind == RequestRecord::Kind::send) {
    layer->refuse_for_good("MPI_Cancel of a send");  // it may have been counted for nothing
  }
  if (record != nullptr && record->kind == RequestRecord::Kind::delivery) {
    return MPI_SUCCESS;  // matched already: a cancel can't succeed any more
  }
  if (record != nullptr) record->cancelled = true;
  return PMPI_Cancel(request);
}

CAIRN_WRAPPER MPI_Request_free(MPI_Request* request) {
  RequestRecord* record = layer == nullptr ? nullptr : layer->requests().find(*request);
  if (record != nullptr) {
    if (record->kind != RequestRecord::Kind::send) {
      layer->refuse_for_good("MPI_Request_free of a receive");  // its completion is never seen
    }
    RequestRecord forgotten;
    layer->requests().take(*request, forgotten);
  }
  return PMPI_Request_free(request);
}

CAIRN_WRAPPER MPI_Request_get_status(MPI_Request request, int* flag, MPI_Status* status) {
  const int error = PMPI_Request_get_status(request, flag, status);
  if (layer == nullptr || *flag == 0 || status == MPI_STATUS_IGNORE) return error;
  const RequestRecord* record = layer->requests().find(request);
  if (record != nullptr && record->kind == RequestRecord::Kind::delivery) {
    status->MPI_SOURCE = record->peer;
    status->MPI_TAG = record->tag;
  }
  return error;
}
