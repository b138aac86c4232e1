/* The channel protocol (colours, markers, window) as a model for spin: three ranks, two epochs, any
 * program of non-blocking sends, receives and probes within the bounds, cuts at any moment.
 *
 * It follows mpi_bindings/window.cpp (rules M1-M8, C1, C2), runtime/protocol/drain.cpp and
 * uncaptured.cpp (E1-E3, the NBX barrier, the closing reduction). What a rank does between two
 * points where others could tell a difference is one step. A rank may take any step that is
 * possible, in any order: more orders than the code has. Nothing is ever undone, so every run
 * ends; if an epoch could get stuck, a rank would not come to its end, and spin would report that.
 *
 * Left out: tags, several communicators, messages to oneself, rendezvous, matched probes, messages
 * that are matched but still under way. Whether a message in a channel has arrived is not said:
 * not to have looked is the same as not to have found it.
 *
 * -DWITHOUT_<RULE> removes a rule. check.py runs this, with the bounds
 *   S<from><to>  most messages for each pair of ranks
 *   R<rank>      most receives, from one rank or from any
 *   P<rank>      most probes
 *   STARTER      the rank that starts the epochs, or ANY
 */
#define N 3
#define EPOCHS 2
#define ANY N      /* source */
#define SLOTS 2    /* no rank posts more receives */
#define CAPACITY 2 /* of a channel; to send to a full one would be an error */

mtype = { unused, in_mpi, matched, held, given, done };

/* ---- What is in flight. */
chan app[2 * N * N] = [CAPACITY] of { byte, byte }; /* number, epoch it was sent in */
chan control[N * N] = [4] of { byte, byte, byte };  /* announcement?, epoch, count */

/* ---- The program. */
byte sends[N * N];      /* bounds */
byte receives[N];
byte probes[N];
byte sent[N * N];       /* program counters (C1) */
byte received[N * N];
byte posted[N];         /* receives so far; slots are in this order */
mtype state[N * SLOTS]; /* given: its message is counted, the program has not seen it yet */
byte wanted[N * SLOTS]; /* source, or ANY */
byte origin[N * SLOTS]; /* source of its message */
byte probed[N];         /* 1 + source that a probe has returned; + N when its receive is posted */
byte probed_number[N];

/* ---- The window. */
byte epoch[N];          /* cuts made */
bool open[N];
bool over[N];           /* the barrier is done: no more markers (M3) */
bool joined[N];         /* has joined the barrier */
byte wire_sent[N * N];  /* in this interval */
byte taken_new[N * N];  /* off MPI, in this interval */
byte taken_old[N * N];  /* of the interval before */
bool told[N * N];       /* the peer has got a marker of this epoch */
chan store[N * N] = [CAPACITY] of { byte };

/* ---- Epochs. */
byte heard[N];
byte closed[N];         /* newest epoch that all windows are known to be closed of */
bool marked[(EPOCHS + 2) * N * N];
byte announced[(EPOCHS + 2) * N * N];
byte in_barrier[EPOCHS + 1]; /* ranks that have joined it */
byte in_closing[EPOCHS + 1];
byte finished;

/* ---- What the checks need. */
byte next[N * N];            /* of a channel, to be matched */
byte sent_at_cut[(EPOCHS + 1) * N * N];
byte received_at_cut[N * N];
byte recorded[N * N];        /* late messages of the epoch (I4) */

hidden byte i, j, k, number, sent_in, count, announcement; /* within one step only */

#define CH(s, d) ((s) * N + (d))
#define SLOT(k) (me * SLOTS + (k))
#define MARK(e, s) ((e) * N * N + CH(s, me))
#ifdef WITHOUT_COLOURS
#define COLOUR(e) 0
#else
#define COLOUR(e) ((e) & 1)
#endif
#define APP(s, d, e) app[2 * CH(s, d) + COLOUR(e)]
#define IS(k, what) (state[SLOT(k)] == what)
#define ACCEPTS(k, s) (wanted[SLOT(k)] == ANY || wanted[SLOT(k)] == s)

/* ---- MPI gives a message to the first posted receive that accepts it; a probe sees what none
 * accepts. All receives in MPI are of one colour. */
