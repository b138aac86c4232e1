/* Calls the C interface rightly and wrongly; c_interface_test.py runs it and reads what Cairn says.
 *   c_interface SCENARIO
 * Exit status: 0 when every call did what cairn.h says. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cairn/cairn.h>

static int failures = 0;
static int rank = 0;
static int ranks = 1;

#define EXPECT(condition)                                                        \
  do {                                                                           \
    if (!(condition)) {                                                          \
      fprintf(stderr, "rank %d, line %d: not %s\n", rank, __LINE__, #condition); \
      ++failures;                                                                \
    }                                                                            \
  } while (0)
#define EXPECT_WRONG(call)                                                \
  do {                                                                    \
    EXPECT((call) == CAIRN_INVALID_ARGUMENT);                             \
    EXPECT(strncmp(cairn_last_error(), #call, strcspn(#call, "(")) == 0); \
  } while (0)

static void begin_mpi(void) {
  MPI_Init(NULL, NULL);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
}

/* Every call with a session that can't be used. */
static void use_in_vain(cairn_session* session) {
  double u[4] = {0, 0, 0, 0};
  MPI_Request request = MPI_REQUEST_NULL;
  const uint64_t global = 4, offset = 0, local = 4;
  EXPECT_WRONG(cairn_protect(session, "u", u, 4, CAIRN_FLOAT64));
  EXPECT_WRONG(cairn_protect(session, NULL, u, 4, CAIRN_FLOAT64));
  EXPECT_WRONG(cairn_protect_bytes(session, "u", u, sizeof u));
  EXPECT_WRONG(cairn_protect_array(session, "u", u, CAIRN_FLOAT64, 1, &global, &offset, &local));
  EXPECT_WRONG(cairn_protect_requests(session, "r", &request, 1));
  EXPECT(cairn_protect_request(session, "r", &request) == CAIRN_INVALID_ARGUMENT);
  EXPECT(cairn_restart(session) == 0);
  for (int i = 0; i < 100; ++i) EXPECT(cairn_safe_point(session) == 0);
  cairn_safe_begin(session);
  cairn_safe_end(session);
  EXPECT_WRONG(cairn_checkpoint(session));
}

/* ---- Right calls */

