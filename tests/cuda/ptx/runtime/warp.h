/* What lanes of a warp do together.  A lane leaves its operands in `in` and waits; when every lane of the
 * mask that has not ended is there, `meet` fills `out` of each, and all go on. */
#define LANES(mask, lane) for (u32 lane = 0; lane < 32; lane++) if ((mask) >> lane & 1)

static void meet_lanes(void (*meet)(Thread *, u32), int kind, u32 mask, int aligned, int line) {
  if (!(mask >> self->lane & 1)) fault(WARP, self, line, "lane %u is not in its own mask 0x%08x", self->lane, mask);
  self->meet = meet; self->kind = kind; self->mask = mask; self->aligned = aligned; self->line = line;
  self->state = AT_WARP;
  wait_here();
}
enum { SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_BFLY, SHUFFLE_IDX };
/* in: value, b, c; out: value, whether the source lane is in range */
static void shuffle(Thread *warp, u32 mask) {
  LANES(mask, lane) {
    Thread *t = warp + lane;
    int b = t->in[1] & 31, clamp = t->in[2] & 31, segment = t->in[2] >> 8 & 31, from = 0, in_range = 0;
    int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
    switch (t->kind) {
      case SHUFFLE_UP: from = (int)lane - b; in_range = from >= last; break;
      case SHUFFLE_DOWN: from = lane + b; in_range = from <= last; break;
      case SHUFFLE_BFLY: from = lane ^ b; in_range = from <= last; break;
      case SHUFFLE_IDX: from = first | (b & ~segment); in_range = from <= last; break;
    }
    if (!in_range) from = lane;
    if (!(mask >> from & 1)) fault(WARP, t, t->line, "shfl reads lane %d, which does not take part (mask 0x%08x)", from, mask);
    t->out[0] = warp[from].in[0]; t->out[1] = in_range;
  }
}
enum { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };
static void vote(Thread *warp, u32 mask) {
  u32 ballot = 0;
  LANES(mask, lane) ballot |= (u32)(warp[lane].in[0] != 0) << lane;
  LANES(mask, lane) {
    const u32 answers[] = {ballot == mask, ballot != 0, ballot == mask || !ballot, ballot};
    warp[lane].out[0] = answers[warp[lane].kind];
  }
}
enum { MATCH_ANY, MATCH_ALL };
static void match(Thread *warp, u32 mask) {
  LANES(mask, lane) {
    u32 same = 0;
    LANES(mask, other) same |= (u32)(warp[other].in[0] == warp[lane].in[0]) << other;
    int all = same == mask;
    warp[lane].out[0] = warp[lane].kind == MATCH_ANY ? same : all ? mask : 0;
    warp[lane].out[1] = all;
  }
}
enum { REDUX_ADD, REDUX_AND, REDUX_OR, REDUX_XOR, REDUX_MIN_U, REDUX_MAX_U, REDUX_MIN_S, REDUX_MAX_S };
static u32 redux_step(int kind, u32 a, u32 b) {
  switch (kind) {
    case REDUX_ADD: return a + b;
    case REDUX_AND: return a & b;
    case REDUX_OR: return a | b;
    case REDUX_XOR: return a ^ b;
    case REDUX_MIN_U: return a < b ? a : b;
    case REDUX_MAX_U: return a > b ? a : b;
    case REDUX_MIN_S: return (s32)a < (s32)b ? a : b;
    default: return (s32)a > (s32)b ? a : b;
  }
}
static void redux(Thread *warp, u32 mask) {
  u32 sum = 0, some = 0;
  int kind = warp[__builtin_ctz(mask)].kind;
  LANES(mask, lane) { sum = some ? redux_step(kind, sum, warp[lane].in[0]) : warp[lane].in[0]; some = 1; }
  LANES(mask, lane) warp[lane].out[0] = sum;
}
static void synchronise_nothing(Thread *warp, u32 mask) { (void)warp; (void)mask; }
static void synchronise_warp(Thread *warp, u32 mask) {
  Thread *members[32];
  u32 count = 0;
  LANES(mask, lane) members[count++] = warp + lane;
  order_threads(members, count);
}
/* the lanes that are here when no other lane of the warp can go on */
static u32 active_mask(int line) {
  self->line = line; self->state = AT_ACTIVEMASK;
  wait_here();
  return self->out[0];
}