#define POSTED(k, s) (IS(k, in_mpi) && ACCEPTS(k, s))
#define CLAIMED(s) (POSTED(0, s) || POSTED(1, s))
#define UNMATCHED(s, e) (len(APP(s, me, e)) > 0)
#define ARRIVED(s) (UNMATCHED(s, epoch[me]) && !CLAIMED(s))

/* ---- The rules, as conditions. */
#define HELD(k, s) (IS(k, held) && ACCEPTS(k, s))
#define HELD_FOR(s) (HELD(0, s) || HELD(1, s))
#define OVERLAP(a, b) \
  (wanted[SLOT(a)] == wanted[SLOT(b)] || wanted[SLOT(a)] == ANY || wanted[SLOT(b)] == ANY)
#define TREE(a, b) ((a) != (b) && ((a) == 0 || (b) == 0)) /* of three ranks: 0-1, 0-2 */

#ifdef WITHOUT_M7_COUNT
#define ALL_IN(s) true
#else
#define ALL_IN(s) (taken_old[CH(s, me)] == announced[MARK(epoch[me], s)])
#endif
#ifdef WITHOUT_M3_UNKNOWN
#define KNOWN(s) true
#define ALL_KNOWN true
#else
#define KNOWN(s) (over[me] || marked[MARK(epoch[me], s)])
#define ALL_KNOWN over[me]
#endif
#define COMPLETE(s) (!open[me] || (KNOWN(s) && ALL_IN(s)))
#define DRAINED (ALL_IN(0) && ALL_IN(1) && ALL_IN(2))
#define ALL_COMPLETE (!open[me] || (ALL_KNOWN && DRAINED))

#ifdef WITHOUT_M2_COMPLETE
#define SOURCES_COMPLETE(k) true
#else
#define SOURCES_COMPLETE(k) \
  (wanted[SLOT(k)] == ANY -> ALL_COMPLETE : COMPLETE(wanted[SLOT(k)] % N))
#endif
#ifdef WITHOUT_M2_OVERLAP
#define EARLIER_HELD(k) false
#else
#define EARLIER_HELD(k) (k == 1 && IS(0, held) && OVERLAP(0, 1))
#endif
#define MAY_POST(k) (SOURCES_COMPLETE(k) && !EARLIER_HELD(k))

#ifdef WITHOUT_M4_STORE
#define STORED(s) false
#else
#define STORED(s) (len(store[CH(s, me)]) > 0)
#endif
#ifdef WITHOUT_M5_COMPLETE
#define MAY_LOOK(s) true
#else
#define MAY_LOOK(s) COMPLETE(s)
#endif
#ifdef WITHOUT_M5_FIRST
#define TAKER(s) (HELD(1, s) -> 1 : 0)
#else
#define TAKER(s) (HELD(0, s) -> 0 : 1)
#endif
#ifdef WITHOUT_M6_CLAIMED
#define RIGHTFUL(s) true
#else
#define RIGHTFUL(s) !HELD_FOR(s)
#endif
#ifdef WITHOUT_M8_STOP
#define MAY_PULL (epoch[me] > 0)
#else
#define MAY_PULL (open[me] && !(over[me] && DRAINED))
#endif
#ifdef WITHOUT_E1_CLOSED
#define MAY_CUT !open[me]
#else
#define MAY_CUT (closed[me] == epoch[me])
#endif
#ifdef WITHOUT_BARRIER
#define MARKERS_RECEIVED true
#else
#define MARKERS_RECEIVED \
  (len(control[CH(me, 0)]) + len(control[CH(me, 1)]) + len(control[CH(me, 2)]) == 0)
#endif

/* ---- Checks. Message `number` of source s goes to receive r: each message is matched once, those
 * of a channel in the order of sending (I3), and the first receive that accepts one gets it. */
inline matches(r, s) {
  assert(number == next[CH(s, me)]);
  assert(!(r == 1 && ACCEPTS(0, s) && (IS(0, in_mpi) || IS(0, held))));
  next[CH(s, me)]++;
  origin[SLOT(r)] = s;
  wanted[SLOT(r)] = 0;
  if
  :: probed[me] > N && r == posted[me] - 1 -> /* what the probe has returned (M6) */
     assert(number == probed_number[me]);
     probed[me] = 0;
     probed_number[me] = 0
  :: else ->
     assert(!((probed[me] == s + 1 || probed[me] == s + 1 + N) && number == probed_number[me]))
  fi
}

