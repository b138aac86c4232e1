#include "mpi_bindings/wrappers.hpp"

#include <utility>

namespace cairn::mpi {

void Entry::enter() {
  if (!layer->enter()) return;
  entered_ = layer;
  if (entered_->stress()) {
    entered_->called();
  } else {
    entered_->poll_sometimes();
  }
}

void Entry::leave() { entered_->leave(); }

bool in_mpi(Request& request) {
  if (request.state == Receive::State::in_mpi && request.kind != Request::Kind::duplication)
      [[likely]]
    return true;
  if (request.kind == Request::Kind::duplication) {
    int done = 0;
    native.Test(&request.real_twin, &done, MPI_STATUS_IGNORE);
    return done != 0;
  }
  layer->wire().advance(request);
  return request.state == Receive::State::in_mpi;
}

namespace {

/// Whether MPI is done with every Comm_idup of `communicator`, and with the twins.
bool duplications_done(const Communicator& communicator) {
  bool all_done = true;
  layer->requests().for_each([&](Request& request) {
    if (request.kind != Request::Kind::duplication || request.communicator != &communicator) return;
    int done = 0;
    if (in_mpi(request)) native.Request_get_status(request.real, &done, MPI_STATUS_IGNORE);
    all_done = all_done && done != 0;
  });
  return all_done;
}

}  // namespace

void await_duplications(const Communicator* communicator) {
  if (communicator == nullptr) return;
  while (communicator->duplications > 0 && !duplications_done(*communicator)) {
    layer->let_others_run();
    layer->poll();
  }
}

void await_duplications_if_polled(const Communicator* communicator) {
  if (layer != nullptr && layer->has_progress()) await_duplications(communicator);
}

void describe_stored(const StoredMessage& message, MPI_Status* status) {
  if (status == MPI_STATUS_IGNORE) return;
  PMPI_Status_set_elements_x(status, MPI_PACKED,
                             static_cast<MPI_Count>(message.payload->bytes.size()));
  PMPI_Status_set_cancelled(status, 0);
  status->MPI_SOURCE = message.source;
  status->MPI_TAG = message.tag;
}

int count_received(Request& receive, MPI_Status& status, int error, bool report) {
  if (receive.cancelled) [[unlikely]] {
    int cancelled = 0;
    PMPI_Test_cancelled(&status, &cancelled);
    if (cancelled != 0) return error;
  }
  layer->received(receive, status);
  if (receive.delivered && error != MPI_SUCCESS && report) [[unlikely]] {
    PMPI_Comm_call_errhandler(receive.communicator->colours[0], error);
  }
  return error;
}

int finish(MPI_Request* handle, Request& request, MPI_Request real, MPI_Status& status, int error,
           bool report) {
  if (request.kind == Request::Kind::receive) {
    error = count_received(request, status, error, report);
  } else if (request.kind == Request::Kind::duplication) [[unlikely]] {
    const MPI_Comm twin = request.made->colours[1];
    --request.communicator->duplications;
    layer->adopt_duplicate(request.duplicate, twin, std::move(request.made));
  }
  if (!request.persistent) [[likely]] {
    *handle = MPI_REQUEST_NULL;
    layer->forget(request);
    return error;
  }
  request.state = Receive::State::inactive;
  request.complicate();
  request.observed = false;
  // Open MPI frees a persistent request that fails.
  const bool was_twin = request.real == request.twins[request.colour];
  if (!was_twin || real != MPI_REQUEST_NULL) return error;
  request.twins[request.colour] = MPI_REQUEST_NULL;
  *handle = MPI_REQUEST_NULL;
  layer->forget(request);
  return error;
}

int BlockingReceive::test(int* flag, MPI_Status* status) {
  if (!in_mpi(request_)) [[unlikely]] {
    *flag = 0;
    return MPI_SUCCESS;
  }
  return native.Test(&request_.real, flag, status);
}

int BlockingReceive::finish(MPI_Status& status, int error) {
  request_.state = Receive::State::inactive;
  return count_received(request_, status, error, true);
}

int BlockingReceive::wait(MPI_Status* status) {
  MPI_Status own;
  MPI_Status* seen = status == MPI_STATUS_IGNORE ? &own : status;
  seen->MPI_SOURCE = MPI_PROC_NULL;
  const int error =
      poll_until([&] { return describe(); }, [&](int* flag) { return test(flag, seen); });
  return finish(*seen, error);
}

void BlockingReceive::withdraw() {
  if (request_.state == Receive::State::held) {
    layer->window().withdraw(request_);
  } else if (request_.state == Receive::State::in_mpi) {
    native.Cancel(&request_.real);
    native.Wait(&request_.real, MPI_STATUS_IGNORE);
  }
}

}  // namespace cairn::mpi
