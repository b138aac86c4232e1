#include "io/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "io/channel_proof.hpp"
#include "io/commit_record.hpp"
#include "io/geometry.hpp"
#include "io/names.hpp"
#include "io/state_reader.hpp"

namespace cairn::io {
namespace {

constexpr std::size_t most_problems = 20;

/// Keeps the first problems and counts the others.
class Problems {
 public:
  explicit Problems(std::vector<std::string>& lines) : lines_(lines) {}
  ~Problems() {
    if (more_ > 0) lines_.push_back(fmt::format("and {} more like these", more_));
  }
  void add(const Status& status) {
    if (status) return;
    const bool damage = status.code() == Code::corruption || status.code() == Code::not_found;
    add((damage ? "damaged: " : "") + status.message());
  }
  void add(std::string line) {
    if (lines_.size() < most_problems) {
      lines_.push_back(std::move(line));
    } else {
      ++more_;
    }
  }

 private:
  std::vector<std::string>& lines_;
  std::size_t more_ = 0;
};

bool overlap(const SlabInfo& a, const SlabInfo& b) {
  for (std::size_t d = 0; d < a.shape.size(); ++d) {
    if (a.offset[d] + a.shape[d] <= b.offset[d]) return false;
    if (b.offset[d] + b.shape[d] <= a.offset[d]) return false;
  }
  return true;
}

/// The dimension along which the slabs begin at the most different places.
std::size_t widest_dimension(const std::vector<SlabInfo>& slabs) {
  std::size_t widest = 0, most = 0;
  for (std::size_t d = 0; d < slabs.front().shape.size(); ++d) {
    std::set<std::uint64_t> begins;
    for (const SlabInfo& slab : slabs) begins.insert(slab.offset[d]);
    if (begins.size() > most) {
      most = begins.size();
      widest = d;
    }
  }
  return widest;
}

/// Sweeps along one dimension: only slabs that begin before another ends can overlap it.
void check_overlap(const Entry& entry, std::vector<SlabInfo> slabs, Problems& problems) {
  std::erase_if(slabs, [](const SlabInfo& slab) { return slab.count == 0; });
  if (slabs.empty()) return;
  const std::size_t d = widest_dimension(slabs);
  std::sort(slabs.begin(), slabs.end(),
            [d](const SlabInfo& a, const SlabInfo& b) { return a.offset[d] < b.offset[d]; });
  for (std::size_t i = 0; i < slabs.size(); ++i) {
    const std::uint64_t end = slabs[i].offset[d] + slabs[i].shape[d];
    for (std::size_t j = i + 1; j < slabs.size() && slabs[j].offset[d] < end; ++j) {
      if (!overlap(slabs[i], slabs[j])) continue;
      problems.add(fmt::format("inconsistent: '{}': the slabs of ranks {} and {} overlap",
                               entry.name, slabs[i].rank, slabs[j].rank));
      return;
    }
  }
}

/// HDF5 finds the same objects in the files at the same places as COMMIT.json says. Only asked once
/// the metadata's checksum is right: HDF5 does not take damaged files well.
Status check_objects(const std::filesystem::path& epoch_directory) {
  const auto record = read_commit_record(epoch_directory);
  if (!record) return record.status();
  const auto compare = [&](const Result<StateIndex>& scanned, const StateIndex& described) {
    if (!scanned) return scanned.status();
    if (*scanned == described) return Status{};
    return Status{Code::corruption,
                  fmt::format("{}: its objects are not those that COMMIT.json lists",
                              (epoch_directory / described.name).native())};
  };
  auto status = compare(scan_state(epoch_directory / record->state.name), record->state);
  for (const StateIndex& node : record->nodes) {
    if (!status) break;
    status = compare(scan_node(epoch_directory / node.name), node);
  }
  return status;
}

void check_data(const StateReader& reader, VerifyReport& report, Problems& problems) {
  ChannelProof proof{reader.ranks()};
  proof.set_communicators(reader.communicators());
  std::vector<std::vector<SlabInfo>> shaped(reader.entries().size());
  bool messages_good = true;
  for (int rank = 0; rank < reader.ranks(); ++rank) {
    for (SlabInfo& slab : reader.slabs(rank)) {
      problems.add(reader.check_slab(slab));
      for (const ByteRange& own : reader.own_ranges(slab)) {
        report.bytes_checked += own.last - own.first;
      }
      if (!slab.shape.empty()) shaped[slab.entry].push_back(std::move(slab));
    }
    proof.add(rank, reader.counters(rank));
    const auto messages = reader.messages(rank);
    if (messages.ok()) {
      proof.add(*messages);
      report.messages_checked += messages->size();
      for (const Message& message : *messages) report.bytes_checked += message.bytes.size();
    } else {
      problems.add(messages.status());
      messages_good = false;
    }
  }
  for (std::size_t i = 0; i < shaped.size(); ++i) {
    check_overlap(reader.entries()[i], std::move(shaped[i]), problems);
  }
  if (!messages_good) return;  // nothing is lost that is merely damaged
  for (std::string& line : proof.problems(most_problems)) problems.add(std::move(line));
  report.channels_checked = proof.channels();
}

}  // namespace

/// Parents have smaller numbers, so there is an end.
const VerifyReport& Verifier::report(std::uint64_t epoch) {
  if (const auto known = reports_.find(epoch); known != reports_.end()) return known->second;
  VerifyReport report;
  report.epoch = epoch;
  {
    Problems problems{report.problems};
    const auto info = store_.read_commit(epoch);
    problems.add(info.ok() ? Status{} : info.status());
    if (info.ok()) {
      const auto reader = StateReader::open(store_.epoch_path(epoch));
      problems.add(reader.ok() ? Status{} : reader.status());
      if (reader.ok()) {
        problems.add(check_objects(store_.epoch_path(epoch)));
        check_data(*reader, report, problems);
        if (info->parent && !this->report(*info->parent).good) {
          problems.add(fmt::format("builds on epoch {}, which is not good", *info->parent));
        }
      }
    }
  }
  report.good = report.problems.empty();
  return reports_.emplace(epoch, std::move(report)).first->second;
}

VerifyReport verify_epoch(const Store& store, std::uint64_t epoch) {
  return Verifier{store}.report(epoch);
}

}  // namespace cairn::io
