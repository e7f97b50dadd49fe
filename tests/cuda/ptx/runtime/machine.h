/* The machine that runs a block of threads: types, threads as fibres, faults.
 *
 * A fibre runs until it waits (for a barrier or for lanes of its warp) or ends.  All is one OS thread:
 * a run is deterministic, and what another order of threads would do is seen by asking for it. */
#define _GNU_SOURCE
#include <math.h>
#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

typedef uint8_t u8, b8, pred; typedef uint16_t u16, b16; typedef uint32_t u32, b32; typedef uint64_t u64, b64;
typedef int8_t s8; typedef int16_t s16; typedef int32_t s32; typedef int64_t s64;
typedef _Float16 f16; typedef float f32; typedef double f64;
typedef unsigned __int128 u128; typedef __int128 s128;

/* the same bits as another type */
#define BITS(type, value) ({ __typeof__(value) v_ = (value); type r_; \
  _Static_assert(sizeof v_ == sizeof r_, "sizes differ"); memcpy(&r_, &v_, sizeof r_); r_; })
#define LIKELY(x) __builtin_expect(!!(x), 1)

enum { READY, AT_BARRIER, AT_WARP, AT_ACTIVEMASK, DONE };
enum { MAX_THREADS = 1024, STACK = 1 << 17, LOCAL = 1 << 16, MAX_COPIES = 256, BARRIERS = 16 };

typedef struct Copy { u64 to, from; u32 bytes, filled; u32 group; int line; } Copy;
typedef struct Thread Thread;
struct Thread {
  void *stack_pointer;
#if !defined(__x86_64__)
  ucontext_t context;
#endif
  int state, line;
  u32 x, y, z, index, lane, warp;
  /* what it waits for at AT_WARP: `meet` computes the results of all lanes of `mask` at once */
  void (*meet)(Thread *warp, u32 mask);
  u32 mask; int aligned, kind; u64 in[24], out[16];
  /* at AT_BARRIER */
  u32 barrier, expected; int vote; u32 predicate;
  /* cp.async */
  Copy copies[MAX_COPIES]; u32 copy_count, copy_group;
  u8 *stack, *local, *local_written; u32 local_top;
};
static Thread threads[MAX_THREADS + 32], *self;
static struct { u32 x, y, z; } block_index, grid, block;
static u32 thread_count, block_linear;

/* A fault ends the launch; the first is reported. */
enum { BOUNDS = 1, ALIGNMENT, UNINITIALISED, RACE, BARRIER, WARP, TRAP, COPY };
static struct { int kind, line; u32 block[3], thread[3]; char text[400]; } report;
static jmp_buf ended;
static __attribute__((noreturn, noinline, cold, format(printf, 4, 5)))
void fault(int kind, Thread *thread, int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(report.text, sizeof report.text, format, arguments);
  va_end(arguments);
  report.kind = kind; report.line = line;
  report.block[0] = block_index.x; report.block[1] = block_index.y; report.block[2] = block_index.z;
  if (thread) { report.thread[0] = thread->x; report.thread[1] = thread->y; report.thread[2] = thread->z; }
  longjmp(ended, 1);
}

/* Switching: the scheduler's stack is `hub`. */
#if defined(__x86_64__)
static void *hub;
__attribute__((naked, noinline)) static void switch_stack(void **from, void *to) {
  __asm__("pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
          "movq %rsp, (%rdi); movq %rsi, %rsp\n"
          "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret");
}
static void wait_here(void) { switch_stack(&self->stack_pointer, hub); }
static void resume(Thread *thread) { self = thread; switch_stack(&hub, thread->stack_pointer); }
static void prepare(Thread *thread, void (*start)(void)) {
  void **top = (void **)(thread->stack + STACK - 64);
  top[6] = (void *)start; top[7] = 0;
  thread->stack_pointer = top;
}
#else
static ucontext_t hub;
static void wait_here(void) { swapcontext(&self->context, &hub); }
static void resume(Thread *thread) { self = thread; swapcontext(&hub, &thread->context); }
static void prepare(Thread *thread, void (*start)(void)) {
  getcontext(&thread->context);
  thread->context.uc_stack.ss_sp = thread->stack;
  thread->context.uc_stack.ss_size = STACK;
  thread->context.uc_link = &hub;
  makecontext(&thread->context, start, 0);
}
#endif
