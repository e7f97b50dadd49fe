// Rows of numbers, each worked on by a team of threads: one, a warp, or a block of 256.
//
// A team keeps the leading part of its row in registers, all loads of which are under way at once, so
// that further passes over it cost nothing; what is behind is read again, from a cache if it fits.
#pragma once
#include "compensated.cuh"
#include "element.cuh"

constexpr int BLOCK = 256;

template <int TEAM>
struct Team {
  static_assert(TEAM == 1 || TEAM == 32 || TEAM == BLOCK, "a thread, a warp or a block");

  __device__ static int lane() { return threadIdx.x % TEAM; }

  // The first row of this team, and how many teams there are.
  __device__ static long long first() {
    return (long long)blockIdx.x * (blockDim.x / TEAM) + threadIdx.x / TEAM;
  }
  __device__ static long long count() { return (long long)gridDim.x * (blockDim.x / TEAM); }

  // The sum over the team, in each of its threads; in an order that is always the same.
  __device__ static TwoFloat sum(TwoFloat part) {
    if (TEAM == 1) return part;
    part.add_lanes();
    if (TEAM == 32) return part;
    __shared__ TwoFloat parts[BLOCK / 32];
    __syncthreads();  // until all have read those of the sum before
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = part;
    __syncthreads();
    TwoFloat total = parts[0];
    for (int i = 1; i < BLOCK / 32; i++) total.add(parts[i]);
    return total;
  }

  // The maximum over the team; NaN counts as nothing.
  __device__ static float max(float part) {
    if (TEAM == 1) return part;
#pragma unroll
    for (int distance = 16; distance; distance /= 2)
      part = fmaxf(part, __shfl_xor_sync(0xffffffffu, part, distance));
    if (TEAM == 32) return part;
    __shared__ float parts[BLOCK / 32];
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = part;
    __syncthreads();
    float largest = parts[0];
    for (int i = 1; i < BLOCK / 32; i++) largest = fmaxf(largest, parts[i]);
    return largest;
  }
};

template <class T, int TEAM, int HELD>
struct Row {
  const T* x;
  int n;
  float held[HELD];

  __device__ Row(const T* row, int length) : x(row), n(length) {
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      const int i = Team<TEAM>::lane() + k * TEAM;
      held[k] = i < n ? load(x + i) : 0.f;
    }
  }

  // f(i, x[i]) for the elements of this thread.
  template <class F>
  __device__ void each(F f) const {
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      const int i = Team<TEAM>::lane() + k * TEAM;
      if (i < n) f(i, held[k]);
    }
#pragma unroll 1
    for (int i = Team<TEAM>::lane() + HELD * TEAM; i < n; i += TEAM) f(i, load(x + i));
  }
};

// A sum divided by n, to more digits than a float has: high + low.  The inverse of n is taken where few
// registers are in use: a division is a call.
struct Quotient {
  float high, low;
  __device__ Quotient(const TwoFloat& total, float n, float inverse) {
    high = total.value() * inverse;
    low = (fmaf(-high, n, total.sum) + total.rounded) * inverse;
    if (!(low - low == 0.f)) low = 0.f;  // high is not finite
  }
};
