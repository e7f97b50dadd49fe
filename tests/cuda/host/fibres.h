// The threads of a block as fibres of one OS thread.
//
// A fibre runs one CUDA thread after the other; only where one has to wait at a barrier does another
// fibre go on.  So a kernel without barriers is a loop over its threads.  Under ThreadSanitizer each
// thread of a block has a fibre of its own instead.
#pragma once

namespace minidl {

inline std::vector<Thread*> idle;   // those without a thread to run
inline std::vector<Thread*> ready;  // released from a meeting; run from `next_ready` on
inline size_t next_ready;
inline unsigned next_thread;  // not yet begun
inline void (*body)(void*);
inline void* body_arguments;

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
#error "fibres need a context switch for this processor"
#endif

inline void go_to(Thread* next) {
  Thread* from = current;
  current = next;
  if (from == next) return;
  void* token = before_switch(*next);
  minidl_switch(&from->stack_pointer, next->stack_pointer);
  after_switch(token);
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
  // Without the sanitizers' knowledge, which would have them keep a record of it.
  char* memory = reinterpret_cast<char*>(syscall(SYS_mmap, nullptr, STACK + page,
                                                 PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (memory == MAP_FAILED) fail("no memory for a stack");
  mprotect(memory, page, PROT_NONE);  // below the stack: what overflows is a fault
  fibre->stack = memory + page;
  begin_fibre(*fibre);
  fibre->stack_pointer = first_frame(fibre->stack + STACK, run_threads);
  fibres.push_back(fibre);
  return fibre;
}

// Which fibre runs a thread, if each has its own: those of one block and of the next are different
// fibres, and in the one after that they have changed places.  For what a fibre does is in order.
inline size_t place_of(unsigned number) {
  return blocks_begun % 2 * threads + (number + blocks_begun / 2) % threads;
}

// The next fibre that can go on; the host's, when all threads have returned.
inline Thread* successor() {
  if (next_ready < ready.size()) {
    Thread* next = ready[next_ready++];
    if (next_ready == ready.size()) ready.clear(), next_ready = 0;
    return next;
  }
  if (next_thread < threads) {
    if (FIBRE_FOR_EACH) return fibres[place_of(next_thread)];
    if (idle.empty()) return new_fibre();
    Thread* next = idle.back();
    idle.pop_back();
    return next;
  }
  if (block->alive) fail("some threads wait at a barrier or exchange that others never reach");
  return &host;
}

inline void suspend() { go_to(successor()); }
inline void resume(Thread* thread) { ready.push_back(thread); }

inline void run_thread(unsigned number) {
  current->number = number;
  current->index = {number % block_shape.x, number / block_shape.x % block_shape.y,
                    number / (block_shape.x * block_shape.y)};
  look_again();
  body(body_arguments);
  look_away();
  leave();
}

// What a fibre does: run threads that nobody has begun; then wait for the next block.
inline void run_threads() {
  after_switch(nullptr);
  look_away();
  for (;;) {
    do run_thread(next_thread++);
    while (next_thread < threads && !FIBRE_FOR_EACH);
    Thread* next = successor();
    if (!FIBRE_FOR_EACH) idle.push_back(current);
    go_to(next);
  }
}

inline void run_block(dim3 at) {
  block->begin(at, threads);
  for (int slot = 0; slot < slot_count; slot++) renew(block->shared[slot], slot_bytes[slot]);
  begin_block();
  next_thread = 0;
  ready.clear();
  next_ready = 0;
  current = &host;
  go_to(successor());
  blocks_begun++;
  end_block();
}

inline void run_grid() {
  Unseen unseen;
  blocks_begun = 0;
  begin_launch();
  Block one(threads);
  block = &one;
  for (unsigned z = 0; z < grid_shape.z; z++)
    for (unsigned y = 0; y < grid_shape.y; y++)
      for (unsigned x = 0; x < grid_shape.x && !*failure; x++) run_block({x, y, z});
  end_launch();
  block = nullptr;
}

}  // namespace minidl
