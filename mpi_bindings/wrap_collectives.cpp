// The wrappers that functions.def generates: collectives, new communicators, windows and files.
#include <mpi.h>

#include "mpi_bindings/function_names.hpp"
#include "mpi_bindings/handle_key.hpp"
#include "mpi_bindings/wrappers.hpp"

namespace cairn::mpi {
namespace {

/// A blocking collective call of the program: counts it, and names it in reports while it blocks.
/// Several threads' calls may be inside MPI at once.
class BlockingCollective {
 public:
  BlockingCollective(const char* name, Communicator* communicator) : communicator_(communicator) {
    if (communicator == nullptr) return;
    ++communicator->collectives;
    layer->meet(*communicator, name);
    outer_ = layer->current_call();
    layer->current_call() = {name, communicator, MPI_PROC_NULL, MPI_ANY_TAG};
  }
  ~BlockingCollective() {
    if (communicator_ != nullptr) layer->current_call() = outer_;
  }
  BlockingCollective(const BlockingCollective&) = delete;
  BlockingCollective& operator=(const BlockingCollective&) = delete;

 private:
  Communicator* communicator_;
  Call outer_;
};

/// Tracks the request of a non-blocking collective.
void track(const char* name, Communicator* communicator, MPI_Request* request) {
  if (communicator == nullptr) return;
  ++communicator->collectives;
  Request& made = layer->new_request(Request::Kind::collective, name, *communicator, MPI_PROC_NULL,
                                     MPI_ANY_TAG);
  made.real = *request;
  *request = Requests::handle(made);
}

/// A window's or file's communicator.
template <class Handle>
Communicator* opened_on(Handle handle) {
  return layer == nullptr ? nullptr : layer->opened_on(handle_key(handle));
}

}  // namespace
}  // namespace cairn::mpi

using namespace cairn::mpi;

// NOLINTBEGIN(bugprone-macro-parentheses): lists of parameters and arguments can't be in more
#define COVERED(name)
#define CAIRN_UNPACK(...) __VA_ARGS__

#define COLLECTIVE(name, params, args)                          \
  CAIRN_WRAPPER(int, name) params {                             \
    const Entry entry;                                          \
    const BlockingCollective call{"MPI_" #name, managed(comm)}; \
    return released(native.name, CAIRN_UNPACK args);            \
  }

#define ICOLLECTIVE(name, params, args)                                   \
  CAIRN_WRAPPER(int, name) params {                                       \
    const Entry entry;                                                    \
    Communicator* communicator = managed(comm);                           \
    await_duplications_if_polled(communicator);                           \
    const int error = released(native.name, CAIRN_UNPACK args);           \
    if (error == MPI_SUCCESS) track("MPI_" #name, communicator, request); \
    return error;                                                         \
  }

#define MAKES_COMM(name, params, args)                                              \
  CAIRN_WRAPPER(int, name) params {                                                 \
    const Entry entry;                                                              \
    Communicator* parent = managed(comm);                                           \
    const BlockingCollective call{"MPI_" #name, parent};                            \
    await_duplications(parent);                                                     \
    const int error = released(native.name, CAIRN_UNPACK args);                     \
    if (parent != nullptr && error == MPI_SUCCESS) layer->adopt(*newcomm, *parent); \
    return error;                                                                   \
  }

#define OPENS(name, what, handle, params, args)                 \
  CAIRN_WRAPPER(int, name) params {                             \
    const Entry entry;                                          \
    Communicator* communicator = managed(comm);                 \
    const BlockingCollective call{"MPI_" #name, communicator};  \
    await_duplications(communicator);                           \
    const int error = released(native.name, CAIRN_UNPACK args); \
    if (communicator != nullptr && error == MPI_SUCCESS)        \
      layer->opened(handle_key(*handle), what, *communicator);  \
    return error;                                               \
  }

#define CLOSES(name, what, handle, params, args)                          \
  CAIRN_WRAPPER(int, name) params {                                       \
    const Entry entry;                                                    \
    const std::uint64_t closing = handle_key(*handle);                    \
    const BlockingCollective call{"MPI_" #name, opened_on(*handle)};      \
    const int error = released(native.name, CAIRN_UNPACK args);           \
    if (layer != nullptr && error == MPI_SUCCESS) layer->closed(closing); \
    return error;                                                         \
  }

#define ON_OPEN(name, handle, params, args)                         \
  CAIRN_WRAPPER(int, name) params {                                 \
    const Entry entry;                                              \
    const BlockingCollective call{"MPI_" #name, opened_on(handle)}; \
    return released(native.name, CAIRN_UNPACK args);                \
  }

#define CONNECTS(name, params, args)                            \
  CAIRN_WRAPPER(int, name) params {                             \
    const Entry entry;                                          \
    if (layer != nullptr) layer->refuse_for_good("MPI_" #name); \
    return released(native.name, CAIRN_UNPACK args);            \
  }

// NOLINTEND(bugprone-macro-parentheses)
#include "mpi_bindings/functions.def"

namespace cairn::mpi {
namespace {

constexpr const char* names[] = {
#define EACH_FUNCTION(name) "MPI_" #name,
#include "mpi_bindings/functions.def"
};

}  // namespace

std::span<const char* const> function_names() { return names; }

}  // namespace cairn::mpi
