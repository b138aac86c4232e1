// cairn.h on top of cairn::Session. A wrong call is answered with a code and one line.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <unordered_set>
#include <utility>

#include <cairn/cairn.h>
#include <cairn/session.hpp>

#include "base/log.hpp"
#include "runtime/session_impl.hpp"

#define CAIRN_EXPORT extern "C" __attribute__((visibility("default")))

struct cairn_session {
  explicit cairn_session(std::unique_ptr<cairn::SessionImpl> impl) : session(std::move(impl)) {}
  cairn::SessionImpl& impl() const { return *session.impl_; }

  cairn::Session session;
};

namespace {

using cairn::Code;
using cairn::Status;

std::string last_error;
cairn_session* open_session = nullptr;  ///< there is at most one
bool open_failed = false;               ///< the last cairn_open has said why

int fail(const Status& status) {
  last_error = status.message();
  return static_cast<int>(status.code());
}

/// A wrong call may be made at every step: each line is printed once.
int report(const char* call, const Status& status, bool print = true) {
  if (status) return 0;
  static std::unordered_set<std::string> known;
  const Status named{status.code(), fmt::format("{}: {}", call, status.message())};
  if (print && known.insert(named.message()).second) cairn::log::error("{}", named.message());
  return fail(named);
}

Status invalid(std::string message) { return {Code::invalid_argument, std::move(message)}; }

/// Whether `session` can be used; says so when not. It is not looked into before.
int check(const char* call, const cairn_session* session) {
  if (session == nullptr && open_failed) {  // one line is enough
    return fail(invalid(fmt::format("{}: there is no session: cairn_open has failed", call)));
  }
  if (session == nullptr) {
    return report(call, invalid("the session is null; cairn_open makes one"));
  }
  if (session != open_session) {
    return report(call, invalid("this session has been closed; cairn_open makes another"));
  }
  return report(call, session->impl().usable());
}

int check(const char* call, const cairn_session* session, const char* name) {
  if (const int code = check(call, session); code != 0 || name != nullptr) return code;
  return report(call, session->impl().refuse_to_protect(
                          "", invalid("a name is null: give it one, the same on every rank")));
}

struct Element {
  cairn::ElementType type;
  std::size_t bytes;
};

/// No bytes: there is no such type.
Element element_of(cairn_type type) {
  using cairn::ElementType;
  switch (type) {
    case CAIRN_INT8: return {ElementType::int8, 1};
    case CAIRN_INT16: return {ElementType::int16, 2};
    case CAIRN_INT32: return {ElementType::int32, 4};
    case CAIRN_INT64: return {ElementType::int64, 8};
    case CAIRN_UINT8: return {ElementType::uint8, 1};
    case CAIRN_UINT16: return {ElementType::uint16, 2};
    case CAIRN_UINT32: return {ElementType::uint32, 4};
    case CAIRN_UINT64: return {ElementType::uint64, 8};
    case CAIRN_FLOAT32: return {ElementType::float32, 4};
    case CAIRN_FLOAT64: return {ElementType::float64, 8};
  }
  return {ElementType::opaque, 0};
}

int protect(const char* call, cairn_session* session, const char* name, void* data,
            std::size_t count, cairn_type type, cairn::GlobalShape shape) {
  cairn::SessionImpl& impl = session->impl();
  const Element element = element_of(type);
  if (element.bytes > 0) {
    return report(call,
                  impl.protect(name, element.type, element.bytes, data, count, std::move(shape)));
  }
  return report(call, impl.refuse_to_protect(
                          name, invalid(fmt::format("\"{}\" can't be protected: there is no "
                                                    "cairn_type {}; see cairn.h",
                                                    name, static_cast<int>(type)))));
}

}  // namespace

CAIRN_EXPORT cairn_session* cairn_open(MPI_Comm comm) {
  auto impl = cairn::open_session(comm, {});
  open_failed = !impl;
  if (open_failed) {
    // All ranks have the same reason; a process that is not in MPI knows of no other.
    int over = 0;
    int rank = 0;
    PMPI_Finalized(&over);
    if (cairn::mpi::layer != nullptr && over == 0) PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    report("cairn_open", impl.status(), rank == 0);
    return nullptr;
  }
  open_session = new cairn_session{std::move(*impl)};
  return open_session;
}

CAIRN_EXPORT void cairn_close(cairn_session* session) {
  if (session == nullptr) return;
  if (session != open_session) {
    check("cairn_close", session);
    return;
  }
  open_session = nullptr;
  delete session;
}

