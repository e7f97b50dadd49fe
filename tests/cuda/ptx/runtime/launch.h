/* The scheduler: a block at a time, warp by warp, each until it waits. */
static void (*entry)(void);
static void start_fibre(void) { entry(); finish_all_copies(); self->state = DONE; for (;;) wait_here(); }

static u32 order[MAX_THREADS], block_order_seed;
enum { FORWARD, REVERSED, DRAWN };
static u64 random_state;
static u32 draw(u32 below) {  /* xorshift64* */
  random_state ^= random_state >> 12; random_state ^= random_state << 25; random_state ^= random_state >> 27;
  return (u32)((random_state * 2685821657736338717ull >> 32) % below);
}
static void shuffle_order(u32 *numbers, u32 count) {
  for (u32 i = count; i > 1; i--) { u32 j = draw(i), n = numbers[i - 1]; numbers[i - 1] = numbers[j]; numbers[j] = n; }
}
static u32 warp_order[32], lane_order[32];
static void choose_order(int how, u32 warps) {
  for (u32 i = 0; i < 32; i++) lane_order[i] = how == REVERSED ? 31 - i : i;
  for (u32 i = 0; i < warps; i++) warp_order[i] = how == REVERSED ? warps - 1 - i : i;
  if (how == DRAWN) { shuffle_order(lane_order, 32); shuffle_order(warp_order, warps); }
}