static void all_calls(void) {
  int8_t i8 = 0;
  int16_t i16 = 0;
  int32_t i32 = 0;
  int64_t i64 = 0;
  uint8_t u8 = 0;
  uint16_t u16 = 0;
  uint32_t u32 = 0;
  uint64_t u64 = 0;
  float f32 = 0;
  double f64 = 0;
  struct {
    int a;
    char b[3];
  } record = {0, {0, 0, 0}};
  double first[3] = {0, 0, 0};
  double moved[3] = {0, 0, 0};
  double slab[2][3] = {{0, 0, 0}, {0, 0, 0}};
  uint64_t global[2] = {2, 3}, offset[2] = {2, 0}, local[2] = {2, 3};
  MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  char longest[256];
  memset(longest, 'n', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  begin_mpi();
  global[0] *= (uint64_t)ranks;
  offset[0] *= (uint64_t)rank;

  EXPECT(strcmp(cairn_last_error(), "") == 0);
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  EXPECT(session != NULL);
  EXPECT(cairn_protect(session, "i8", &i8, 1, CAIRN_INT8) == CAIRN_OK);
  EXPECT(cairn_protect(session, "i16", &i16, 1, CAIRN_INT16) == CAIRN_OK);
  EXPECT(cairn_protect(session, "i32", &i32, 1, CAIRN_INT32) == CAIRN_OK);
  EXPECT(cairn_protect(session, "i64", &i64, 1, CAIRN_INT64) == CAIRN_OK);
  EXPECT(cairn_protect(session, "u8", &u8, 1, CAIRN_UINT8) == CAIRN_OK);
  EXPECT(cairn_protect(session, "u16", &u16, 1, CAIRN_UINT16) == CAIRN_OK);
  EXPECT(cairn_protect(session, "u32", &u32, 1, CAIRN_UINT32) == CAIRN_OK);
  EXPECT(cairn_protect(session, "u64", &u64, 1, CAIRN_UINT64) == CAIRN_OK);
  EXPECT(cairn_protect(session, "f32", &f32, 1, CAIRN_FLOAT32) == CAIRN_OK);
  EXPECT(cairn_protect(session, "a/b 100% \xc3\xa9 \xff", &f64, 1, CAIRN_FLOAT64) == CAIRN_OK);
  EXPECT(cairn_protect(session, "nothing", NULL, 0, CAIRN_FLOAT64) == CAIRN_OK);
  EXPECT(cairn_protect_bytes(session, "no bytes", NULL, 0) == CAIRN_OK);
  EXPECT(cairn_protect_bytes(session, longest, &record, sizeof record) == CAIRN_OK);
  EXPECT(cairn_protect(session, "moved", first, 3, CAIRN_FLOAT64) == CAIRN_OK);
  EXPECT(cairn_protect(session, "moved", moved, 3, CAIRN_FLOAT64) == CAIRN_OK);
  EXPECT(cairn_protect_array(session, "slab", slab, CAIRN_FLOAT64, 2, global, offset, local) ==
         CAIRN_OK);
  EXPECT(cairn_protect_requests(session, "requests", requests, 2) == CAIRN_OK);
  EXPECT(cairn_protect_requests(session, "no requests", NULL, 0) == CAIRN_OK);
  EXPECT(cairn_epoch(session) == 0);

  const uint64_t epoch = cairn_restart(session);
  const int runs = (int)epoch; /* one epoch in each run */
  EXPECT(cairn_epoch(session) == epoch);
  EXPECT(i8 == runs && i16 == runs && i32 == runs && i64 == runs);
  EXPECT(u8 == runs && u16 == epoch && u32 == epoch && u64 == epoch);
  EXPECT(f32 == (float)runs && f64 == runs && record.a == runs && record.b[2] == runs);
  EXPECT(first[2] == 0 && moved[2] == runs && slab[1][2] == runs);
  ++i8, ++i16, ++i32, ++i64, ++u8, ++u16, ++u32, ++u64;
  f32 += 1, f64 += 1, moved[2] += 1, slab[1][2] += 1;
  ++record.a, ++record.b[2];

  cairn_safe_begin(session);
  cairn_safe_begin(session);
  cairn_safe_end(session);
  cairn_safe_end(session);
  EXPECT(cairn_checkpoint(session) == CAIRN_OK);
  EXPECT(cairn_epoch(session) == epoch + 1);
  EXPECT(strcmp(cairn_last_error(), "") == 0);
  cairn_close(session);
  cairn_close(NULL);
  if (rank == 0) printf("epoch %d\n", runs + 1);
  MPI_Finalize();
}

/* Requests that stay pending at a checkpoint. */
static void pending_requests(void) {
  int got[2] = {0, 0}, sent = 0;
  MPI_Request receive = MPI_REQUEST_NULL, other = MPI_REQUEST_NULL;
  begin_mpi();
  const int next = (rank + 1) % ranks, previous = (rank + ranks - 1) % ranks;
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  EXPECT(cairn_protect_requests(session, "got", &receive, 1) == CAIRN_OK); /* means memory now: */
  EXPECT(cairn_protect(session, "got", got, 2, CAIRN_INT32) == CAIRN_OK);
  EXPECT(cairn_protect_request(session, "receive", &receive) == CAIRN_OK);
  EXPECT(cairn_protect_request(session, "other", &other) == CAIRN_OK);
  if (cairn_restart(session) == 0) {
    MPI_Irecv(&got[1], 1, MPI_INT, previous, 1, MPI_COMM_WORLD, &receive);
    sent = 40 + rank;
    MPI_Send(&sent, 1, MPI_INT, next, 1, MPI_COMM_WORLD);
    other = receive;
    EXPECT(cairn_checkpoint(session) == CAIRN_BUSY); /* which of the two would be restored? */
    other = MPI_REQUEST_NULL;
    EXPECT(cairn_checkpoint(session) == CAIRN_OK);
  }
  MPI_Wait(&receive, MPI_STATUS_IGNORE);
  EXPECT(got[1] == 40 + previous);
  cairn_close(session);
  MPI_Finalize();
}

/* ---- Wrong calls */

static void outside_of_mpi(void) {
  EXPECT(cairn_open(MPI_COMM_WORLD) == NULL);
  use_in_vain(NULL);
  EXPECT(cairn_epoch(NULL) == 0);
  begin_mpi();
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  EXPECT(session != NULL);
  EXPECT(cairn_restart(session) == 0);
  EXPECT(cairn_checkpoint(session) == CAIRN_OK);
  MPI_Finalize();
  use_in_vain(session);
  EXPECT(cairn_epoch(session) == 1);
  cairn_close(session);
  EXPECT(cairn_open(MPI_COMM_WORLD) == NULL);
}

static void no_session(void) {
  begin_mpi();
  use_in_vain(NULL);
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  EXPECT(cairn_open(MPI_COMM_WORLD) == NULL);
  EXPECT(cairn_restart(session) == 0); /* the first one is as it was */
  EXPECT(cairn_checkpoint(session) == CAIRN_OK);
  cairn_close(session);
  use_in_vain(session);
  cairn_close(session);
  session = cairn_open(MPI_COMM_WORLD);
  EXPECT(session != NULL && cairn_restart(session) == 1);
  cairn_close(session);
  MPI_Finalize();
}

static void communicators(void) {
  MPI_Comm reversed = MPI_COMM_NULL, copy = MPI_COMM_NULL;
  begin_mpi();
  MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &reversed);
  MPI_Comm_dup(MPI_COMM_WORLD, &copy);
  EXPECT(cairn_open(MPI_COMM_NULL) == NULL);
  EXPECT(cairn_open(MPI_COMM_SELF) == NULL);
  EXPECT(cairn_open(reversed) == NULL);
  EXPECT(cairn_open(rank == 1 ? MPI_COMM_SELF : MPI_COMM_WORLD) == NULL);
  EXPECT(strstr(cairn_last_error(), "rank 1") != NULL);
  cairn_session* session = cairn_open(copy);
  EXPECT(session != NULL && cairn_restart(session) == 0);
  EXPECT(cairn_checkpoint(session) == CAIRN_OK);
  cairn_close(session);
  MPI_Comm_free(&reversed);
  MPI_Comm_free(&copy);
  MPI_Finalize();
}

