// Threads of a block and where they meet: barriers of the block, barriers and exchanges of a warp.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vector>

#ifdef MINIDL_THREADS
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#endif

namespace minidl {

enum Operation { WAIT, SHUFFLE, BALLOT };
constexpr uint64_t NOBODY = ~0ull;  // as a float or a double: a NaN

// A CUDA thread while it runs.
struct Thread {
  dim3 index;
  unsigned number;  // within its block
  uint64_t result;  // of the last meeting
#ifdef MINIDL_THREADS
  bool released;
#else
  void* stack_pointer;
  char* stack;
#endif
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
#ifdef MINIDL_THREADS
  std::mutex mutex;
  std::condition_variable changed;
#endif
};

inline dim3 grid_shape, block_shape;
inline const char* kernel_name;
inline unsigned threads, alive, arrived, total;
#ifdef MINIDL_THREADS
inline thread_local Thread* current;
inline thread_local dim3 block_index;
inline std::mutex block_mutex;
inline std::condition_variable block_changed;
inline std::unique_ptr<Warp[]> warps;
#else
inline Thread* current;
inline dim3 block_index;
inline std::vector<Warp> warps;
#endif
inline std::vector<Thread*> waiting;  // at the barrier of the block

[[noreturn]] inline void fail(const char* what) {
  fprintf(stderr, "minidl: %s: kernel %s, block (%u, %u, %u), thread (%u, %u, %u)\n", what,
          kernel_name, block_index.x, block_index.y, block_index.z, current->index.x,
          current->index.y, current->index.z);
  fflush(stderr);
  abort();
}

}  // namespace minidl

#ifdef MINIDL_THREADS
#include "threads.h"
#else
#include "fibres.h"
#endif

namespace minidl {

// All living threads are at the barrier: each gets the total.
inline void release_block() {
  for (Thread* thread : waiting) {
    thread->result = total;
    resume(thread, nullptr);
  }
  waiting.clear();
  arrived = total = 0;
}

inline int meet_block(int value) {
  Lock lock(nullptr);
  Thread* self = current;
  total += value;
  if (++arrived == alive) {
    const int result = int(total);
    release_block();
    return result;
  }
  waiting.push_back(self);
  suspend(lock, nullptr);
  return int(self->result);
}

// All living lanes of a group have arrived: compute what each receives.
inline void release_group(Warp& warp, size_t which, Thread* running) {
  const Group group = warp.groups[which];
  warp.groups.erase(warp.groups.begin() + which);
  uint64_t ballot = 0;
  for (int i = 0; i < 32; i++)
    if (group.arrived >> i & 1) ballot |= (warp.value[i] & 1) << i;
  for (int i = 0; i < 32; i++) {
    if (!(group.arrived >> i & 1)) continue;
    const int from = warp.source[i];
    warp.lane[i]->result = group.operation == BALLOT ? ballot
                           : group.arrived >> from & 1 ? warp.value[from]
                                                       : NOBODY;
    if (warp.lane[i] != running) resume(warp.lane[i], &warp);
  }
}

inline uint64_t meet_warp(unsigned mask, Operation operation, uint64_t value, int source) {
  Warp& warp = warps[current->number / 32];
  Lock lock(&warp);
  Thread* self = current;
  const unsigned lane = self->number % 32;
  if (!(mask >> lane & 1)) fail("a mask of lanes without the one that names it");
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
    suspend(lock, &warp);
  return self->result;
}

// The running thread has returned: who waits for it need wait no longer.
inline void leave() {
  Warp& warp = warps[current->number / 32];
  {
    Lock lock(&warp);
    warp.alive &= ~(1u << current->number % 32);
    for (size_t i = 0; i < warp.groups.size();)
      if (warp.groups[i].arrived == (warp.groups[i].mask & warp.alive))
        release_group(warp, i, nullptr);
      else
        i++;
  }
  Lock lock(nullptr);
  alive--;
  if (arrived && arrived == alive) release_block();
}

}  // namespace minidl