/* Lanes that all wait for one another go on; whether any did. */
static int meet_in_warp(Thread *warp) {
  u32 tried = 0, moved = 0;
  for (u32 lane = 0; lane < 32; lane++) {
    Thread *t = warp + lane;
    if (t->state != AT_WARP || tried >> lane & 1) continue;
    u32 present = 0, complete = 1;
    LANES(t->mask, other) {
      Thread *o = warp + other;
      if (o->state == DONE && !t->aligned) continue;
      if (o->state == AT_WARP && o->mask == t->mask && o->meet == t->meet && (!t->aligned || o->line == t->line)) present |= 1u << other;
      else complete = 0;
    }
    tried |= present;
    if (!complete) continue;
    t->meet(warp, present);
    LANES(present, other) warp[other].state = READY;
    moved = 1;
  }
  if (moved) return 1;
  for (u32 lane = 0; lane < 32; lane++) if (warp[lane].state == READY) return 0;
  for (u32 lane = 0; lane < 32; lane++) {
    Thread *t = warp + lane;
    if (t->state != AT_ACTIVEMASK) continue;
    u32 mask = 0;
    for (u32 other = 0; other < 32; other++) mask |= (u32)(warp[other].state == AT_ACTIVEMASK && warp[other].line == t->line) << other;
    LANES(mask, other) { warp[other].out[0] = mask; warp[other].state = READY; }
    return 1;
  }
  return 0;
}
static int run_warp(Thread *warp, int how) {
  int ran = 0;
  for (;;) {
    int now = 0;
    for (u32 k = 0; k < 32; k++) {
      Thread *t = warp + lane_order[k];
      if (t->state == READY) { resume(t); now = 1; }
    }
    ran |= now;
    if (!meet_in_warp(warp)) { if (!now) return ran; } else ran = 1;
    if (how == DRAWN) shuffle_order(lane_order, 32);
  }
}
static void report_stuck(void) {
  u32 done = 0, at_barrier = 0;
  Thread *stuck = 0, *ended_one = 0;
  for (u32 i = 0; i < thread_count; i++) {
    done += threads[i].state == DONE; at_barrier += threads[i].state == AT_BARRIER;
    if (threads[i].state == DONE) ended_one = threads + i; else stuck = threads + i;
  }
  for (u32 i = 0; i < thread_count; i++) {
    Thread *t = threads + i;
    if (t->state == AT_WARP)
      fault(WARP, t, t->line, "waits for lanes 0x%08x of its warp, which never all come", t->mask);
  }
  if (done + at_barrier == thread_count && done)
    fault(BARRIER, stuck, stuck->line, "barrier %u waits for %u threads, and %u came: thread (%u,%u,%u) and %u others have ended", stuck->barrier,
          stuck->expected, barriers[stuck->barrier].arrived, ended_one->x, ended_one->y, ended_one->z, done - 1);
  fault(BARRIER, stuck, stuck->line, "threads wait at different barriers, or too few come to barrier %u (%u of %u)", stuck->barrier,
        barriers[stuck->barrier].arrived, stuck->expected);
}
static void run_block(int how, int simple) {
  u32 warps = (thread_count + 31) / 32;
  memset(shared, 0xff, shared_size);
  for (u32 b = 0; b < BARRIERS; b++) barriers[b].arrived = barriers[b].waiting = barriers[b].count_true = 0;
#ifdef CHECKED
  memset(shared_cells, 0, shared_size * sizeof(Cell));
  for (u32 i = 0; i < thread_count; i++) { memset(clocks[i], 0, thread_count * 4); clocks[i][i] = 1; }
#endif
  for (u32 i = 0; i < warps * 32; i++) {
    Thread *t = threads + i;
    t->index = i; t->lane = i % 32; t->warp = i / 32;
    t->x = i % block.x; t->y = i / block.x % block.y; t->z = i / (block.x * block.y);
    t->state = i < thread_count ? READY : DONE;
    t->local_top = 0; t->copy_count = 0; t->copy_group = 0;
  }
  if (simple) {  /* nobody waits for anybody: no fibres are needed */
    for (u32 i = 0; i < thread_count; i++) {
      self = threads + warp_order[i / 32 % warps] * 32 + lane_order[i % 32];
      if (self->state == READY) { entry(); self->state = DONE; }
    }
    for (u32 i = 0; i < thread_count; i++) { self = threads + i; if (self->state == READY) entry(); }
    return;
  }
  for (u32 i = 0; i < thread_count; i++) prepare(threads + i, start_fibre);
  for (;;) {
    int ran = 0;
    u32 done = 0;
    choose_order(how, warps);
    for (u32 w = 0; w < warps; w++) ran |= run_warp(threads + warp_order[w] * 32, how);
    for (u32 i = 0; i < thread_count; i++) done += threads[i].state == DONE;
    check_aligned();
    for (u32 b = 0; b < BARRIERS; b++) {
      u32 before = barriers[b].arrived;
      try_barrier(b);
      ran |= before && !barriers[b].arrived;
    }
    if (done == thread_count) break;
    if (!ran) report_stuck();
  }
  for (u32 b = 0; b < BARRIERS; b++)
    if (barriers[b].arrived) fault(BARRIER, barriers[b].members[0], barriers[b].members[0]->line, "%u threads arrived at barrier %u, which %u were to pass", barriers[b].arrived, b, barriers[b].expected);
}
static void make_threads(void) {
  static int made;
  if (made) return;
  made = 1;
  for (u32 i = 0; i < MAX_THREADS + 32; i++) {
    u8 *memory = mmap(0, STACK + 2 * LOCAL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    threads[i].stack = memory; threads[i].local = memory + STACK; threads[i].local_written = memory + STACK + LOCAL;
  }
}
typedef struct Launch {
  u32 entry, grid[3], block[3], dynamic_shared, how, range_count;
  u64 seed;
  u8 *parameters;
  const u64 *ranges;  /* low, high, fresh of each array, sorted */
} Launch;
typedef struct Outcome {
  u64 bytes_read, bytes_written, unique_read, unique_written, operations, matrix_operations;
} Outcome;

static void gather_ranges(const Launch *launch) {
  /* a `site` may point at a slot of an earlier, larger table: it must find nothing there */
  memset(ranges, 0, range_count * sizeof *ranges);
  range_count = 0;
  u32 own = 0, given = 0;
  while (own < sizeof own_variables / sizeof *own_variables - 1 || given < launch->range_count) {
    int take_own = given == launch->range_count ||
      (own < sizeof own_variables / sizeof *own_variables - 1 && own_variables[own].low < launch->ranges[3 * given]);
    if (range_count == MAX_RANGES) { strcpy(report.text, "too many arrays"); report.kind = BOUNDS; longjmp(ended, 1); }
    ranges[range_count++] = take_own ? own_variables[own++]
      : (Range){launch->ranges[3 * given], launch->ranges[3 * given + 1], 0, launch->ranges[3 * given + 2], 0};
    given += !take_own;
  }
}
static int by_address(const void *a, const void *b) { u64 x = ((const Range *)a)->low, y = ((const Range *)b)->low; return (x > y) - (x < y); }

int run_launch(const Launch *launch, Outcome *outcome) {
  const Entry *kernel = &entries[launch->entry];
  make_threads();
  grid.x = launch->grid[0]; grid.y = launch->grid[1]; grid.z = launch->grid[2];
  block.x = launch->block[0]; block.y = launch->block[1]; block.z = launch->block[2];
  thread_count = block.x * block.y * block.z;
  entry = kernel->run; parameters = launch->parameters; parameter_size = kernel->parameter_size;
  shared_size = (kernel->static_shared + launch->dynamic_shared + 15) / 16 * 16;
  dynamic_shared = launch->dynamic_shared;
  random_state = launch->seed * 2 + 1;
  memset(&report, 0, sizeof report);
  bytes_read = bytes_written = operations = matrix_operations = 0;
  shared = malloc(shared_size + 64);
#ifdef CHECKED
  unique_read = unique_written = 0;
  shared_cells = malloc((shared_size + 16) * sizeof(Cell));
  clocks = malloc(sizeof(u32) * MAX_THREADS * thread_count);
#endif
  qsort(own_variables, sizeof own_variables / sizeof *own_variables - 1, sizeof *own_variables, by_address);
  if (!setjmp(ended)) {
    gather_ranges(launch);
    u64 blocks = (u64)grid.x * grid.y * grid.z;
    choose_order(launch->how, (thread_count + 31) / 32);
    u32 first = launch->how == DRAWN ? draw((u32)blocks) : 0;
    for (u64 b = 0; b < blocks; b++) {
      u64 at = launch->how == REVERSED ? blocks - 1 - b : (b + first) % blocks;
      block_linear = at;
      block_index.x = at % grid.x; block_index.y = at / grid.x % grid.y; block_index.z = at / ((u64)grid.x * grid.y);
      run_block(launch->how, kernel->simple);
    }
  }
  free(shared);
#ifdef CHECKED
  free(shared_cells); free(clocks);
  for (u32 r = 0; r < range_count; r++) if (ranges[r].cells) munmap(ranges[r].cells, (ranges[r].high - ranges[r].low) * sizeof(Cell));
  outcome->unique_read = unique_read; outcome->unique_written = unique_written;
#endif
  outcome->bytes_read = bytes_read; outcome->bytes_written = bytes_written;
  outcome->operations = operations; outcome->matrix_operations = matrix_operations;
  return report.kind;
}
void read_report(int *numbers, char *text) {
  numbers[0] = report.kind; numbers[1] = report.line;
  for (int i = 0; i < 3; i++) { numbers[2 + i] = report.block[i]; numbers[5 + i] = report.thread[i]; }
  strcpy(text, report.text);
}