/* Barriers.  A barrier opens when as many threads have come as are expected: those that only arrive count too. */
static struct { u32 arrived, waiting, expected, count_true; Thread *members[MAX_THREADS]; } barriers[BARRIERS];
enum { NO_VOTE, VOTE_POPC, VOTE_AND, VOTE_OR };
static void arrive(u32 id, u32 expected, int aligned, int line, int waits) {
  if (id >= BARRIERS) fault(BARRIER, self, line, "barrier %u: there are 16", id);
  if (expected % 32 && expected != thread_count) fault(BARRIER, self, line, "barrier %u of %u threads: not a multiple of a warp", id, expected);
  if (expected > (thread_count + 31) / 32 * 32) fault(BARRIER, self, line, "barrier %u of %u threads: the block has %u", id, expected, thread_count);
  self->barrier = id; self->expected = expected; self->line = line; self->aligned = aligned;
  if (barriers[id].arrived && barriers[id].expected != expected)
    fault(BARRIER, self, line, "barrier %u is waited for by %u threads here and by %u elsewhere", id, expected, barriers[id].expected);
  barriers[id].expected = expected;
  barriers[id].members[barriers[id].arrived++] = self;
  barriers[id].waiting += waits;
  barriers[id].count_true += self->predicate != 0;
  if (barriers[id].arrived > expected) fault(BARRIER, self, line, "more than %u threads at barrier %u", expected, id);
}
static u32 barrier_sync(u32 id, u32 expected, int kind, u32 predicate, int aligned, int line) {
  self->predicate = predicate; self->vote = kind;
  arrive(id, expected, aligned, line, 1);
  self->state = AT_BARRIER;
  wait_here();
  return self->out[0];
}
static void try_barrier(u32 id);
static void barrier_arrive(u32 id, u32 expected, int aligned, int line) {
  self->predicate = 0;
  arrive(id, expected, aligned, line, 0);
  try_barrier(id);
}
static void try_barrier(u32 id) {
  u32 count = barriers[id].arrived;
  if (!count || count < barriers[id].expected) return;
#ifdef CHECKED
  /* those that wait know afterwards what all did before; those that only arrived learn nothing */
  static u32 kept[MAX_THREADS][MAX_THREADS];
  for (u32 m = 0; m < count; m++)
    if (barriers[id].members[m]->state != AT_BARRIER || barriers[id].members[m]->barrier != id)
      memcpy(kept[m], clocks[barriers[id].members[m]->index], thread_count * 4);
  order_threads(barriers[id].members, count);
  for (u32 m = 0; m < count; m++) {
    Thread *t = barriers[id].members[m];
    if (t->state == AT_BARRIER && t->barrier == id) continue;
    u32 own = clocks[t->index][t->index];
    memcpy(clocks[t->index], kept[m], thread_count * 4);
    clocks[t->index][t->index] = own;
  }
#endif
  u32 true_count = barriers[id].count_true;
  for (u32 m = 0; m < count; m++) {
    Thread *t = barriers[id].members[m];
    if (t->state != AT_BARRIER || t->barrier != id) continue;
    t->out[0] = t->vote == VOTE_POPC ? true_count : t->vote == VOTE_AND ? true_count == barriers[id].waiting : true_count > 0;
    t->state = READY;
  }
  barriers[id].arrived = barriers[id].waiting = barriers[id].count_true = 0;
}
/* bar.sync is aligned: all lanes of a warp must be at the same one */
static void check_aligned(void) {
  for (u32 w = 0; w < thread_count; w += 32) {
    Thread *first = 0;
    for (u32 i = w; i < w + 32 && i < thread_count; i++) {
      Thread *t = threads + i;
      if (t->state != AT_BARRIER || !t->aligned) continue;
      if (first && first->line != t->line)
        fault(BARRIER, t, t->line, "divergent barrier: other lanes of the warp wait at PTX line %d", first->line);
      first = first ? first : t;
    }
  }
}
