#include "runtime/pending_requests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "mpi_bindings/native.hpp"

namespace cairn {
namespace {

using nlohmann::json;
using Kind = mpi::Request::Kind;

/// The bytes that `count` elements of `type` touch, from their address on.
struct Extent {
  MPI_Aint begin = 0;
  MPI_Aint end = 0;
};

Extent extent_of(int count, MPI_Datatype type) {
  MPI_Aint ignored = 0;
  MPI_Aint step = 0;
  MPI_Aint begin = 0;
  MPI_Aint bytes = 0;
  PMPI_Type_get_extent(type, &ignored, &step);
  PMPI_Type_get_true_extent(type, &begin, &bytes);
  if (count <= 0 || bytes == 0) return {};
  const MPI_Aint last = (count - 1) * step;
  return {begin + std::min<MPI_Aint>(last, 0), begin + bytes + std::max<MPI_Aint>(last, 0)};
}

std::string name_of(const mpi::Request& request) {
  return mpi::describe({request.call, request.communicator, request.peer, request.tag});
}

/// Whether the program has taken a receive back, so that it completes without a message.
bool is_cancelled(const mpi::Request& request) {
  if (!request.cancelled) return false;
  int done = 0;
  int cancelled = 0;
  MPI_Status status;
  mpi::native.Request_get_status(request.real, &done, &status);
  if (done != 0) PMPI_Test_cancelled(&status, &cancelled);
  return cancelled != 0;
}

/// A request of MPI's own, not of Cairn's: one of mpi::CompleteRequests, or else it is none that
/// Cairn knows how to make again.
bool is_complete(MPI_Request handle) {
  int done = 0;
  mpi::native.Request_get_status(handle, &done, MPI_STATUS_IGNORE);
  return done != 0;
}

}  // namespace

Status PendingRequests::add(const std::string& name, View view) {
  capture::Item item;
  item.entry = {name, ElementType::serialized, 1, {}};
  item.save = [this, name](std::vector<std::byte>& bytes) {
    const Known known = known_requests();
    json all = json::array();
    for (const MPI_Request handle : arrays_.at(name).view()) {
      std::string problem;
      all.push_back(describe(handle, known, &problem));
      if (!problem.empty()) throw std::runtime_error(problem);
    }
    const std::string text = all.dump(1);
    const auto view_of_text = std::as_bytes(std::span{text});
    bytes.assign(view_of_text.begin(), view_of_text.end());
  };
  item.load = [this, name](std::span<const std::byte> bytes) {
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    arrays_.at(name).loaded = json::parse(std::string_view{text, bytes.size()});
  };
  auto status = registry_.add(std::move(item));
  if (status) arrays_[name] = {std::move(view), {}, {}};
  return status;
}

/// The program's variables may hold anything: a handle is looked up before it is looked into.
PendingRequests::Known PendingRequests::known_requests() const {
  Known known;
  layer_.requests().for_each(
      [&](mpi::Request& request) { known[mpi::Requests::handle(request)] = &request; });
  return known;
}

std::unordered_set<const mpi::Request*> PendingRequests::registered() const {
  std::unordered_set<const mpi::Request*> all;
  for (const auto& [name, array] : arrays_) {
    for (const MPI_Request handle : array.view()) {
      if (const auto* request = mpi::Requests::find(handle)) all.insert(request);
    }
  }
  return all;
}

std::size_t PendingRequests::registered_complete() const {
  std::size_t number = 0;
  for (const auto& [name, array] : arrays_) {
    for (const MPI_Request handle : array.view()) {
      number += handle == mpi::complete_requests.handle ? 1 : 0;
    }
  }
  return number;
}

std::optional<std::string> PendingRequests::refusal() const {
  const Known known = known_requests();
  std::unordered_set<const mpi::Request*> seen;
  for (const auto& [name, array] : arrays_) {
    const auto handles = array.view();
    for (std::size_t i = 0; i < handles.size(); ++i) {
      std::string problem;
      static_cast<void>(describe(handles[i], known, &problem));
      const auto found = known.find(handles[i]);
      if (found != known.end() && !seen.insert(found->second).second) {
        problem = "it is registered twice";
      }
      if (!problem.empty()) return fmt::format("request {} of \"{}\": {}", i, name, problem);
    }
  }
  return std::nullopt;
}

// ---- At the cut

/// The region that a receive's buffer lies in. One of no bytes needs none.
std::optional<PendingRequests::Place> PendingRequests::find_buffer(
    const mpi::Request& receive) const {
  const Extent extent = extent_of(receive.count, receive.type);
  if (extent.begin == extent.end) return Place{};
  const auto address = reinterpret_cast<std::intptr_t>(receive.buffer);
  for (const auto& item : registry_.items()) {
    if (!item.view) continue;
    const auto region = item.view();
    const auto first = reinterpret_cast<std::intptr_t>(region.data());
    const auto end = first + static_cast<std::intptr_t>(region.size());
    if (address + extent.begin >= first && address + extent.end <= end) {
      return Place{item.entry.name, address - first};
    }
  }
  return std::nullopt;
}

json PendingRequests::describe_receive(const mpi::Request& receive, std::string* problem) const {
  json described{{"is", is_cancelled(receive) ? "cancelled" : "receive"},
                 {"order", receive.stamp},
                 {"communicator", fmt::format("{:016x}", receive.communicator->id)},
                 {"source", receive.peer},
                 {"tag", receive.tag},
                 {"persistent", receive.persistent}};
  if (receive.persistent || described["is"] == "cancelled") return described;
  const auto place = find_buffer(receive);
  const auto type = describe_datatype(receive.type);
  if (!place) {
    *problem =
        fmt::format("{} is pending, and its buffer is in no protected memory; protect() that, too",
                    name_of(receive));
  } else if (!type) {
    *problem = fmt::format(
        "{} is pending, and its datatype can't be made again by a restart; "
        "complete it before the safe point, or use another type",
        name_of(receive));
  } else {
    described["count"] = receive.count;
    described["type"] = *type;
    described["region"] = place->region;
    described["offset"] = place->offset;
  }
  return described;
}

json PendingRequests::describe(MPI_Request handle, const Known& known, std::string* problem) const {
  if (handle == MPI_REQUEST_NULL) return {{"is", "null"}};
  if (mpi::Requests::find(handle) == nullptr) {
    if (!is_complete(handle)) *problem = "it is of a kind that a restart can't bring back";
    return {{"is", "none"}};
  }
  const auto found = known.find(handle);
  if (found == known.end()) return {{"is", "null"}};  // left over from a request that is complete
  const mpi::Request& request = *found->second;
  if (request.active() && request.kind == Kind::receive && !request.observed) {
    return describe_receive(request, problem);
  }
  return {{"is", request.persistent ? "inactive" : "null"}};
}

// ---- Restart

void PendingRequests::begin_restart() {
  for (auto& [name, array] : arrays_) {
    const auto handles = array.view();
    array.before.assign(handles.begin(), handles.end());
    array.loaded = nullptr;
  }
}

Status PendingRequests::prepare() {
  try {
    return prepare_all();
  } catch (const json::exception& error) {
    return {Code::corruption, fmt::format("requests are not described well: {}", error.what())};
  }
}

Status PendingRequests::prepare_all() {
  postings_.clear();
  for (auto& [name, array] : arrays_) {
    if (auto status = prepare(name, array); !status) return status;
  }
  return {};
}

Status PendingRequests::prepare(const std::string& name, Array& array) {
  const auto handles = array.view();
  if (handles.size() != array.loaded.size() || handles.size() != array.before.size()) {
    return {Code::invalid_argument,
            fmt::format("\"{}\" has {} requests in the checkpoint and {} in the program; run the "
                        "program with the settings of the checkpoint, or start over with "
                        "CAIRN_RESTART=never",
                        name, array.loaded.size(), handles.size())};
  }
  const Known known = known_requests();
  for (std::size_t i = 0; i < handles.size(); ++i) {
    const json& stored = array.loaded[i];
    if (stored.at("is") != "receive" && stored.at("is") != "cancelled") continue;
    Posting posting;
    posting.handle = &handles[i];
    const auto own = known.find(array.before[i]);
    if (own != known.end() && own->second->persistent) posting.persistent = own->second;
    if (auto problem = prepare_receive(stored, posting); !problem.empty()) {
      return {Code::invalid_argument,
              fmt::format("request {} of \"{}\", a receive from {} with tag {} that was pending at "
                          "the checkpoint, can't be posted again: {}",
                          i, name, stored.at("source").get<int>(), stored.at("tag").get<int>(),
                          problem)};
    }
    postings_.push_back(std::move(posting));
  }
  return {};
}

/// Returns what is in the way, or nothing.
std::string PendingRequests::prepare_receive(const json& stored, Posting& posting) {
  posting.order = stored.at("order");
  posting.peer = stored.at("source");
  posting.tag = stored.at("tag");
  posting.cancelled = stored.at("is") == "cancelled";
  const auto id = std::stoull(stored.at("communicator").get<std::string>(), nullptr, 16);
  const auto found = layer_.communicators().find(id);
  if (found == layer_.communicators().end()) {
    return "the program has not made its communicator before restart(); make long-lived "
           "communicators before, in the same order as in the first run";
  }
  posting.communicator = found->second.get();
  if (!stored.at("persistent").get<bool>()) {
    posting.persistent = nullptr;
    return posting.cancelled ? "" : prepare_buffer(stored, posting);
  }
  const mpi::Request* own = posting.persistent;
  if (own == nullptr || own->kind != Kind::receive) {
    return "it was persistent; make it with MPI_Recv_init before restart()";
  }
  if (own->communicator != posting.communicator || own->peer != posting.peer ||
      own->tag != posting.tag) {
    return "the program has made its persistent request with other arguments";
  }
  return {};
}

std::string PendingRequests::prepare_buffer(const json& stored, Posting& posting) {
  posting.count = stored.at("count");
  posting.type = make_datatype(stored.at("type"));
  if (posting.type.get() == MPI_DATATYPE_NULL) return "its datatype is not known here";
  const Extent extent = extent_of(posting.count, posting.type.get());
  if (extent.begin == extent.end) return {};
  const std::string name = stored.at("region");
  const std::ptrdiff_t offset = stored.at("offset");
  const auto& items = registry_.items();
  const auto item = std::find_if(items.begin(), items.end(), [&](const capture::Item& one) {
    return one.view && one.entry.name == name;
  });
  if (item == items.end()) return fmt::format("\"{}\" is not protected", name);
  const auto region = item->view();
  if (offset + extent.begin < 0 ||
      offset + extent.end > static_cast<std::ptrdiff_t>(region.size())) {
    return fmt::format("\"{}\" is too small", name);
  }
  posting.buffer = region.data() + offset;
  return {};
}

MPI_Request PendingRequests::post(Posting& posting) {
  if (posting.persistent != nullptr && !posting.cancelled) {
    layer_.post(*posting.persistent);
    return mpi::Requests::handle(*posting.persistent);
  }
  mpi::Request* request = posting.persistent;
  if (request == nullptr) {
    request = &layer_.new_request(Kind::receive, "MPI_Irecv", *posting.communicator, posting.peer,
                                  posting.tag);
    request->buffer = posting.buffer;
    request->count = posting.count;
    request->own_type = posting.type.owned();
    request->type = posting.cancelled ? MPI_BYTE : posting.type.release();
  }
  if (posting.cancelled) {
    layer_.wire().complete_cancelled(*request);
    request->cancelled = true;
  } else {
    layer_.post(*request);
  }
  return mpi::Requests::handle(*request);
}

void PendingRequests::finish_restart() {
  const Known known = known_requests();
  for (auto& [name, array] : arrays_) {
    const auto handles = array.view();
    for (std::size_t i = 0; i < handles.size(); ++i) {
      const std::string is = array.loaded[i].at("is");
      // The program's own persistent requests stay what they are, those to MPI_PROC_NULL included.
      handles[i] = is == "null" ? MPI_REQUEST_NULL : array.before[i];
      if (is == "none" && handles[i] == MPI_REQUEST_NULL) {
        const int error =
            mpi::native.Irecv(nullptr, 0, MPI_BYTE, MPI_PROC_NULL, 0, MPI_COMM_WORLD, &handles[i]);
        mpi::complete_requests.begun(error, handles[i]);
      }
    }
    array.loaded = nullptr;
    array.before.clear();
  }
  std::sort(postings_.begin(), postings_.end(),
            [](const Posting& a, const Posting& b) { return a.order < b.order; });
  for (Posting& posting : postings_) *posting.handle = post(posting);
  postings_.clear();
}

}  // namespace cairn
