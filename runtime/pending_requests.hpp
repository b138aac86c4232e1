// Requests that the program has registered: what an epoch holds of those that are pending at its
// cut, and how a restart brings them back.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <cairn/status.hpp>

#include "mpi_bindings/channel_layer.hpp"
#include "runtime/capture/registry.hpp"
#include "runtime/datatype_record.hpp"

namespace cairn {

/// An epoch has each registered array of handles as an object of its name: JSON with one element
/// per handle (io/FORMAT.md). A receive that is pending at the cut is described, buffer and type
/// included; a restart posts it again, and it looks at the messages in flight first. A send is
/// complete after a restart: its message is in flight. Persistent requests are the program's own,
/// which it has made again before the restart; an active receive is started.
class PendingRequests {
 public:
  using View = std::function<std::span<MPI_Request>()>;

  PendingRequests(mpi::ChannelLayer& layer, capture::Registry& registry)
      : layer_(layer), registry_(registry) {}

  /// Registers an array, or replaces the one of that name. As capture::Registry::add().
  Status add(const std::string& name, View view);
  /// The name stands for something else from now on.
  void remove(const std::string& name) { arrays_.erase(name); }
  void clear() { arrays_.clear(); }

  /// What the registered handles stand for. Local.
  std::unordered_set<const mpi::Request*> registered() const;
  /// How many of them are complete requests. Local.
  std::size_t registered_complete() const;
  /// Why one of them can't be brought back by a restart; nothing when all can. Local.
  std::optional<std::string> refusal() const;

  // ---- A restart, in this order. Local.
  /// Before the program's memory is changed.
  void begin_restart();
  /// Whether what has been loaded fits the program. invalid_argument: says what does not. Regions
  /// must have their sizes already.
  Status prepare();
  /// Brings all back, in the order in which they were posted. Messages in flight must be in the
  /// store.
  void finish_restart();

 private:
  struct Array {
    View view;
    nlohmann::json loaded;
    std::vector<MPI_Request> before;  ///< handles as they were at the restart
  };
  /// A receive that a restart posts.
  struct Posting {
    std::uint64_t order = 0;
    MPI_Request* handle = nullptr;
    mpi::Request* persistent = nullptr;  ///< the program's own, or else:
    mpi::Communicator* communicator = nullptr;
    int peer = 0;
    int tag = 0;
    int count = 0;
    std::byte* buffer = nullptr;
    OwnDatatype type;
    bool cancelled = false;
  };
  using Known = std::unordered_map<MPI_Request, mpi::Request*>;
  struct Place {
    std::string region;
    std::ptrdiff_t offset = 0;
  };

  Known known_requests() const;
  std::optional<Place> find_buffer(const mpi::Request& receive) const;
  nlohmann::json describe(MPI_Request handle, const Known& known, std::string* problem) const;
  nlohmann::json describe_receive(const mpi::Request& receive, std::string* problem) const;
  Status prepare_all();
  Status prepare(const std::string& name, Array& array);
  std::string prepare_receive(const nlohmann::json& stored, Posting& posting);
  std::string prepare_buffer(const nlohmann::json& stored, Posting& posting);
  MPI_Request post(Posting& posting);

  mpi::ChannelLayer& layer_;
  capture::Registry& registry_;
  std::map<std::string, Array> arrays_;
  std::vector<Posting> postings_;
};

}  // namespace cairn
