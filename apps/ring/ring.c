/* ring: tokens that are always on their way, and a C program that Cairn can checkpoint all the
 * same.
 *
 * Each rank starts --tokens tokens; each token makes --hops hops from rank to rank. Between a
 * receive and the next one a rank has forwarded every token it got, so at every safe point all of
 * the tokens are in the network and none is in the program: a checkpoint that loses, repeats or
 * reorders a message ends with another result.
 *
 * The last line of rank 0 is `result: <digest>`. It depends on --tokens, --hops, --seed and the
 * number of ranks, and on nothing else.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cairn/cairn.h>

enum { MIN_BYTES = 8, MAX_BYTES = 900, URGENT_TAG = 2, TAGS = 3, MAX_TOKENS = 1024 };

typedef struct {
  uint64_t tokens, hops, seed, pace_us;
} Arguments;

/* What a rank knows. The rest of the program's state is in flight. */
typedef struct {
  uint64_t step; /* receives that are done */
  uint64_t fold; /* digest of everything received, in order */
} State;

typedef struct {
  int rank, ranks, next, previous;
  MPI_Comm lane[2];   /* tokens take turns on MPI_COMM_WORLD and a duplicate of it */
  uint64_t urgent[2]; /* tokens per rank and lane that have URGENT_TAG */
} Ring;

static uint64_t scramble(uint64_t z) { /* SplitMix64 */
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static uint64_t fnv1a(uint64_t hash, const void* data, size_t bytes) {
  const unsigned char* byte = data;
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ byte[i]) * 0x100000001b3u;
  return hash;
}

static int tag_of(uint64_t token) { return (int)(token / 2 % TAGS); }

/* Sends a token whose size and content follow from `value`.
 *
 * A blocking send of at most 900 bytes: below the eager limit of every transport (Open MPI's
 * smallest is 1 KiB with headers, for messages to oneself), so it returns when the message is on
 * its way, received or not, and leaves no request behind. That is what makes the next line of the
 * program a safe point: a checkpoint saves messages in flight, but a restarted program could not
 * wait for a request of the old one. */
static void send_token(const Ring* ring, int lane, int tag, uint64_t value) {
  unsigned char message[MAX_BYTES];
  const size_t bytes = MIN_BYTES + value % (MAX_BYTES - MIN_BYTES + 1);
  for (size_t i = 0; i < bytes; i += sizeof value) {
    memcpy(message + i, &value, bytes - i < sizeof value ? bytes - i : sizeof value);
    value = value * 6364136223846793005u + 1442695040888963407u;
  }
  MPI_Send(message, (int)bytes, MPI_BYTE, ring->next, tag, ring->lane[lane]);
}

/* Receives one token and folds every byte of it, its size and its tag into the state; returns its
 * tag. The tokens of a lane arrive in the order in which they were sent (MPI's promise for equal
 * communicator and source), except that in each round the urgent ones are picked first. */
static int receive_token(const Ring* ring, int lane, int tag, State* state) {
  unsigned char message[MAX_BYTES];
  MPI_Status status;
  int bytes = 0;
  MPI_Recv(message, MAX_BYTES, MPI_BYTE, ring->previous, tag, ring->lane[lane], &status);
  MPI_Get_count(&status, MPI_BYTE, &bytes);
  const uint64_t hash = fnv1a(0xcbf29ce484222325u, message, (size_t)bytes);
  state->fold = scramble(state->fold ^ hash) + (uint64_t)bytes * TAGS + (uint64_t)status.MPI_TAG;
  return status.MPI_TAG;
}

/* Receive number `i` of a round: lane, and the tag asked for. */
static int receive_in_round(const Ring* ring, uint64_t i, int* lane, State* state) {
  *lane = (int)(i % 2);
  const int tag = i / 2 < ring->urgent[*lane] ? URGENT_TAG : MPI_ANY_TAG;
  return receive_token(ring, *lane, tag, state);
}

static void pace(uint64_t microseconds) {
  const struct timespec time = {(time_t)(microseconds / 1000000),
                                (long)(microseconds % 1000000) * 1000};
  if (microseconds > 0) nanosleep(&time, NULL);
}

