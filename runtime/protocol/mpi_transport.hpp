// The protocols' network and channels on MPI, on communicators of Cairn's.
#pragma once

#include <mpi.h>

#include <list>

#include "mpi_bindings/channel_layer.hpp"
#include "runtime/protocol/transport.hpp"

namespace cairn::protocol {

class MpiTransport : public Transport {
 public:
  /// `control` is used for nothing else, and outlives this object. Collective over it.
  explicit MpiTransport(MPI_Comm control);
  ~MpiTransport() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  double now() override;
  void start_round(const Round& contribution) override;
  std::optional<Round> finish_round() override;
  void send_marker(const Marker& marker) override;
  bool markers_received() override;
  std::optional<Marker> receive_marker() override;
  void start_barrier() override;
  bool barrier_done() override;

 private:
  struct RoundUnderWay {
    Round contribution;
    Round result;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  struct MarkerUnderWay {
    std::vector<std::uint64_t> words;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  MPI_Comm control_;
  int rank_ = 0;
  int size_ = 1;
  MPI_Datatype round_type_ = MPI_DATATYPE_NULL;
  MPI_Op combine_ = MPI_OP_NULL;
  std::list<RoundUnderWay> rounds_;
  std::list<MarkerUnderWay> markers_;
  MPI_Request barrier_ = MPI_REQUEST_NULL;
};

/// The channel layer of the program. Markers' peers are ranks of MPI_COMM_WORLD.
class MpiChannels : public Channels {
 public:
  explicit MpiChannels(mpi::ChannelLayer& layer) : layer_(layer) {}
  std::vector<Marker> flip(bool record) override;
  bool expect(const Marker& marker) override;
  void no_more_markers() override { layer_.window().no_more_markers(); }
  void pull_late() override { layer_.advance(); }
  bool drained() override { return !layer_.window().open() && layer_.all_arrived(); }

 private:
  mpi::ChannelLayer& layer_;
};

}  // namespace cairn::protocol
