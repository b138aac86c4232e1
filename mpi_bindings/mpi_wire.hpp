// The window's Wire on MPI.
#pragma once

#include <mpi.h>

#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "mpi_bindings/request.hpp"

namespace cairn::mpi {

class MpiWire : public Wire {
 public:
  /// Collective over MPI_COMM_SELF.
  MpiWire();
  ~MpiWire() override;
  MpiWire(const MpiWire&) = delete;
  MpiWire& operator=(const MpiWire&) = delete;

  Outcome cancel(Receive& receive, int& source) override;
  bool resolved(Receive& receive, int& source) override;
  void post(Receive& receive, int colour) override;
  bool pull(Communicator& communicator, int colour, StoredMessage& message) override;
  bool probe(Communicator& communicator, int colour, int source, int tag,
             Envelope& envelope) override;
  void take(Receive& receive, int colour, const Envelope& envelope) override;
  void deliver(Receive& receive, StoredMessage&& message) override;
  void keep(Receive& receive, std::shared_ptr<RecordedMessage> recorded) override;

  /// What the last post() said: errors in the program's arguments.
  int post_error() const { return post_error_; }
  /// Whether the bytes of a message that was pulled are all here.
  static bool arrived(Payload& payload);
  /// Moves a receive on whose message was not all here when it was assigned.
  void advance(Request& receive);
  /// A receive has got the message that `status` describes: copies it for the epoch that has
  /// recorded it, if there is one, and that was not done before.
  void fill_record(Request& receive, const MPI_Status& status);
  /// Likewise, as soon as MPI has it all: the program may be in no hurry to complete the receive.
  void fill_record_early(Request& receive);
  /// Lets a held receive complete as cancelled.
  void complete_cancelled(Request& receive);

 private:
  void start_delivery(Request& receive, StoredMessage&& message);
  void reap_self_sends();

  MPI_Comm self_ = MPI_COMM_NULL;  ///< carries deliveries
  struct SelfSend {
    std::shared_ptr<const Payload> payload;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  std::list<SelfSend> self_sends_;
  int post_error_ = MPI_SUCCESS;
};

}  // namespace cairn::mpi
