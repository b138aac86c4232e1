/* Cairn's C interface.
 *
 * Rules:
 *  1. cairn_session is opaque; cairn_open makes it, cairn_close frees it (also after
 *     MPI_Finalize). At most one exists at a time.
 *  2. Names are copied; protected memory is not: it must stay valid until cairn_close.
 *  3. No pointer may be null unless it says so.
 *  4. Functions that can fail return 0 or a cairn_code; cairn_last_error() then has one line.
 *  5. A wrong call prints one line, does nothing else, and the program goes on. While something is
 *     not protected because of it, no checkpoint is taken: a restart would not restore it.
 *  6. Call them from the thread that calls MPI. What is collective, and in which order to call,
 *     is as in <cairn/session.hpp>.
 */
#ifndef CAIRN_CAIRN_H
#define CAIRN_CAIRN_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cairn_session cairn_session;

typedef enum {
  CAIRN_OK = 0,
  CAIRN_INVALID_ARGUMENT = 1,
  CAIRN_NOT_FOUND = 2,
  CAIRN_CORRUPTION = 3,
  CAIRN_IO_ERROR = 4,
  CAIRN_MPI_ERROR = 5,
  CAIRN_UNSUPPORTED = 6,
  CAIRN_BUSY = 7
} cairn_code;

typedef enum {
  CAIRN_INT8 = 1,
  CAIRN_INT16,
  CAIRN_INT32,
  CAIRN_INT64,
  CAIRN_UINT8,
  CAIRN_UINT16,
  CAIRN_UINT32,
  CAIRN_UINT64,
  CAIRN_FLOAT32,
  CAIRN_FLOAT64
} cairn_type;

/* Starts a session with default options and the CAIRN_* variables. Collective over MPI_COMM_WORLD,
 * whose ranks `comm` must have, in their order. Ends the program with status 2 when a setting is
 * wrong. Null, on every rank, when there can't be one: before MPI_Init, after MPI_Finalize, when
 * another is open, with another `comm`. All calls take that null and do nothing. */
cairn_session* cairn_open(MPI_Comm comm);

/* Ends the session. Local. `session` may be null. */
void cairn_close(cairn_session* session);

/* Protects `count` elements of `type` at `data`, which may be null when `count` is 0. A name that
 * is protected again replaces the earlier one. Local. */
int cairn_protect(cairn_session* session, const char* name, void* data, size_t count,
                  cairn_type type);

/* Protects `bytes` bytes without an element type (a struct, say). Local. */
int cairn_protect_bytes(cairn_session* session, const char* name, void* data, size_t bytes);

/* Protects a slab of an array that is spread over the ranks: `global`, `offset` and `local` have
 * `dimensions` (1 to 8) values in elements, slowest first; `data` has the product of `local`. */
int cairn_protect_array(cairn_session* session, const char* name, void* data, cairn_type type,
                        int dimensions, const uint64_t* global, const uint64_t* offset,
                        const uint64_t* local);

/* Protects `count` requests that may be pending at a safe point: restart posts receives again, into
 * memory that must be protected, too. See cairn::Session::protect(name, MPI_Request&). Local. */
int cairn_protect_requests(cairn_session* session, const char* name, MPI_Request* requests,
                           size_t count);
int cairn_protect_request(cairn_session* session, const char* name, MPI_Request* request);

/* The name is in no later checkpoint. Local; on every rank, between the same two safe points. */
int cairn_unprotect(cairn_session* session, const char* name);

/* Before cairn_restart: the program may protect this name only after it; if the checkpoint has it,
 * it is restored then. For what a program has in some of its phases only. Local. */
int cairn_protect_later(cairn_session* session, const char* name);

/* Restores everything protected and the messages in flight. Collective. Returns the epoch, or 0
 * for a fresh start; a second call restores nothing and returns the same again. */
uint64_t cairn_restart(cairn_session* session);

/* A safe point: a checkpoint is taken here when one is due. Returns 1 when one has been committed
 * since the last safe point and 0 otherwise (see cairn::Session::safe_point). */
int cairn_safe_point(cairn_session* session);

/* Between the two, a blocking MPI_Recv, MPI_Probe or MPI_Mprobe counts as a safe point of the
 * marker cut (CAIRN_CUT=marker): the protected state is complete, the call's buffer is not part of
 * it, and after a restart the program makes the call again. Local; they nest. */
void cairn_safe_begin(cairn_session* session);
void cairn_safe_end(cairn_session* session);

/* A checkpoint now. Collective. */
int cairn_checkpoint(cairn_session* session);

/* Epoch committed or restarted from last; 0 for none. Local. */
uint64_t cairn_epoch(const cairn_session* session);

/* One line about the last call of this process that failed; "" when none has. Never null. */
const char* cairn_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
