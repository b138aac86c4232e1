#include "runtime/protocol/mpi_transport.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "mpi_bindings/native.hpp"

namespace cairn::protocol {
namespace {

constexpr int marker_tag = 1;

void combine_rounds(void* in, void* in_out, int* length, MPI_Datatype*) {
  const auto* other = static_cast<const Round*>(in);
  auto* result = static_cast<Round*>(in_out);
  for (int i = 0; i < *length; ++i) result[i].combine(other[i]);
}

}  // namespace

MpiTransport::MpiTransport(MPI_Comm control) : control_(control) {
  PMPI_Comm_rank(control_, &rank_);
  PMPI_Comm_size(control_, &size_);
  PMPI_Type_contiguous(Round::lanes, MPI_UINT64_T, &round_type_);
  PMPI_Type_commit(&round_type_);
  PMPI_Op_create(combine_rounds, 1, &combine_);
}

MpiTransport::~MpiTransport() {
  PMPI_Op_free(&combine_);
  PMPI_Type_free(&round_type_);
}

double MpiTransport::now() {
  using Seconds = std::chrono::duration<double>;
  return Seconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void MpiTransport::start_round(const Round& contribution) {
  RoundUnderWay& round = rounds_.emplace_back();
  round.contribution = contribution;
  mpi::native.Iallreduce(&round.contribution, &round.result, 1, round_type_, combine_, control_,
                         &round.request);
}

std::optional<Round> MpiTransport::finish_round() {
  if (rounds_.empty()) return std::nullopt;
  int done = 0;
  mpi::native.Test(&rounds_.front().request, &done, MPI_STATUS_IGNORE);
  if (done == 0) return std::nullopt;
  const Round result = rounds_.front().result;
  rounds_.pop_front();
  return result;
}

void MpiTransport::send_marker(const Marker& marker) {
  MarkerUnderWay& sent = markers_.emplace_back();
  sent.words.push_back(marker.epoch << 2U | static_cast<std::uint64_t>(marker.kind));
  for (const auto& count : marker.counts) {
    sent.words.push_back(count.communicator);
    sent.words.push_back(count.messages);
  }
  mpi::native.Issend(sent.words.data(), static_cast<int>(sent.words.size()), MPI_UINT64_T,
                     marker.peer, marker_tag, control_, &sent.request);
}

bool MpiTransport::markers_received() {
  while (!markers_.empty()) {
    int done = 0;
    mpi::native.Test(&markers_.front().request, &done, MPI_STATUS_IGNORE);
    if (done == 0) return false;
    markers_.pop_front();
  }
  return true;
}

std::optional<Marker> MpiTransport::receive_marker() {
  int arrived = 0;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status;
  mpi::native.Improbe(MPI_ANY_SOURCE, marker_tag, control_, &arrived, &message, &status);
  if (arrived == 0) return std::nullopt;
  int count = 0;
  PMPI_Get_count(&status, MPI_UINT64_T, &count);
  std::vector<std::uint64_t> words(static_cast<std::size_t>(count));
  mpi::native.Mrecv(words.data(), count, MPI_UINT64_T, &message, MPI_STATUS_IGNORE);
  Marker marker{
      status.MPI_SOURCE, words.at(0) >> 2U, {}, static_cast<Marker::Kind>(words.at(0) & 3U)};
  for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
    marker.counts.push_back({words[i], words[i + 1]});
  }
  return marker;
}

void MpiTransport::start_barrier() { mpi::native.Ibarrier(control_, &barrier_); }

bool MpiTransport::barrier_done() {
  int done = 0;
  mpi::native.Test(&barrier_, &done, MPI_STATUS_IGNORE);
  return done != 0;
}

std::vector<Marker> MpiChannels::flip(bool record) {
  std::vector<Marker> markers;
  for (const auto& [peer, sent] : layer_.cut(record)) {
    Marker& marker = markers.emplace_back();
    marker.peer = peer;
    for (const auto& count : sent) marker.counts.push_back({count.communicator, count.messages});
  }
  return markers;
}

/// A communicator that is not known may be about to be made (B2).
bool MpiChannels::expect(const Marker& marker) {
  std::vector<mpi::SentCount> counts;
  for (const auto& count : marker.counts) counts.push_back({count.communicator, count.messages});
  layer_.window().marker(marker.peer, counts);
  return true;
}

}  // namespace cairn::protocol
