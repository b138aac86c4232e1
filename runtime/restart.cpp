#include "runtime/restart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "base/crash_point.hpp"
#include "base/log.hpp"
#include "io/collective.hpp"
#include "io/state_reader.hpp"

namespace cairn {
namespace {

/// Whether the epoch belongs to this program and has this many ranks. Made by rank 0.
Status check_job(const EpochContext& context, const io::EpochInfo& info) {
  const std::string where =
      fmt::format("epoch {} in {}", info.epoch, context.store.directory().string());
  if (info.application != context.job.application) {
    return {Code::invalid_argument,
            fmt::format("{} was written by program \"{}\", and this is \"{}\"; choose another "
                        "directory with CAIRN_DIR, or start over with CAIRN_RESTART=never",
                        where, info.application, context.job.application)};
  }
  if (info.ranks != context.job.ranks) {
    return {Code::invalid_argument,
            fmt::format("{} was written by {} ranks, and this job has {}; start it with -n {}, or "
                        "start over with CAIRN_RESTART=never",
                        where, info.ranks, context.job.ranks, info.ranks)};
  }
  return {};
}

Status mismatch(const std::string& name, const std::string& what) {
  return {Code::invalid_argument,
          fmt::format("\"{}\" {}; run the program with the settings of the checkpoint, or start "
                      "over with CAIRN_RESTART=never",
                      name, what)};
}

/// Whether what the program protects is what the epoch has.
Status check_items(const EpochContext& context, const io::StateReader& reader, int rank) {
  const auto& entries = reader.entries();
  const auto& items = context.registry.items();
  const auto stored = [&](const std::string& name) {
    return std::find_if(entries.begin(), entries.end(),
                        [&](const io::Entry& entry) { return entry.name == name; });
  };
  for (const auto& item : items) {
    if (stored(item.entry.name) == entries.end()) {
      return mismatch(item.entry.name, "is protected by the program, but not in the checkpoint");
    }
  }
  const auto slabs = reader.slabs(rank);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto item = std::find_if(items.begin(), items.end(), [&](const capture::Item& one) {
      return one.entry.name == entries[i].name;
    });
    if (item == items.end() && context.late.expected(entries[i].name)) continue;
    if (item == items.end()) {
      return mismatch(entries[i].name, "is in the checkpoint, but not protected by the program");
    }
    if (auto status = check_item(*item, entries[i], slabs[i].count, rank); !status) return status;
  }
  return {};
}

Status load_items(const EpochContext& context, const io::StateReader& reader, int rank) {
  const auto slabs = reader.slabs(rank);
  const auto& entries = reader.entries();
  context.late.clear();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i == entries.size() / 2) crash_point("restart_half_read");
    if (auto status = reader.check_complete(slabs[i]); !status) return status;
    const auto& items = context.registry.items();
    const auto item = std::find_if(items.begin(), items.end(), [&](const capture::Item& one) {
      return one.entry.name == entries[i].name;
    });
    if (item == items.end() || item->load) {
      std::vector<std::byte> bytes(slabs[i].count * entries[i].element_bytes);
      if (auto status = reader.read_slab(slabs[i], bytes); !status) return status;
      if (item == items.end()) {
        context.late.keep(entries[i], std::move(bytes));
      } else if (auto status = load_object(*item, bytes); !status) {
        return status;
      }
      continue;
    }
    if (item->resize) item->resize(slabs[i].count);
    if (auto status = reader.read_slab(slabs[i], item->view()); !status) return status;
  }
  return {};
}

Status load_channels(const EpochContext& context, const io::StateReader& reader, int rank) {
  auto stored = reader.messages(rank);
  if (!stored) return stored.status();
  std::vector<mpi::ChannelCount> counts;
  for (const auto& count : reader.counters(rank)) {
    counts.push_back({count.communicator, count.peer, count.sent, count.received});
  }
  std::vector<mpi::ChannelMessage> messages;
  for (auto& message : *stored) {
    messages.push_back(
        {message.communicator, message.source, message.tag, std::move(message.bytes)});
  }
  const auto missing = context.layer.restore(counts, std::move(messages));
  if (!missing) return {};
  const auto& known = reader.communicators();
  const auto found = std::find_if(known.begin(), known.end(),
                                  [&](const io::Communicator& one) { return one.id == *missing; });
  return {Code::invalid_argument,
          fmt::format("messages were in flight on communicator {}, which the program has not made "
                      "before restart(); make its long-lived communicators before, in the same "
                      "order as in the first run",
                      found == known.end() ? std::to_string(*missing) : found->label)};
}