static void run(const Arguments* arguments, const Ring* ring) {
  State state = {0, scramble(arguments->seed * 1000003 + (uint64_t)ring->rank)};
  int lane = 0;

  cairn_session* session = cairn_open(MPI_COMM_WORLD);
  cairn_protect(session, "step", &state.step, 1, CAIRN_UINT64);
  cairn_protect(session, "fold", &state.fold, 1, CAIRN_UINT64);
  const uint64_t epoch = cairn_restart(session);
  if (epoch == 0) {
    for (uint64_t i = 0; i < arguments->tokens; ++i) {
      send_token(ring, (int)(i % 2), tag_of(i), scramble(state.fold + i));
    }
  } else if (ring->rank == 0) {
    /* The tokens are on their way again: they came with the checkpoint. */
    printf("ring: continues at step %" PRIu64 " (epoch %" PRIu64 ")\n", state.step, epoch);
    fflush(stdout);
  }

  while (state.step < arguments->hops * arguments->tokens) {
    const int tag = receive_in_round(ring, state.step % arguments->tokens, &lane, &state);
    send_token(ring, lane, tag, state.fold);
    ++state.step;
    pace(arguments->pace_us);
    cairn_safe_point(session);
  }
  for (uint64_t i = 0; i < arguments->tokens; ++i) receive_in_round(ring, i, &lane, &state);
  cairn_close(session);

  uint64_t* folds = malloc(sizeof *folds * (size_t)ring->ranks);
  if (folds == NULL) MPI_Abort(MPI_COMM_WORLD, 1);
  MPI_Gather(&state.fold, 1, MPI_UINT64_T, folds, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
  if (ring->rank == 0) {
    const size_t bytes = sizeof *folds * (size_t)ring->ranks;
    printf("result: %016" PRIx64 "\n", fnv1a(0xcbf29ce484222325u, folds, bytes));
  }
  free(folds);
}

static Ring make_ring(uint64_t tokens, int rank, int ranks) {
  Ring ring = {
      rank,  ranks, (rank + 1) % ranks, (rank + ranks - 1) % ranks, {MPI_COMM_WORLD, MPI_COMM_NULL},
      {0, 0}};
  /* Before cairn_restart, so that messages in flight on it find it again. */
  MPI_Comm_dup(MPI_COMM_WORLD, &ring.lane[1]);
  for (uint64_t i = 0; i < tokens; ++i) ring.urgent[i % 2] += tag_of(i) == URGENT_TAG;
  return ring;
}

static const char* const usage =
    "Tokens that are always in flight, checkpointed by Cairn\n"
    "Usage: ring [OPTIONS]\n"
    "  --tokens N    tokens that each rank starts, 1 to 1024 (default 8)\n"
    "  --hops N      hops that each token makes (default 25000)\n"
    "  --seed N      seed of the first tokens (default 1)\n"
    "  --pace-us N   sleep this long after each receive, as if computing (default 0)\n"
    "  --help        this text\n";

/* -1: go on; otherwise the exit status. Only rank 0 prints. */
static int parse(int argc, char** argv, int rank, Arguments* arguments) {
  static const struct option options[] = {
      {"tokens", required_argument, NULL, 't'}, {"hops", required_argument, NULL, 'n'},
      {"seed", required_argument, NULL, 's'},   {"pace-us", required_argument, NULL, 'p'},
      {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
  opterr = rank == 0; /* getopt prints its messages itself */
  int option = 0, index = 0;
  while ((option = getopt_long(argc, argv, "h", options, &index)) != -1) {
    uint64_t value = 0;
    if (option == 'h') {
      if (rank == 0) fputs(usage, stdout);
      return 0;
    }
    if (option == '?') return 2;
    char* end = NULL;
    errno = 0;
    value = strtoull(optarg, &end, 10);
    if (errno != 0 || *optarg < '0' || *optarg > '9' || *end != '\0') {
      if (rank == 0) {
        fprintf(stderr, "ring: --%s: '%s' is not a number (see ring --help)\n", options[index].name,
                optarg);
      }
      return 2;
    }
    if (option == 't') arguments->tokens = value;
    if (option == 'n') arguments->hops = value;
    if (option == 's') arguments->seed = value;
    if (option == 'p') arguments->pace_us = value;
  }
  if (optind < argc || arguments->tokens < 1 || arguments->tokens > MAX_TOKENS) {
    if (rank == 0 && optind < argc) {
      fprintf(stderr, "ring: unexpected argument '%s' (see ring --help)\n", argv[optind]);
    } else if (rank == 0) {
      fprintf(stderr, "ring: --tokens must be 1 to %d (see ring --help)\n", MAX_TOKENS);
    }
    return 2;
  }
  return -1;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  Arguments arguments = {.tokens = 8, .hops = 25000, .seed = 1, .pace_us = 0};
  int status = parse(argc, argv, rank, &arguments);
  if (status < 0) {
    Ring ring = make_ring(arguments.tokens, rank, ranks);
    run(&arguments, &ring);
    MPI_Comm_free(&ring.lane[1]);
    status = 0;
  }
  MPI_Finalize();
  return status;
}