/* What can't be protected keeps checkpoints from being taken until it is. */
static void protecting(void) {
  double u[4] = {0, 0, 0, 0};
  const uint64_t global[2] = {4, 1}, offset[2] = {0, 0}, local[2] = {4, 1};
  const uint64_t behind[2] = {1, 0}, zero[2] = {0, 0}, huge[2] = {1ull << 32, 1ull << 33};
  const void* const null = NULL;
  begin_mpi();
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  EXPECT_WRONG(cairn_protect(session, "u", NULL, 4, CAIRN_FLOAT64));
  EXPECT_WRONG(cairn_protect(session, "u", u, SIZE_MAX / 4, CAIRN_FLOAT64));
  EXPECT_WRONG(cairn_protect(session, "u", u, 4, (cairn_type)0));
  EXPECT_WRONG(cairn_protect(session, "u", u, 4, (cairn_type)99));
  EXPECT_WRONG(cairn_protect_bytes(session, "u", NULL, 1));
  EXPECT_WRONG(cairn_protect_array(session, "u", u, CAIRN_FLOAT64, 0, global, offset, local));
  EXPECT_WRONG(cairn_protect_array(session, "u", u, CAIRN_FLOAT64, 9, global, offset, local));
  EXPECT_WRONG(cairn_protect_array(session, "u", u, CAIRN_FLOAT64, 2, null, offset, local));
  EXPECT_WRONG(cairn_protect_array(session, "u", u, CAIRN_FLOAT64, 2, global, null, local));
  EXPECT_WRONG(cairn_protect_array(session, "u", u, CAIRN_FLOAT64, 2, global, offset, null));
  EXPECT_WRONG(cairn_protect_array(session, "u", u, CAIRN_FLOAT64, 2, global, behind, local));
  EXPECT_WRONG(cairn_protect_array(session, "u", u, CAIRN_FLOAT64, 2, huge, zero, huge));
  EXPECT_WRONG(cairn_protect_requests(session, "u", NULL, 1));
  EXPECT(cairn_protect_request(session, "u", NULL) == CAIRN_INVALID_ARGUMENT);
  EXPECT(cairn_restart(session) == 0);
  EXPECT(cairn_checkpoint(session) == CAIRN_BUSY);
  EXPECT(cairn_protect(session, "u", u, 4, CAIRN_FLOAT64) == CAIRN_OK);
  EXPECT(cairn_checkpoint(session) == CAIRN_OK);
  /* A wrong call leaves nothing of the right one that was before: */
  EXPECT_WRONG(cairn_protect(session, "u", NULL, 4, CAIRN_FLOAT64));
  EXPECT(cairn_checkpoint(session) == CAIRN_BUSY);
  cairn_close(session);
  MPI_Finalize();
}