/* A message is taken off MPI for the interval that it was sent in. */
inline same_interval(e) {
  assert(!(sent_in > e)); /* orphan: received before the cut, sent after it */
  assert(!(sent_in < e))  /* late, and not recorded */
}

/* I4: what is recorded is what was sent before the sender's cut and received after this one's.
 * Then forgets the epoch, so that runs that differed in it only are one again. */
inline check_recorded() {
  i = 0;
  do
  :: i < N ->
     assert(sent_at_cut[MARK(epoch[me], i)] - received_at_cut[CH(i, me)] == recorded[CH(i, me)]);
     sent_at_cut[MARK(epoch[me], i)] = 0;
     received_at_cut[CH(i, me)] = 0;
     recorded[CH(i, me)] = 0;
     taken_old[CH(i, me)] = 0;
     told[CH(me, i)] = false;
     marked[MARK(epoch[me], i)] = false;
     announced[MARK(epoch[me], i)] = 0;
     i++
  :: else -> break
  od
}

/* ---- What happens to receives. */
inline match_in_mpi(s, e) {
  APP(s, me, e)?number, sent_in;
  same_interval(e);
  k = (POSTED(0, s) -> 0 : 1);
  matches(k, s);
  state[SLOT(k)] = matched
}

inline post_to_mpi(r) {
#ifndef WITHOUT_M2_OVERLAP /* so that MPI's order is that of the slots, as match_in_mpi has it */
  assert(!(r == 0 && IS(1, in_mpi) && OVERLAP(0, 1)));
#endif
  state[SLOT(r)] = in_mpi
}

/* A call of the program (M2, M4). */
inline post(from) {
  k = posted[me];
  posted[me]++;
  wanted[SLOT(k)] = from;
  if
  :: MAY_POST(k) -> post_to_mpi(k)
  :: else -> state[SLOT(k)] = held
  fi
}

inline post_for_stored(from, s) {
  k = posted[me];
  posted[me]++;
  wanted[SLOT(k)] = from;
  store[CH(s, me)]?number;
  matches(k, s);
  state[SLOT(k)] = given
}

/* The program sees it complete. What depends on it is only what a cut finds, so here it happens
 * right before one, if it does. */
inline observe(r) {
  received[CH(origin[SLOT(r)], me)]++;
  if
#ifdef WITHOUT_C1_ONCE
  :: true -> taken_new[CH(origin[SLOT(r)], me)]++
#else
  :: IS(r, matched) -> taken_new[CH(origin[SLOT(r)], me)]++
  :: else
#endif
  fi;
  state[SLOT(r)] = done;
  origin[SLOT(r)] = 0
}

/* ---- The program's other calls. */
inline send(d) {
  if
  :: open[me] && !over[me] && !told[CH(me, d)] -> /* nothing is under way to it (E3) */
     told[CH(me, d)] = true;
     control[CH(me, d)]!false, epoch[me], 0
  :: else
  fi;
  APP(me, d, epoch[me])!sent[CH(me, d)], epoch[me];
  sent[CH(me, d)]++;
  wire_sent[CH(me, d)]++
}

/* A probe that finds a message of source s. Next the program receives it. */
inline probe(s) {
  probed[me] = s + 1;
  probes[me]--;
  if
  :: STORED(s) -> store[CH(s, me)]?<number>
  :: else -> APP(s, me, epoch[me])?<number, sent_in>
  fi;
  probed_number[me] = number
}

/* ---- The cut. */
inline flip() {
  heard[me] = (heard[me] == epoch[me] -> epoch[me] + 1 : heard[me]);
  epoch[me]++;
  open[me] = true;
  over[me] = false;
  joined[me] = false;
  i = 0;
  do
  :: i < N ->
     sent_at_cut[epoch[me] * N * N + CH(me, i)] = sent[CH(me, i)];
     received_at_cut[CH(i, me)] = received[CH(i, me)];
     told[CH(me, i)] = false;
     taken_old[CH(i, me)] = taken_new[CH(i, me)];
     taken_new[CH(i, me)] = 0;
#ifdef WITHOUT_C2_LEFTOVER
     recorded[CH(i, me)] = 0;
#else
     recorded[CH(i, me)] = len(store[CH(i, me)]);
#endif
     i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < SLOTS -> /* matched, and not observed */
     j = CH(origin[SLOT(i)], me);
     recorded[j] = recorded[j] + (IS(i, given) -> 1 : 0);
     i++
  :: else -> break
  od
}

