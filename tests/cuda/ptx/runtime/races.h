/* Uninitialised reads and data races, by vector clocks.
 *
 * Two accesses of a byte race if at least one writes, not both are atomic, and neither happens before the
 * other.  Within a block only barriers and bar.warp.sync order threads: a shuffle or a vote orders no
 * memory.  Nothing orders two blocks of a launch.  Each byte keeps its last write and up to three reads
 * (the latest, the latest of another warp, the latest of another block): what is reported is a race; a
 * race with a read that was forgotten may be missed in one order of threads and is seen in another. */
typedef struct Seen { u32 thread, clock; } Seen;           /* thread: number within the grid, from 1 */
typedef struct Cell { Seen write, read, other_warp, other_block; u8 strong, read_strong, read_only; } Cell;
static Cell *shared_cells;
static u32 (*clocks)[MAX_THREADS];                         /* clocks[t][o]: what t knows of o, of this block */
static u64 unique_read, unique_written;

#define COUNT(flops) (operations += (flops))
#define COUNT_BYTES(bytes, access) \
  (IS_READ(access) ? (void)(bytes_read += (bytes)) : (void)(bytes_written += (bytes)))

static inline int before(Seen seen, u32 me) {
  u32 other = seen.thread - 1;
  if (other == me) return 1;
  if (other / thread_count != block_linear) return 0;
  return seen.clock <= clocks[self->index][other % thread_count];
}
static __attribute__((noinline, cold)) void race(Seen seen, const char *first, const char *second, const char *space, u64 byte, int line) {
  u32 other = (seen.thread - 1) % thread_count, of = (seen.thread - 1) / thread_count;
  fault(RACE, self, line, "race in %s memory, byte %llu: %s, unordered with the %s by thread (%u,%u,%u) of block (%u,%u,%u)", space,
        (unsigned long long)byte, second, first, other % block.x, other / block.x % block.y, other / (block.x * block.y),
        of % grid.x, of / grid.x % grid.y, of / (grid.x * grid.y));
}
static inline void remember_read(Cell *cell, Seen now) {
  u32 old = cell->read.thread;
  if (old && old != now.thread) {
    if ((old - 1) / thread_count != block_linear) cell->other_block = cell->read;
    else if ((old - 1) % thread_count / 32 != self->warp) cell->other_warp = cell->read;
  }
  cell->read = now;
}
static void touch(Cell *cells, u64 from, u32 bytes, int access, const char *space, int line) {
  u32 me = block_linear * thread_count + self->index;
  Seen now = {me + 1, clocks[self->index][self->index]};
  int strong = access >= STRONG_READ, reads = IS_READ(access);
  for (u32 i = 0; i < bytes; i++) {
    Cell *cell = &cells[from + i];
    if (cell->write.thread && !(strong && cell->strong) && !before(cell->write, me))
      race(cell->write, "write", doing[access], space, from + i, line);
    if (access == READ_ONLY && cell->write.thread) race(cell->write, "write", "read-only read (ld.global.nc)", space, from + i, line);
    if (reads) {
      cell->read_only |= access == READ_ONLY;
      if (space[0] == 'g') unique_read += !cell->read.thread;
      cell->read_strong = strong && (cell->read_strong || !cell->read.thread);
      remember_read(cell, now);
      continue;
    }
    if (cell->read_only) race(cell->read, "read-only read (ld.global.nc)", doing[access], space, from + i, line);
    if (!(strong && cell->read_strong)) {
      if (cell->read.thread && !before(cell->read, me)) race(cell->read, "read", doing[access], space, from + i, line);
      if (cell->other_warp.thread && !before(cell->other_warp, me)) race(cell->other_warp, "read", doing[access], space, from + i, line);
      if (cell->other_block.thread && !before(cell->other_block, me)) race(cell->other_block, "read", doing[access], space, from + i, line);
    }
    if (space[0] == 'g') unique_written += !cell->write.thread;
    cell->write = now; cell->strong = strong;
  }
}
static void touch_global(Range *range, u64 address, u32 bytes, int access, int line) {
  if (range->read_only) return;
  if (!range->cells) {
    range->cells = mmap(0, (range->high - range->low) * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range->cells == MAP_FAILED) fault(BOUNDS, self, line, "no memory for the shadow of an array");
  }
  u64 from = address - range->low;
  if (range->fresh && access != WRITE && access != STRONG_WRITE)
    for (u32 i = 0; i < bytes; i++)
      if (!((Cell *)range->cells)[from + i].write.thread)
        fault(UNINITIALISED, self, line, "%s of uninitialised global memory, byte %llu of an array", doing[access], (unsigned long long)(from + i));
  touch(range->cells, from, bytes, access, "global", line);
}
static void touch_shared(u64 offset, u32 bytes, int access, int line) {
  if (access != WRITE && access != STRONG_WRITE)
    for (u32 i = 0; i < bytes; i++)
      if (!shared_cells[offset + i].write.thread)
        fault(UNINITIALISED, self, line, "%s of uninitialised shared memory, byte %llu", doing[access], (unsigned long long)(offset + i));
  touch(shared_cells, offset, bytes, access, "shared", line);
}
static void touch_local(u64 offset, u32 bytes, int access, int line) {
  if (access == WRITE || access == STRONG_WRITE) { memset(self->local_written + offset, 1, bytes); return; }
  for (u32 i = 0; i < bytes; i++)
    if (!self->local_written[offset + i])
      fault(UNINITIALISED, self, line, "read of uninitialised local memory, byte %llu", (unsigned long long)(offset + i));
}
/* all members have met: each knows what any of them knew */
static void order_threads(Thread **members, u32 count) {
  u32 joint[MAX_THREADS];
  memcpy(joint, clocks[members[0]->index], thread_count * 4);
  for (u32 m = 1; m < count; m++) {
    const u32 *mine = clocks[members[m]->index];
    for (u32 t = 0; t < thread_count; t++) joint[t] = mine[t] > joint[t] ? mine[t] : joint[t];
  }
  for (u32 m = 0; m < count; m++) {
    u32 *mine = clocks[members[m]->index];
    memcpy(mine, joint, thread_count * 4);
    mine[members[m]->index]++;
  }
}
/* bar.arrive releases what it did, and learns nothing */
static void release_clock(Thread *thread) { clocks[thread->index][thread->index]++; }