CAIRN_EXPORT int cairn_protect(cairn_session* session, const char* name, void* data, size_t count,
                               cairn_type type) {
  const char* call = "cairn_protect";
  if (const int code = check(call, session, name); code != 0) return code;
  return protect(call, session, name, data, count, type, {});
}

CAIRN_EXPORT int cairn_protect_bytes(cairn_session* session, const char* name, void* data,
                                     size_t bytes) {
  const char* call = "cairn_protect_bytes";
  if (const int code = check(call, session, name); code != 0) return code;
  return protect(call, session, name, data, bytes, CAIRN_UINT8, {});
}

CAIRN_EXPORT int cairn_protect_array(cairn_session* session, const char* name, void* data,
                                     cairn_type type, int dimensions, const uint64_t* global,
                                     const uint64_t* offset, const uint64_t* local) {
  const char* call = "cairn_protect_array";
  if (const int code = check(call, session, name); code != 0) return code;
  const auto refuse = [&](const std::string& why) {
    return report(call,
                  session->impl().refuse_to_protect(
                      name, invalid(fmt::format("\"{}\" can't be protected: {}", name, why))));
  };
  if (dimensions < 1 || dimensions > 8) {
    return refuse(fmt::format("an array has 1 to 8 dimensions, not {}", dimensions));
  }
  if (global == nullptr || offset == nullptr || local == nullptr) {
    return refuse("global, offset or local is null");
  }
  const auto n = static_cast<std::size_t>(dimensions);
  cairn::GlobalShape shape{{global, global + n}, {offset, offset + n}, {local, local + n}};
  std::size_t count = 1;
  for (const auto extent : shape.local) count *= extent;  // a shape that is too large is refused
  return protect(call, session, name, data, count, type, std::move(shape));
}

CAIRN_EXPORT int cairn_protect_requests(cairn_session* session, const char* name,
                                        MPI_Request* requests, size_t count) {
  const char* call = "cairn_protect_requests";
  if (const int code = check(call, session, name); code != 0) return code;
  cairn::SessionImpl& impl = session->impl();
  if (requests == nullptr && count > 0) {
    return report(call, impl.refuse_to_protect(
                            name, invalid(fmt::format("\"{}\" can't be protected: the array of "
                                                      "requests is null",
                                                      name))));
  }
  return report(call, impl.protect(std::string{name}, [=] { return std::span{requests, count}; }));
}

CAIRN_EXPORT int cairn_protect_request(cairn_session* session, const char* name,
                                       MPI_Request* request) {
  return cairn_protect_requests(session, name, request, 1);
}

CAIRN_EXPORT int cairn_unprotect(cairn_session* session, const char* name) {
  constexpr const char* call = "cairn_unprotect";
  if (const int code = check(call, session, name); code != 0) return code;
  return report(call, session->impl().unprotect(name));
}

CAIRN_EXPORT int cairn_protect_later(cairn_session* session, const char* name) {
  if (const int code = check("cairn_protect_later", session, name); code != 0) return code;
  session->impl().late.expect(name);
  return 0;
}

CAIRN_EXPORT uint64_t cairn_restart(cairn_session* session) {
  return check("cairn_restart", session) == 0 ? session->session.restart() : 0;
}

CAIRN_EXPORT int cairn_safe_point(cairn_session* session) {
  return check("cairn_safe_point", session) == 0 && session->session.safe_point() ? 1 : 0;
}

CAIRN_EXPORT void cairn_safe_begin(cairn_session* session) {
  if (check("cairn_safe_begin", session) == 0) session->session.begin_safe_region();
}

CAIRN_EXPORT void cairn_safe_end(cairn_session* session) {
  const char* call = "cairn_safe_end";
  if (check(call, session) == 0) report(call, session->impl().end_safe_region());
}

CAIRN_EXPORT int cairn_checkpoint(cairn_session* session) {
  if (const int code = check("cairn_checkpoint", session); code != 0) return code;
  const Status status = session->session.checkpoint();
  return status ? 0 : fail(status);  // the session has said why
}

CAIRN_EXPORT uint64_t cairn_epoch(const cairn_session* session) {
  // Its number is known after MPI_Finalize, too.
  if (session != nullptr && session == open_session) return session->session.epoch();
  check("cairn_epoch", session);
  return 0;
}

CAIRN_EXPORT const char* cairn_last_error(void) { return last_error.c_str(); }
