// Blocks, their threads, and where these meet: barriers of the block, barriers and exchanges of a warp.
#pragma once

namespace minidl {

enum Operation { WAIT, SHUFFLE, BALLOT };
constexpr uint64_t NOBODY = ~0ull;  // as a float or a double: a NaN

// A CUDA thread while it runs.
struct Thread {
  dim3 index;
  unsigned number;  // within its block
  uint64_t result;  // of the last meeting
  void* stack_pointer;
  char* stack;
  void* context;  // ThreadSanitizer's, of the fibre
};

// Lanes that wait for each other: those that named the same mask for the same operation.
struct Group {
  unsigned mask, arrived;
  Operation operation;
};

struct Warp {
  unsigned alive;
  std::vector<Group> groups;
  uint64_t value[32];
  int source[32];
  Thread* lane[32];
};

// Each shared variable, in each instance of a template, has a slot; slot 0 is the dynamic memory.
constexpr int SLOTS = 64;
inline size_t slot_bytes[SLOTS];
inline int slot_count = 1;
inline void forget(char* memory, size_t bytes);

struct Block {
  dim3 index;
  unsigned alive, arrived, total;
  std::vector<Thread*> waiting;  // at its barrier
  std::vector<Warp> warps;
  char* shared[SLOTS] = {};  // memory of its shared variables (entry.h)

  explicit Block(unsigned threads) : warps((threads + 31) / 32) {}
  ~Block() {
    for (int slot = 0; slot < SLOTS; slot++) forget(shared[slot], slot_bytes[slot]);
  }
  void begin(dim3 at, unsigned threads) {
    index = at;
    alive = threads;
    arrived = total = 0;
    for (size_t w = 0; w < warps.size(); w++)
      warps[w].alive = threads - w * 32 < 32 ? (1u << (threads - w * 32)) - 1 : ~0u;
  }
};

inline dim3 grid_shape, block_shape;
inline const char* kernel_name;
inline unsigned threads;  // in a block
inline Thread* current;
inline Block* block;

inline void say_where() {
  if (!kernel_name || !block || !current) return;
  fprintf(stderr, "minidl: kernel %s, block (%u, %u, %u), thread (%u, %u, %u)\n", kernel_name,
          block->index.x, block->index.y, block->index.z, current->index.x, current->index.y,
          current->index.z);
  fflush(stderr);
}

// What went wrong in a launch; a program of its own ends, a library gives up the launch.
inline char failure[512];
#ifdef MINIDL_SERVER
[[noreturn]] inline void fail(const char* what) {
  fprintf(stderr, "minidl: %s\n", what);
  say_where();
  abort();
}
#else
[[noreturn]] inline void give_up();
[[noreturn]] inline void fail(const char* what) {
  snprintf(failure, sizeof failure, "%s: kernel %s, block (%u, %u, %u), thread (%u, %u, %u)", what,
           kernel_name, block->index.x, block->index.y, block->index.z, current->index.x,
           current->index.y, current->index.z);
  give_up();
}
#endif

}  // namespace minidl

#include "watched.h"

#include "fibres.h"

namespace minidl {

// All living threads are at the barrier: each gets the total.
inline void release_block(Thread* running) {
  if (running) block->waiting.push_back(running);
  put_in_order(block->waiting.data(), block->waiting.size());
  for (Thread* thread : block->waiting) {
    thread->result = block->total;
    if (thread != running) resume(thread);
  }
  block->waiting.clear();
  block->arrived = block->total = 0;
}

inline int meet_block(int value) {
  const Unseen unseen;
  Thread* self = current;
  block->total += value;
  if (++block->arrived == block->alive) {
    release_block(self);
  } else {
    block->waiting.push_back(self);
    suspend();
  }
  return int(self->result);
}

// All living lanes of a group have arrived: compute what each receives.  An exchange puts no accesses
// to memory into an order.
inline void release_group(Warp& warp, size_t which, Thread* running) {
  const Group group = warp.groups[which];
  warp.groups.erase(warp.groups.begin() + which);
  uint64_t ballot = 0;
  for (int i = 0; i < 32; i++)
    if (group.arrived >> i & 1) ballot |= (warp.value[i] & 1) << i;
  Thread* members[32];
  size_t count = 0;
  for (int i = 0; i < 32; i++) {
    if (!(group.arrived >> i & 1)) continue;
    members[count++] = warp.lane[i];
    const int from = warp.source[i];
    warp.lane[i]->result = group.operation == BALLOT ? ballot
                           : group.arrived >> from & 1 ? warp.value[from]
                                                       : NOBODY;
    if (warp.lane[i] != running) resume(warp.lane[i]);
  }
  if (group.operation == WAIT) put_in_order(members, count);
}

inline uint64_t meet_warp(unsigned mask, Operation operation, uint64_t value, int source) {
  const Unseen unseen;
  Warp& warp = block->warps[current->number / 32];
  Thread* self = current;
  const unsigned lane = self->number % 32;
  if (!(mask >> lane & 1)) fail("a thread that its own mask of lanes does not name");
  warp.value[lane] = value;
  warp.source[lane] = source;
  warp.lane[lane] = self;
  size_t i = 0;
  while (i < warp.groups.size() &&
         (warp.groups[i].mask != mask || warp.groups[i].operation != operation))
    i++;
  if (i == warp.groups.size()) warp.groups.push_back({mask, 0, operation});
  warp.groups[i].arrived |= 1u << lane;
  if (warp.groups[i].arrived == (mask & warp.alive))
    release_group(warp, i, self);
  else
    suspend();
  return self->result;
}

// The running thread has returned: who waits for it need wait no longer.
inline void leave() {
  Warp& warp = block->warps[current->number / 32];
  warp.alive &= ~(1u << current->number % 32);
  for (size_t i = 0; i < warp.groups.size();)
    if (warp.groups[i].arrived == (warp.groups[i].mask & warp.alive))
      release_group(warp, i, nullptr);
    else
      i++;
  block->alive--;
  if (block->arrived && block->arrived == block->alive) release_block(nullptr);
}

}  // namespace minidl
