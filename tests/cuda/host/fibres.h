// The threads of a block as fibres of one OS thread.
//
// A fibre runs one CUDA thread after the other; only where one has to wait at a barrier does another
// fibre go on.  So a kernel without barriers is a loop over its threads.
#pragma once

#if defined(__SANITIZE_ADDRESS__)  // it wants to be told of each switch
#define MINIDL_SWITCHES
#endif

namespace minidl {

#ifdef MINIDL_SWITCHES
constexpr size_t STACK = 256 * 1024;
#else
constexpr size_t STACK = 64 * 1024;
#endif

inline std::vector<Thread*> fibres, idle;  // all of them, and those without a thread to run
inline std::vector<Thread*> ready;         // released from a meeting; run from `next_ready` on
inline size_t next_ready;
inline unsigned next_thread;               // not yet begun
inline Thread host;                        // what launches kernels
inline void (*body)(void*);
inline void* body_arguments;

struct Lock {  // one OS thread needs none
  explicit Lock(Place&) {}
};

// Save the callee's registers and the stack pointer, and go on with another stack.
#if defined(__x86_64__)
extern "C" void minidl_switch(void** save, void* load);
asm(R"(
  .text
  .type minidl_switch, @function
minidl_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size minidl_switch, .-minidl_switch
)");
inline void* first_frame(char* top, void (*entry)()) {
  void** frame = reinterpret_cast<void**>(top) - 2;  // the ABI wants 8 modulo 16 at the entry
  frame[0] = reinterpret_cast<void*>(entry);
  frame[1] = nullptr;
  return frame - 6;
}
#elif defined(__aarch64__)
extern "C" void minidl_switch(void** save, void* load);
asm(R"(
  .text
  .type minidl_switch, %function
minidl_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
  .size minidl_switch, .-minidl_switch
)");
inline void* first_frame(char* top, void (*entry)()) {
  void** frame = reinterpret_cast<void**>(top - 160);
  memset(frame, 0, 160);
  frame[11] = reinterpret_cast<void*>(entry);  // x30
  return frame;
}
#else
#error "fibres need a context switch for this processor: use MINIDL_THREADS"
#endif

inline void go_to(Thread* next) {
  Thread* from = current;
  current = next;
  if (from == next) return;
#ifdef MINIDL_SWITCHES
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, next->stack, STACK);
  minidl_switch(&from->stack_pointer, next->stack_pointer);
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
  minidl_switch(&from->stack_pointer, next->stack_pointer);
#endif
}

inline void run_threads();
inline void leave();

#ifndef MINIDL_SERVER
// Back to the host; the fibres that are under way are never resumed.
[[noreturn]] inline void give_up() {
  idle.clear();
  go_to(&host);
  __builtin_unreachable();
}
#endif

inline Thread* new_fibre() {
  Thread* fibre = new Thread();
  const size_t page = size_t(sysconf(_SC_PAGESIZE));
  char* memory = static_cast<char*>(mmap(nullptr, STACK + page, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (memory == MAP_FAILED) fail("no memory for a stack");
  mprotect(memory, page, PROT_NONE);  // below the stack: what overflows is a fault
  fibre->stack = memory + page;
  fibre->stack_pointer = first_frame(fibre->stack + STACK, run_threads);
  fibres.push_back(fibre);
  return fibre;
}

// The next fibre that can go on; the host's, when all threads have returned.
inline Thread* successor() {
  if (next_ready < ready.size()) {
    Thread* next = ready[next_ready++];
    if (next_ready == ready.size()) ready.clear(), next_ready = 0;
    return next;
  }
  if (next_thread < threads) {
    if (idle.empty()) return new_fibre();
    Thread* next = idle.back();
    idle.pop_back();
    return next;
  }
  if (block->alive) fail("some threads wait at a barrier or exchange that others never reach");
  return &host;
}

inline void suspend(Lock&, Place&) { go_to(successor()); }
inline void resume(Thread* thread, Place&) { ready.push_back(thread); }

// What a fibre does: run threads that nobody has begun; then wait for the next block.
inline void run_threads() {
#ifdef MINIDL_SWITCHES
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
  for (;;) {
    while (next_thread < threads) {
      const unsigned number = next_thread++;
      current->number = number;
      current->index = {number % block_shape.x, number / block_shape.x % block_shape.y,
                        number / (block_shape.x * block_shape.y)};
      body(body_arguments);
      leave();
    }
    Thread* next = successor();
    idle.push_back(current);
    go_to(next);
  }
}

// malloc gives memory of exactly this size: AddressSanitizer sees what is accessed beyond it.
inline char* new_memory(size_t bytes) {
  char* memory = static_cast<char*>(malloc(bytes));
  memset(memory, 0xff, bytes);
  return memory;
}
inline void forget(char* memory, size_t) { free(memory); }

inline void run_block(dim3 at) {
  block->begin(at, threads);
  for (int slot = 0; slot < slot_count; slot++)  // full of NaN, whatever the block before wrote
    if (block->shared[slot]) memset(block->shared[slot], 0xff, slot_bytes[slot]);
  next_thread = 0;
  ready.clear();
  next_ready = 0;
  current = &host;
  go_to(successor());
}

inline void run_grid() {
#ifdef MINIDL_SWITCHES
  if (!host.stack) {  // the sanitizer wants to know where the host's own stack is
    pthread_attr_t attributes;
    void* bottom;
    size_t size;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &bottom, &size);
    pthread_attr_destroy(&attributes);
    host.stack = static_cast<char*>(bottom) + size - STACK;
  }
#endif
  Block one(threads);
  block = &one;
  for (unsigned z = 0; z < grid_shape.z; z++)
    for (unsigned y = 0; y < grid_shape.y; y++)
      for (unsigned x = 0; x < grid_shape.x && !*failure; x++) run_block({x, y, z});
  block = nullptr;
}

}  // namespace minidl
