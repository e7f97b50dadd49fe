// What the sanitizers are told of fibres, and shared memory in which they see what is done to it.
#pragma once

namespace minidl {

inline Thread host;                  // what launches kernels
inline std::vector<Thread*> fibres;  // all of them
inline size_t blocks_begun;          // of this launch

#if defined(__SANITIZE_THREAD__)

// To ThreadSanitizer a fibre that it was told of is a thread: switches between fibres order nothing,
// barriers order those that meet.  So two accesses that conflict are reported even though one always
// runs after the other, within a block and between blocks.

constexpr bool FIBRE_FOR_EACH = true;
constexpr size_t STACK = 256 * 1024;

__attribute__((no_sanitize("thread"))) inline void* before_switch(const Thread& next) {
  __tsan_switch_to_fiber(next.context, __tsan_switch_to_fiber_no_sync);
  return nullptr;
}
inline void after_switch(void*) {}

// What the scheduler does to its own variables is no access of a kernel.
inline void look_away() { __tsan_ignore_thread_begin(); }
inline void look_again() { __tsan_ignore_thread_end(); }

inline char clocks[2];  // of the launch, of a meeting; what matters is their addresses

inline void release(Thread* const* members, size_t count, char* clock) {
  void* self = __tsan_get_current_fiber();
  for (size_t i = 0; i < count; i++) {
    __tsan_switch_to_fiber(members[i]->context, __tsan_switch_to_fiber_no_sync);
    if (i == 0) __atomic_store_n(clock, 0, __ATOMIC_RELEASE);  // forgets those of the meeting before
    else __tsan_release(clock);
  }
  __tsan_switch_to_fiber(self, __tsan_switch_to_fiber_no_sync);
}
inline void acquire(Thread* const* members, size_t count, char* clock) {
  void* self = __tsan_get_current_fiber();
  for (size_t i = 0; i < count; i++) {
    __tsan_switch_to_fiber(members[i]->context, __tsan_switch_to_fiber_no_sync);
    __tsan_acquire(clock);
  }
  __tsan_switch_to_fiber(self, __tsan_switch_to_fiber_no_sync);
}

// All that any of them did before comes before all that any does after.
inline void put_in_order(Thread* const* members, size_t count) {
  release(members, count, &clocks[1]);
  acquire(members, count, &clocks[1]);
}

// Shared memory of which ThreadSanitizer does not hear who made it: its first access is as unordered as
// all others.  Each block has its own until the end of the launch, since blocks are in no order.
struct Region {
  char* memory;
  size_t bytes;
};
inline std::vector<Region> regions;
inline size_t region_bytes;
constexpr size_t MOST_REGION_BYTES = 64 << 20;

__attribute__((no_sanitize("thread"), noinline)) inline void fill(char* memory, size_t bytes) {
  for (volatile char* at = memory; at < memory + bytes; at++) *at = char(0xff);
}
inline char* new_memory(size_t bytes) {
  look_away();
  const size_t whole = (bytes + 4095) / 4096 * 4096;
  char* memory = reinterpret_cast<char*>(syscall(SYS_mmap, nullptr, whole, PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  fill(memory, bytes);
  regions.push_back({memory, whole});
  region_bytes += whole;
  look_again();
  return memory;
}
inline void renew(char*& memory, size_t) { memory = nullptr; }
inline void forget(char*, size_t) {}

// The fibres of a launch are two teams, one for its blocks of even number and one for those of odd.
inline Thread* new_fibre();
inline void begin_fibre(Thread& fibre) { fibre.context = __tsan_create_fiber(0); }

inline void begin_launch() {
  host.context = __tsan_get_current_fiber();
  while (fibres.size() < 2 * threads) new_fibre();
  Thread* caller = &host;
  release(&caller, 1, &clocks[0]);
}
inline void begin_block() {
  if (blocks_begun < 2) acquire(&fibres[blocks_begun * threads], threads, &clocks[0]);
}
inline void end_launch() {
  Thread* caller = &host;
  release(fibres.data(), blocks_begun < 2 ? threads : 2 * threads, &clocks[1]);
  acquire(&caller, 1, &clocks[1]);
  for (const Region& region : regions) syscall(SYS_munmap, region.memory, region.bytes);
  regions.clear();
  region_bytes = 0;
}
inline void end_block() {  // of very many blocks, those far apart are not compared
  if (region_bytes <= MOST_REGION_BYTES) return;
  end_launch();
  begin_launch();
  acquire(fibres.data(), 2 * threads, &clocks[0]);
}

#else

constexpr bool FIBRE_FOR_EACH = false;

#if defined(__SANITIZE_ADDRESS__)  // it wants to know the stack that each switch goes to

constexpr size_t STACK = 256 * 1024;

inline void* before_switch(const Thread& next) {
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, next.stack, STACK);
  return fake;
}
inline void after_switch(void* fake) { __sanitizer_finish_switch_fiber(fake, nullptr, nullptr); }
inline void begin_launch() {
  if (host.stack) return;
  pthread_attr_t attributes;
  void* bottom;
  size_t size;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &bottom, &size);
  pthread_attr_destroy(&attributes);
  host.stack = static_cast<char*>(bottom) + size - STACK;
}

#else

constexpr size_t STACK = 64 * 1024;

inline void* before_switch(const Thread&) { return nullptr; }
inline void after_switch(void*) {}
inline void begin_launch() {}

#endif

inline void look_away() {}
inline void look_again() {}
inline void put_in_order(Thread* const*, size_t) {}
inline void begin_fibre(Thread&) {}
inline void begin_block() {}
inline void end_block() {}
inline void end_launch() {}

// malloc gives memory of exactly this size: AddressSanitizer sees what is accessed beyond it.
inline char* new_memory(size_t bytes) {
  char* memory = static_cast<char*>(malloc(bytes));
  memset(memory, 0xff, bytes);
  return memory;
}
inline void renew(char*& memory, size_t bytes) {  // full of NaN, whatever the block before wrote
  if (memory) memset(memory, 0xff, bytes);
}
inline void forget(char* memory, size_t) { free(memory); }

#endif

struct Unseen {
  Unseen() { look_away(); }
  ~Unseen() { look_again(); }
};

}  // namespace minidl