/* A receive is cancelled, or it is too late: then it has a message of the old colour. */
inline take_back(r) {
  if
  :: IS(r, in_mpi) -> state[SLOT(r)] = held
  :: IS(r, matched) ->
     taken_old[CH(origin[SLOT(r)], me)]++;
     recorded[CH(origin[SLOT(r)], me)]++;
     state[SLOT(r)] = given
  :: else
  fi
}

#ifdef WITHOUT_M1_NEWEST_FIRST
#define NTH_TO_CANCEL(n) (n)
#else
#define NTH_TO_CANCEL(n) (SLOTS - 1 - (n))
#endif

inline send_markers() {
  i = 0;
  do
  :: i < N ->
     if
     :: wire_sent[CH(me, i)] > 0 ->
        told[CH(me, i)] = true;
        control[CH(me, i)]!false, epoch[me], wire_sent[CH(me, i)];
        wire_sent[CH(me, i)] = 0
     :: else
     fi;
#ifndef WITHOUT_E2_FLOOD
     if
     :: TREE(me, i) -> control[CH(me, i)]!true, epoch[me], 0
     :: else
     fi;
#endif
     i++
  :: else -> break
  od
}

/* ---- The window's work. */
/* A marker, or an announcement. A marker that comes before the cut is kept for it. */
inline take_in(s) {
  control[CH(s, me)]?announcement, sent_in, count;
#ifdef WITHOUT_E3_EPOCH
  sent_in = (announcement -> sent_in : (open[me] -> epoch[me] : epoch[me] + 1));
#endif
  heard[me] = (sent_in > heard[me] -> sent_in : heard[me]);
  if
  :: !announcement && (sent_in > epoch[me] || (sent_in == epoch[me] && open[me])) ->
     marked[MARK(sent_in, s)] = true;
     announced[MARK(sent_in, s)] = count
  :: else /* an older one is a zero marker that came after all windows were closed */
  fi
}

inline pull_late(s) {
  APP(s, me, epoch[me] - 1)?number, sent_in;
  same_interval(epoch[me] - 1);
  taken_old[CH(s, me)]++;
  recorded[CH(s, me)]++;
  if
  :: HELD_FOR(s) ->
     k = (HELD(0, s) -> 0 : 1);
     matches(k, s);
     state[SLOT(k)] = given
  :: else -> store[CH(s, me)]!number
  fi
}

/* M5 */
inline match_new(s) {
  APP(s, me, epoch[me])?number, sent_in;
  same_interval(epoch[me]);
  taken_new[CH(s, me)]++;
  k = TAKER(s);
  matches(k, s);
  state[SLOT(k)] = given
}

inline close_window() {
  open[me] = false;
  check_recorded();
  in_closing[epoch[me]]++
}

/* ---- Processes. These three are one rank: what it does with each peer, … */
#define MAY_CALL (probed[me] == 0) /* else it receives what it has probed, and waits for it */
#define CAN_RECEIVE (MAY_CALL && posted[me] < receives[me] && sends[CH(peer, me)] > 0)
proctype Peer(byte me, peer) {
end:
  do
  :: d_step { MAY_CALL && sent[CH(me, peer)] < sends[CH(me, peer)] -> send(peer) }
  :: d_step { CAN_RECEIVE && !STORED(peer) -> post(peer) }
  :: d_step { CAN_RECEIVE && STORED(peer) -> post_for_stored(peer, peer) }
  :: d_step { CAN_RECEIVE && STORED(peer) -> post_for_stored(ANY, peer) }
  :: d_step {
       CAN_RECEIVE && probes[me] > 0 &&
         (STORED(peer) || (ARRIVED(peer) && MAY_LOOK(peer) && RIGHTFUL(peer))) ->
       probe(peer)
     }
  :: d_step {
       probed[me] == peer + 1 && STORED(peer) ->
       probed[me] = peer + 1 + N;
       post_for_stored(peer, peer)
     }
  :: d_step {
       probed[me] == peer + 1 && !STORED(peer) ->
       probed[me] = peer + 1 + N;
       post(peer)
     }
  :: d_step { CLAIMED(peer) && UNMATCHED(peer, epoch[me]) -> match_in_mpi(peer, epoch[me]) }
  :: d_step { len(control[CH(peer, me)]) > 0 -> take_in(peer) }
  :: d_step { MAY_PULL && UNMATCHED(peer, epoch[me] - 1) -> pull_late(peer) }
  :: d_step { open[me] && MAY_LOOK(peer) && ARRIVED(peer) && HELD_FOR(peer) -> match_new(peer) }
  od
}