/// Restores one epoch. Memory is touched only once all ranks have found that it fits.
Status load_epoch(const EpochContext& context, io::Collective& all, std::uint64_t epoch) {
  auto reader = io::StateReader::open(context.store.epoch_path(epoch), all.rank());
  if (auto status = all.agree(reader ? Status{} : reader.status()); !status) return status;
  if (auto status = all.agree(check_items(context, *reader, all.rank())); !status) return status;
  crash_point("restart_chosen");
  if (auto status = all.agree(load_items(context, *reader, all.rank())); !status) return status;
  if (auto status = all.agree(context.requests.prepare()); !status) return status;
  return all.agree(load_channels(context, *reader, all.rank()));
}

/// The epochs that restart may use, newest first; on every rank.
std::vector<std::uint64_t> candidates(const EpochContext& context, io::Collective& all,
                                      std::uint64_t& newest) {
  std::vector<std::uint64_t> epochs;
  if (all.rank() == 0) {
    epochs = context.store.epochs();
    newest = epochs.empty() ? 0 : epochs.back();
    std::reverse(epochs.begin(), epochs.end());
    const RestartFrom& from = context.options.restart;
    if (from.kind == RestartFrom::Kind::never) epochs.clear();
    if (from.kind == RestartFrom::Kind::epoch) epochs = {from.epoch};
  }
  newest = all.max({newest})[0];
  epochs.resize(all.max({epochs.size()})[0]);
  return all.max(std::move(epochs));
}

/// COMMIT.json of a candidate, read by rank 0.
Status examine(const EpochContext& context, io::Collective& all, std::uint64_t epoch,
               Restored& restored) {
  Status status;
  std::vector<std::uint64_t> numbers(2);
  if (all.rank() == 0) {
    const auto info = context.store.read_commit(epoch);
    status = info ? check_job(context, *info) : info.status();
    if (info) {
      numbers = {info->safe_point, info->messages_in_flight};
      restored.uuid = info->uuid;
    }
  }
  status = all.agree(status);
  numbers = all.max(numbers);
  restored.epoch = epoch;
  restored.safe_point = numbers[0];
  restored.messages = numbers[1];
  restored.uuid = all.broadcast(restored.uuid, 0);
  return status;
}

/// The answer when the one epoch that CAIRN_RESTART names can't be used.
Status asked_for(const Status& status, std::uint64_t epoch) {
  return {
      status.code(),
      fmt::format("CAIRN_RESTART asks for epoch {}, which can't be used: {}; `cairn list` shows "
                  "those that can",
                  epoch, status.message())};
}

bool is_damage(Code code) {
  return code == Code::corruption || code == Code::io_error || code == Code::not_found;
}

}  // namespace

Result<Restored> restore_job(const EpochContext& context) {
  const mpi::WithoutPolling without_polling;
  io::Collective all{context.comm};
  Restored restored;
  const auto epochs = candidates(context, all, restored.newest);
  bool damaged = false;
  for (const std::uint64_t epoch : epochs) {
    Status status = examine(context, all, epoch, restored);
    if (status) {
      status = load_epoch(context, all, epoch);
      // Rank 0 has seen its COMMIT.json: what is missing now is damage, or another rank's view.
      if (status.code() == Code::not_found) status = {Code::corruption, status.message()};
    }
    if (status) {
      crash_point("restart_done");
      return restored;
    }
    if (context.options.restart.kind == RestartFrom::Kind::epoch) return asked_for(status, epoch);
    if (!is_damage(status.code())) return status;
    // An epoch that was never committed is no epoch: nothing to warn of, nothing lost.
    if (status.code() != Code::not_found) damaged = true;
    if (all.rank() == 0) {
      log::warning("epoch {} can't be used: {}", epoch, status.message());
    }
  }
  if (damaged) {
    return Status{
        Code::corruption,
        fmt::format("no checkpoint in {} can be used; `cairn verify {}` says what is "
                    "damaged; start over with CAIRN_RESTART=never",
                    context.store.directory().string(), context.store.directory().string())};
  }
  const std::uint64_t newest = restored.newest;
  restored = {};
  restored.newest = newest;
  return restored;
}

}  // namespace cairn
