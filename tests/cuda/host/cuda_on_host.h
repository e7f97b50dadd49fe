// CUDA C++ for the host compiler: the same kernel source runs on the CPU.
//
// Blocks run one after the other, their threads as fibres of one OS thread (fibres.h).  Barriers and
// exchanges within a warp are meetings (meetings.h): who comes early waits until all others are there
// or have returned.  An exchange with a lane that does not take part gives bits that are a NaN.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <vector>
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
extern "C" void __tsan_ignore_thread_begin();  // of the library, but in no header
extern "C" void __tsan_ignore_thread_end();
#endif
#if defined(__F16C__) || defined(__SSE__)
#include <immintrin.h>
#endif

// After the system's headers, which have some of these names too.

#define __global__
#define __device__ inline
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
  unsigned x, y, z;
};

#include "meetings.h"

#define threadIdx (minidl::current->index)
#define blockIdx (minidl::block->index)
#define blockDim minidl::block_shape
#define gridDim minidl::grid_shape
constexpr int warpSize = 32;

// Barriers and exchanges.
inline void __syncthreads() { minidl::meet_block(0); }
inline int __syncthreads_count(int p) { return minidl::meet_block(p); }
inline int __syncthreads_or(int p) { return minidl::meet_block(p != 0) > 0; }
inline int __syncthreads_and(int p) { return minidl::meet_block(p == 0) == 0; }
inline void __syncwarp(unsigned mask = ~0u) { minidl::meet_warp(mask, minidl::WAIT, 0, 0); }
inline unsigned __ballot_sync(unsigned mask, int p) {
  return unsigned(minidl::meet_warp(mask, minidl::BALLOT, p != 0, 0));
}
inline int __any_sync(unsigned mask, int p) { return __ballot_sync(mask, p) != 0; }
inline int __all_sync(unsigned mask, int p) { return __ballot_sync(mask, !p) == 0; }

namespace minidl {
template <class T> T exchange(unsigned mask, T value, int from) {
  static_assert(sizeof(T) <= 8, "a lane exchanges at most 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = meet_warp(mask, SHUFFLE, bits, from);
  memcpy(&value, &bits, sizeof value);
  return value;
}
inline int lane() { return int(current->number % 32); }
// The lane to read from, if it is in the same segment of `width` lanes; else one's own.
inline int within(int from, int width) {
  return from >= 0 && from / width == lane() / width ? from : lane();
}
}  // namespace minidl

template <class T> T __shfl_sync(unsigned mask, T v, int from, int width = 32) {
  const int start = minidl::lane() / width * width;
  return minidl::exchange(mask, v, start + (from & (width - 1)));
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32) {
  const int from = minidl::lane() ^ bits;  // lanes of earlier segments may be read, later ones not
  return minidl::exchange(mask, v, from / width <= minidl::lane() / width ? from : minidl::lane());
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32) {
  return minidl::exchange(mask, v, minidl::within(minidl::lane() - int(by), width));
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32) {
  return minidl::exchange(mask, v, minidl::within(minidl::lane() + int(by), width));
}

#include "vectors.h"
#include "half.h"
#include "arithmetic.h"
#include "entry.h"
