// The session: what a program protects, where it can be checkpointed, and its restart.
#pragma once

#include <mpi.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include <cairn/element_type.hpp>
#include <cairn/options.hpp>
#include <cairn/status.hpp>

struct cairn_session;  // of the C interface

namespace cairn {

/// Where a rank's slab lies in an array that is spread over the ranks; all in elements, row-major,
/// slowest dimension first, at most 8 dimensions. The ranks' slabs must not overlap.
struct GlobalShape {
  std::vector<std::uint64_t> global;  ///< shape of the whole array, the same on every rank
  std::vector<std::uint64_t> offset;  ///< first element of this rank's slab
  std::vector<std::uint64_t> local;   ///< shape of this rank's slab
};

class SessionImpl;
namespace capture {
struct Item;
}

/// What protect(name, value) takes: trivially copyable, and neither a pointer nor a view.
template <class T>
concept Value = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> && !requires(T view) {
  std::span{view}.data() == view.data();
};

/// One checkpointed program. At most one exists at a time; it lives between MPI_Init and
/// MPI_Finalize and may be destroyed after MPI_Finalize (MPI_Finalize ends its work). Not thread
/// safe: call it from the thread that calls MPI.
///
/// Bad settings (a CAIRN_* value, a checkpoint that does not fit this program) end the program with
/// one line on standard error and exit status 2, and damaged checkpoints without a good one with
/// exit status 1, before any work is done. A failing checkpoint never ends the program.
class __attribute__((visibility("default"))) Session {
 public:
  /// Collective over MPI_COMM_WORLD; `comm` must have the same ranks in the same order.
  /// No message of the program may be in flight that restart() would have to know of.
  explicit Session(MPI_Comm comm, Options options = {});
  /// Local.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // ---- What to save. Local; call before restart() (see protect_later() for what is made only
  // afterwards), on every rank with the same names in the same
  // order. A name that is protected again replaces the earlier one (for memory that has moved).
  // The memory is read at safe points and must stay valid until the session ends.

  /// A trivially copyable value. Stored as one element per rank.
  template <Value T>
  void protect(std::string_view name, T& value) {
    protect_fixed(name, element_type_of<T>(), sizeof(T), &value, 1, {});
  }
  /// `count` elements from `data`. A restart requires the same count on each rank.
  template <class T>
  void protect(std::string_view name, T* data, std::size_t count, GlobalShape shape = {}) {
    protect_fixed(name, element_type_of<T>(), sizeof(T), data, count, std::move(shape));
  }
  /// The elements of a std::array, one after another.
  template <class T, std::size_t N>
  void protect(std::string_view name, std::array<T, N>& values) {
    protect_fixed(name, element_type_of<T>(), sizeof(T), values.data(), N, {});
  }
  /// Contiguous memory. A restart requires the same count on each rank.
  template <class T>
  void protect(std::string_view name, std::span<T> data, GlobalShape shape = {}) {
    protect_fixed(name, element_type_of<T>(), sizeof(T), data.data(), data.size(),
                  std::move(shape));
  }
  /// The elements that `vector` has at each safe point (it may be swapped or reallocated between
  /// them). A restart requires the same size on each rank. With a shape, the size must be the
  /// product of shape.local.
  template <class T>
  void protect(std::string_view name, std::vector<T>& vector, GlobalShape shape = {}) {
    protect_memory(
        name, element_type_of<T>(), sizeof(T),
        [&vector] { return std::as_writable_bytes(std::span{vector}); }, std::move(shape), nullptr);
  }
  /// As protect(name, vector), but a restart gives the vector the size that was stored.
  template <class T>
  void protect_resizable(std::string_view name, std::vector<T>& vector) {
    protect_memory(
        name, element_type_of<T>(), sizeof(T),
        [&vector] { return std::as_writable_bytes(std::span{vector}); }, {},
        [&vector](std::size_t count) { vector.resize(count); });
  }
  /// A request that may be pending at a safe point, or several. Each handle is a pending request,
  /// MPI_REQUEST_NULL, or a persistent request; so also at the first safe point and at restart().
  /// restart() posts a receive that was pending again, ahead of all others, so the program must
  /// not. Its buffer has to lie in a protected region: that memory is received into, wherever the
  /// region is then. A send that was pending is complete (MPI_REQUEST_NULL); what it has sent
  /// arrives. Persistent requests the program makes again before restart(), which starts those
  /// receives that were active. Requests of collective operations can't be kept so, nor those on a
  /// communicator that is made only after restart(). A receive that MPI_Request_get_status has
  /// shown to be complete counts as received: its handle is MPI_REQUEST_NULL.
  void protect(std::string_view name, MPI_Request& request) {
    protect_requests(name, [&request] { return std::span{&request, 1}; });
  }
  void protect(std::string_view name, MPI_Request* requests, std::size_t count) {
    protect_requests(name, [requests, count] { return std::span{requests, count}; });
  }
  void protect(std::string_view name, std::span<MPI_Request> requests) {
    protect_requests(name, [requests] { return requests; });
  }
  template <std::size_t N>
  void protect(std::string_view name, MPI_Request (&requests)[N]) {
    protect(name, std::span<MPI_Request>{requests});
  }
  template <std::size_t N>
  void protect(std::string_view name, std::array<MPI_Request, N>& requests) {
    protect(name, std::span<MPI_Request>{requests});
  }
  /// The vector has as many elements at restart() as at the checkpoint.
  void protect(std::string_view name, std::vector<MPI_Request>& requests) {
    protect_requests(name, [&requests] { return std::span{requests}; });
  }

