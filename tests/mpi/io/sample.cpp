#include "sample.hpp"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <stdexcept>

#include "io/geometry.hpp"
#include "io/names.hpp"

namespace cairn::io {

SharedDirectory::SharedDirectory() {
  char name[] = "/tmp/cairn-io-test-XXXXXX";
  if (world_rank() == 0 && ::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp failed");
  PMPI_Bcast(name, sizeof name, MPI_CHAR, 0, MPI_COMM_WORLD);
  path_ = name;
}

SharedDirectory::~SharedDirectory() {
  PMPI_Barrier(MPI_COMM_WORLD);
  std::error_code error;
  if (world_rank() == 0) std::filesystem::remove_all(path_, error);
}

TestNodes::TestNodes(int ranks) {
  if (ranks == 0) return;
  const int number = ranks > 0 ? world_rank() / ranks : world_rank() % -ranks;
  count_ = ranks > 0 ? (world_size() + ranks - 1) / ranks : std::min(-ranks, world_size());
  group_.number = static_cast<std::uint64_t>(number);
  PMPI_Comm_split(MPI_COMM_WORLD, number, world_rank(), &group_.comm);
}

TestNodes::~TestNodes() {
  if (group_.has_file()) PMPI_Comm_free(&group_.comm);
}

std::byte* Sample::fill(std::uint64_t bytes) {
  std::vector<std::byte> memory(bytes);
  std::uint64_t x = 0x9e3779b97f4a7c15u * (memory_.size() + 1) + static_cast<unsigned>(rank_);
  for (std::byte& byte : memory) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(x >> 56);
  }
  return memory_.emplace_back(std::move(memory)).data();
}

Sample& Sample::flat(const std::string& name, ElementType type, std::uint32_t element_bytes,
                     std::uint64_t count) {
  state_.entries.push_back({name, type, element_bytes, {}});
  state_.slabs.push_back({fill(count * element_bytes), count, {}, {}});
  return *this;
}

Sample& Sample::shaped(const std::string& name, ElementType type, std::uint32_t element_bytes,
                       std::vector<std::uint64_t> global, std::vector<std::uint64_t> offset,
                       std::vector<std::uint64_t> shape) {
  const std::uint64_t count = *volume(shape);
  state_.entries.push_back({name, type, element_bytes, std::move(global)});
  state_.slabs.push_back({fill(count * element_bytes), count, std::move(offset), std::move(shape)});
  return *this;
}

Sample& Sample::ring(int in_flight) {
  const int next = (rank_ + 1) % size_, previous = (rank_ + size_ - 1) % size_;
  const auto sent = static_cast<std::uint64_t>(100 + in_flight);
  if (next == previous) {
    state_.counters.push_back({7, next, sent, 100});
  } else {
    state_.counters.push_back({7, next, sent, 0});
    state_.counters.push_back({7, previous, 0, 100});
  }
  for (int i = 0; i < in_flight; ++i) {
    const std::string text = fmt::format("message {} to {}", i, rank_);
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    // The first one is empty.
    state_.messages.push_back(
        {7, previous, rank_, 40 + i, {data, data + (i == 0 ? 0 : text.size())}});
  }
  if (rank_ == 0) state_.communicators.push_back({7, "world", static_cast<unsigned>(size_)});
  return *this;
}

Sample Sample::full(int rank, int size) {
  Sample sample{rank, size};
  const auto r = static_cast<std::uint64_t>(rank), n = static_cast<std::uint64_t>(size);
  const std::uint32_t bytes[] = {0, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8};
  for (std::uint8_t type = 1; type <= 10; ++type) {
    const auto element = static_cast<ElementType>(type);
    sample.flat(std::string{element_type_name(element)}, element, bytes[type], 3 + r * type);
  }
  sample.flat("struct", ElementType::opaque, 24, 5);
  sample.flat("object", ElementType::serialized, 1, 17 * r);  // rank 0: nothing
  sample.flat("nothing", ElementType::float64, 8, 0);
  sample.flat("odd/na%me é \x01", ElementType::int32, 4, 2);
  sample.flat("..", ElementType::int32, 4, 1);
  sample.flat("large", ElementType::float32, 4, (3 << 18) + 5);  // more than one block
  // Rows, columns (scattered in the file), and a cube where only rank 0 has something.
  sample.shaped("rows", ElementType::float64, 8, {4 * n, 10}, {4 * r, 0}, {4, 10});
  sample.shaped("columns", ElementType::int32, 4, {700, 600 * n}, {0, 600 * r}, {700, 600});
  sample.shaped("cube", ElementType::uint16, 2, {3, 4, 5}, {0, 0, 0}, {rank == 0 ? 3u : 0u, 4, 5});
  sample.ring(3);
  return sample;
}

EpochInfo sample_info(std::uint64_t epoch, int ranks) {
  EpochInfo info;
  info.epoch = epoch;
  info.protocol = "coordinated";
  info.safe_point = 12345678901;
  info.blocked_seconds = 0.25;
  info.ranks = ranks;
  info.application = "sample";
  info.uuid = "00000000-0000-4000-8000-000000000000";
  return info;
}

Status write_epoch(const Store& store, const EpochInfo& info, const RankState& state,
                   const WriteOptions& options, EpochInfo* committed_info) {
  int good = 1;
  if (world_rank() == 0) {
    good = store.prepare({info.application, {"./sample"}, info.uuid, info.ranks}).ok() &&
           store.begin(info.epoch).ok();
  }
  PMPI_Bcast(&good, 1, MPI_INT, 0, MPI_COMM_WORLD);
  if (good == 0) return {Code::io_error, "prepare or begin failed"};
  const std::filesystem::path directory =
      store.directory() / (".tmp-" + epoch_directory_name(info.epoch));
  EpochInfo written = info;
  const Status status =
      write_state(MPI_COMM_WORLD, directory / state_file, info, state, options, &written);
  Status committed;
  if (world_rank() == 0) {
    if (status) {
      const auto result = store.commit(written);
      if (!result) committed = result.status();
      if (result.ok() && committed_info != nullptr) *committed_info = *result;
    } else {
      store.discard(info.epoch);
    }
  }
  PMPI_Barrier(MPI_COMM_WORLD);
  return status ? committed : status;
}

}  // namespace cairn::io
