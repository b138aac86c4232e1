// From the program's request handles to the channels that they are about.
#pragma once

#include <mpi.h>

#include <cstdint>

#include "mpi_bindings/communicator.hpp"
#include "mpi_bindings/handle_key.hpp"

namespace cairn::mpi {

/// What is known of a pending request.
struct RequestRecord {
  enum class Kind : std::uint8_t { send, receive, delivery };
  Kind kind = Kind::send;     ///< delivery: a receive that is served from the store
  std::uint8_t colour = 0;    ///< colour it was posted in
  bool cancelled = false;     ///< the program has called MPI_Cancel
  int peer = MPI_PROC_NULL;   ///< as given; for a delivery, the message's source
  int tag = MPI_ANY_TAG;      ///< as given; for a delivery, the message's tag
  std::uint32_t handles = 0;  ///< how many pending calls share this handle value
  Communicator* communicator = nullptr;
  const char* call = "";  ///< name of the MPI call that made it
};

/// Pending requests of the program. Open MPI returns one and the same handle for every operation
/// that is complete at once, so records count their uses.
class RequestTable {
 public:
  void add(MPI_Request handle, const RequestRecord& record) {
    RequestRecord& entry = records_[handle_key(handle)];
    const std::uint32_t handles = entry.handles + 1;
    entry = record;
    entry.handles = handles;
  }

  RequestRecord* find(MPI_Request handle) { return records_.find(handle_key(handle)); }

  /// Takes one use of the handle out; false when it is not known.
  bool take(MPI_Request handle, RequestRecord& record) {
    RequestRecord* entry = find(handle);
    if (entry == nullptr) return false;
    record = *entry;
    if (--entry->handles == 0) records_.erase(entry);
    return true;
  }

  std::size_t size() const { return records_.size(); }

  /// Some pending request, for a message; nullptr when there is none.
  const RequestRecord* any() {
    const RequestRecord* found = nullptr;
    records_.for_each([&](std::uint64_t, RequestRecord& record) { found = &record; });
    return found;
  }

 private:
  FlatMap<RequestRecord> records_;
};

}  // namespace cairn::mpi