  /// Any type that Boost.Serialization can save and load. Include <cairn/serialize.hpp> and link
  /// boost_serialization. It is serialized anew at each checkpoint.
  template <class T>
  void serialize(std::string_view name, T& object);

  /// The name is in no later checkpoint. Local; on every rank, between the same two safe points.
  /// not_found: it is not protected.
  Status unprotect(std::string_view name);
  /// Before restart(): the program may protect this name, or serialize it, only after restart(); if
  /// the checkpoint has it, it is restored then. For what a program has in some of its phases only.
  void protect_later(std::string_view name);

  /// Restores everything protected from the checkpoint that Options::restart chooses, and the
  /// messages that were in flight. Collective; call once, after everything is protected and the
  /// program's long-lived communicators exist, when none of its messages is in flight. A later
  /// session of the same process in the same directory continues from the earlier one's
  /// checkpoints. Returns the epoch, or 0 for a fresh start (nothing is changed then). A second
  /// call restores nothing and returns the same again.
  std::uint64_t restart();

  /// Says that the protected state is complete and the program could be started again from here:
  /// no MPI request pending but those that are protected (or see Options::pending_requests).
  /// Aligned: every rank must pass the same number of safe points, at the
  /// same places relative to its collective calls. Cheap when no checkpoint is due. Returns true
  /// when a checkpoint has been committed since the last safe point: on every rank alike with the
  /// protocol coordinated; else the ranks learn of it at different safe points.
  bool safe_point();

  /// A safe point at which a checkpoint is taken now. Collective. Blocks until it is committed.
  /// The same code on every rank; on failure the program can simply go on.
  Status checkpoint();

  /// See SafeRegion. Local; they nest.
  void begin_safe_region();
  void end_safe_region();

  /// Epoch that was committed or restarted from last; 0 for none. Local.
  std::uint64_t epoch() const;
  /// Number of safe points passed, counted over all restarts. Local.
  std::uint64_t safe_points() const;

 private:
  friend struct ::cairn_session;
  explicit Session(std::unique_ptr<SessionImpl> impl);

  using View = std::function<std::span<std::byte>()>;
  using Resize = std::function<void(std::size_t count)>;
  using Save = std::function<void(std::vector<std::byte>& bytes)>;
  using Load = std::function<void(std::span<const std::byte> bytes)>;

  void protect_fixed(std::string_view name, ElementType type, std::size_t element_bytes, void* data,
                     std::size_t count, GlobalShape shape);
  void protect_memory(std::string_view name, ElementType type, std::size_t element_bytes, View view,
                      GlobalShape shape, Resize resize);
  void protect_object(std::string_view name, Save save, Load load);
  using RequestView = std::function<std::span<MPI_Request>()>;
  void protect_requests(std::string_view name, RequestView view);
  void add_item(capture::Item item);
  static void check_protected(const Status& status);

  std::unique_ptr<SessionImpl> impl_;
};

/// While it lives, a blocking MPI_Recv, MPI_Probe or MPI_Mprobe of this rank counts as a safe point
/// of the marker cut (Options::cut): the protected state is complete, the call's buffer is not part
/// of it, and after a restart the program makes the call again.
class SafeRegion {
 public:
  explicit SafeRegion(Session& session) : session_(session) { session_.begin_safe_region(); }
  ~SafeRegion() { session_.end_safe_region(); }
  SafeRegion(const SafeRegion&) = delete;
  SafeRegion& operator=(const SafeRegion&) = delete;

 private:
  Session& session_;
};

}  // namespace cairn