/* … with each receive, … */
proctype Receive(byte me, slot) {
end:
  do
  :: d_step { IS(slot, held) && MAY_POST(slot) -> post_to_mpi(slot) }
  od
}

/* … and its epochs. */
#define CANCEL_FAILS(s) \
  :: d_step { CLAIMED(s) && UNMATCHED(s, epoch[me] - 1) -> match_in_mpi(s, epoch[me] - 1) }
proctype Rank(byte me) {
  byte cancelled;
  do
  :: d_step {
       MAY_CALL && posted[me] < receives[me] && !STORED(0) && !STORED(1) && !STORED(2) -> post(ANY)
     }
  :: atomic {
       MAY_CUT && epoch[me] < EPOCHS &&
         (heard[me] > epoch[me] || STARTER == ANY || STARTER == me) ->
       do
       :: IS(0, matched) || IS(0, given) -> d_step { observe(0) }
       :: IS(1, matched) || IS(1, given) -> d_step { observe(1) }
       :: d_step { true -> flip(); i = 0 }; break
       od;
       do
       :: cancelled == SLOTS -> break
       :: d_step { cancelled < SLOTS -> take_back(NTH_TO_CANCEL(cancelled)); cancelled++ }
       CANCEL_FAILS(0)
       CANCEL_FAILS(1)
       CANCEL_FAILS(2)
       od;
       d_step { cancelled = 0; send_markers(); i = 0 }
     }
  :: d_step {
       open[me] && !joined[me] && MARKERS_RECEIVED ->
       joined[me] = true;
       in_barrier[epoch[me]]++
     }
  :: d_step { open[me] && !over[me] && in_barrier[epoch[me]] == N -> over[me] = true }
  :: d_step { open[me] && over[me] && DRAINED && !IS(0, held) && !IS(1, held) -> close_window() }
  :: d_step {
       closed[me] < epoch[me] && in_closing[epoch[me]] == N ->
       closed[me] = epoch[me]
     }
  :: closed[me] == EPOCHS -> break
  od;
  finished++
}

inline start(r) {
  run Peer(r, (r + 1) % N);
  run Peer(r, (r + 2) % N);
  run Receive(r, 0);
  run Receive(r, 1);
  run Rank(r)
}

/* All epochs come to their end, and then nothing is lost: what is not matched is in the store or in
 * the present colour, and no receive waits for what is in the store. */
init {
  atomic {
    sends[CH(0, 1)] = S01; sends[CH(0, 2)] = S02;
    sends[CH(1, 0)] = S10; sends[CH(1, 2)] = S12;
    sends[CH(2, 0)] = S20; sends[CH(2, 1)] = S21;
    receives[0] = R0; receives[1] = R1; receives[2] = R2;
    probes[0] = P0; probes[1] = P1; probes[2] = P2;
    start(0);
    start(1);
    start(2)
  }
  d_step {
    finished == N ->
    i = 0;
    do
    :: i < N * N ->
       assert(next[i] + len(store[i]) + len(app[2 * i + COLOUR(EPOCHS)]) == sent[i]);
       i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < N * SLOTS ->
       assert(state[i] != held);
       j = 0;
       do
       :: j < N ->
          assert(!(state[i] == in_mpi && (wanted[i] == ANY || wanted[i] == j) &&
                   len(store[CH(j, i / SLOTS)]) > 0));
          j++
       :: else -> break
       od;
       i++
    :: else -> break
    od;
    i = 0
  }
}
