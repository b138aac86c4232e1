// cairn.h on top of cairn::Session.
#include <string>

#include <cairn/cairn.h>
#include <cairn/session.hpp>

#define CAIRN_EXPORT extern "C" __attribute__((visibility("default")))

struct cairn_session {
  cairn::Session session;
};

namespace {

std::string last_error;

int fail(cairn::Code code, std::string message) {
  last_error = std::move(message);
  return static_cast<int>(code);
}

int result(const cairn::Status& status) {
  return status ? 0 : fail(status.code(), status.message());
}

/// Calls `use` with a null pointer of the C++ type that `type` names.
template <class Use>
int with_type(cairn_type type, Use&& use) {
  switch (type) {
    case CAIRN_INT8: use(static_cast<std::int8_t*>(nullptr)); return 0;
    case CAIRN_INT16: use(static_cast<std::int16_t*>(nullptr)); return 0;
    case CAIRN_INT32: use(static_cast<std::int32_t*>(nullptr)); return 0;
    case CAIRN_INT64: use(static_cast<std::int64_t*>(nullptr)); return 0;
    case CAIRN_UINT8: use(static_cast<std::uint8_t*>(nullptr)); return 0;
    case CAIRN_UINT16: use(static_cast<std::uint16_t*>(nullptr)); return 0;
    case CAIRN_UINT32: use(static_cast<std::uint32_t*>(nullptr)); return 0;
    case CAIRN_UINT64: use(static_cast<std::uint64_t*>(nullptr)); return 0;
    case CAIRN_FLOAT32: use(static_cast<float*>(nullptr)); return 0;
    case CAIRN_FLOAT64: use(static_cast<double*>(nullptr)); return 0;
  }
  return fail(cairn::Code::invalid_argument,
              "unknown cairn_type " + std::to_string(static_cast<int>(type)));
}

}  // namespace

CAIRN_EXPORT cairn_session* cairn_open(MPI_Comm comm) {
  return new cairn_session{cairn::Session{comm}};
}

CAIRN_EXPORT void cairn_close(cairn_session* session) { delete session; }

CAIRN_EXPORT int cairn_protect(cairn_session* session, const char* name, void* data, size_t count,
                               cairn_type type) {
  return with_type(type, [&](auto* element) {
    session->session.protect(name, static_cast<decltype(element)>(data), count);
  });
}

CAIRN_EXPORT int cairn_protect_bytes(cairn_session* session, const char* name, void* data,
                                     size_t bytes) {
  session->session.protect(name, static_cast<std::uint8_t*>(data), bytes);
  return 0;
}

CAIRN_EXPORT int cairn_protect_array(cairn_session* session, const char* name, void* data,
                                     cairn_type type, int dimensions, const uint64_t* global,
                                     const uint64_t* offset, const uint64_t* local) {
  if (dimensions < 1 || dimensions > 8) {
    return fail(cairn::Code::invalid_argument,
                "an array has 1 to 8 dimensions, not " + std::to_string(dimensions));
  }
  const auto n = static_cast<std::size_t>(dimensions);
  cairn::GlobalShape shape{{global, global + n}, {offset, offset + n}, {local, local + n}};
  std::size_t count = 1;
  for (const auto extent : shape.local) count *= extent;
  return with_type(type, [&](auto* element) {
    session->session.protect(name, static_cast<decltype(element)>(data), count, shape);
  });
}

CAIRN_EXPORT int cairn_protect_requests(cairn_session* session, const char* name,
                                        MPI_Request* requests, size_t count) {
  session->session.protect(name, requests, count);
  return 0;
}

CAIRN_EXPORT int cairn_protect_request(cairn_session* session, const char* name,
                                       MPI_Request* request) {
  return cairn_protect_requests(session, name, request, 1);
}

CAIRN_EXPORT uint64_t cairn_restart(cairn_session* session) { return session->session.restart(); }

CAIRN_EXPORT int cairn_safe_point(cairn_session* session) {
  return session->session.safe_point() ? 1 : 0;
}

CAIRN_EXPORT void cairn_safe_begin(cairn_session* session) { session->session.begin_safe_region(); }

CAIRN_EXPORT void cairn_safe_end(cairn_session* session) { session->session.end_safe_region(); }

CAIRN_EXPORT int cairn_checkpoint(cairn_session* session) {
  return result(session->session.checkpoint());
}

CAIRN_EXPORT uint64_t cairn_epoch(const cairn_session* session) { return session->session.epoch(); }

CAIRN_EXPORT const char* cairn_last_error(void) { return last_error.c_str(); }