static void names(void) {
  int step = 0;
  char too_long[257];
  memset(too_long, 'n', sizeof too_long - 1);
  too_long[sizeof too_long - 1] = 0;
  begin_mpi();
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  if (rank == 0) { /* on one rank only: the others must hear of it */
    EXPECT_WRONG(cairn_protect(session, NULL, &step, 1, CAIRN_INT32));
    EXPECT_WRONG(cairn_protect_bytes(session, NULL, &step, 1));
    EXPECT_WRONG(cairn_protect_array(session, NULL, &step, CAIRN_INT32, 1, NULL, NULL, NULL));
    EXPECT_WRONG(cairn_protect_requests(session, NULL, NULL, 0));
    EXPECT_WRONG(cairn_protect(session, "", &step, 1, CAIRN_INT32));
    EXPECT_WRONG(cairn_protect(session, too_long, &step, 1, CAIRN_INT32));
  }
  EXPECT(cairn_restart(session) == 0);
  for (int i = 0; i < 30; ++i) EXPECT(cairn_safe_point(session) == 0);
  EXPECT(cairn_checkpoint(session) == CAIRN_BUSY);
  cairn_close(session);
  MPI_Finalize();
}

static void different_names(void) {
  int step = 0;
  begin_mpi();
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  EXPECT(cairn_protect(session, rank == 0 ? "a" : "b", &step, 1, CAIRN_INT32) == CAIRN_OK);
  EXPECT(cairn_restart(session) == 0);
  EXPECT(cairn_checkpoint(session) == CAIRN_BUSY);
  EXPECT(cairn_epoch(session) == 0);
  cairn_close(session);
  MPI_Finalize();
}

static void regions(void) {
  begin_mpi();
  const int next = (rank + 1) % ranks, previous = (rank + ranks - 1) % ranks;
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  EXPECT(cairn_restart(session) == 0);
  cairn_safe_end(session);
  cairn_safe_begin(session);
  cairn_safe_begin(session);
  cairn_safe_end(session);
  cairn_safe_end(session);
  cairn_safe_end(session);
  /* Rank 0 cuts at a safe point; the others never pass one, and hear of it in a region. */
  const double begin = MPI_Wtime();
  for (int last = 0; last == 0;) {
    if (rank == 0) {
      cairn_safe_point(session);
      last = cairn_epoch(session) > 0 || MPI_Wtime() - begin > 20;
      MPI_Send(&last, 1, MPI_INT, next, 0, MPI_COMM_WORLD);
    }
    cairn_safe_begin(session);
    MPI_Recv(&last, 1, MPI_INT, previous, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    cairn_safe_end(session);
    if (rank != 0) MPI_Send(&last, 1, MPI_INT, next, 0, MPI_COMM_WORLD);
  }
  if (rank == 0) EXPECT(cairn_epoch(session) >= 1);
  cairn_close(session);
  MPI_Finalize();
}

static void restart_twice(void) {
  int step = 0;
  begin_mpi();
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  EXPECT(cairn_protect(session, "step", &step, 1, CAIRN_INT32) == CAIRN_OK);
  const uint64_t epoch = cairn_restart(session);
  ++step;
  EXPECT(cairn_restart(session) == epoch);
  EXPECT(step == (int)epoch + 1);
  EXPECT(cairn_checkpoint(session) == CAIRN_OK);
  EXPECT(cairn_restart(session) == epoch);
  cairn_close(session);
  if (rank == 0) printf("epoch %d\n", (int)epoch + 1);
  MPI_Finalize();
}

/* A program that forgets cairn_restart. */
static void no_restart(void) {
  int step = 0;
  begin_mpi();
  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  EXPECT(cairn_protect(session, "step", &step, 1, CAIRN_INT32) == CAIRN_OK);
  const int code = cairn_checkpoint(session);
  EXPECT(code == CAIRN_OK || code == CAIRN_BUSY);
  if (rank == 0) printf("%s\n", code == CAIRN_OK ? "taken" : "refused");
  cairn_close(session);
  MPI_Finalize();
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } scenarios[] = {{"all_calls", all_calls},
                   {"pending_requests", pending_requests},
                   {"outside_of_mpi", outside_of_mpi},
                   {"no_session", no_session},
                   {"communicators", communicators},
                   {"protecting", protecting},
                   {"names", names},
                   {"different_names", different_names},
                   {"regions", regions},
                   {"restart_twice", restart_twice},
                   {"no_restart", no_restart}};
  for (size_t i = 0; argc == 2 && i < sizeof scenarios / sizeof *scenarios; ++i) {
    if (strcmp(argv[1], scenarios[i].name) != 0) continue;
    scenarios[i].run();
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  fprintf(stderr, "usage: c_interface SCENARIO\n");
  return 2;
}
