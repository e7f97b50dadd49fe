// Channels of x (N, C, S), each worked on by a block, or 32 side by side where S is small.
//
// The N·S elements of a channel are cut into chunks, a block each: so there is enough to do for the
// whole GPU.  A block's 256 threads are LINES lines of WIDE channels.  What they add up is compensated
// and merged in an order that depends on the shape alone.
#pragma once
#include "rows.cuh"

struct Channels {
  int samples, channels, space, chunk, chunks;
  __device__ long long count() const { return (long long)samples * space; }
};

template <int WIDE>
struct Channel {
  static constexpr int LINES = BLOCK / WIDE;
  Channels at;
  int which, line;  // the channel; the place in a chunk
  int number;       // of the chunk
  unsigned begin, end;

  __device__ explicit Channel(const Channels& shape) : at(shape) {
    const int blocks = (at.channels + WIDE - 1) / WIDE;
    which = blockIdx.x % blocks * WIDE + threadIdx.x % WIDE;
    line = threadIdx.x / WIDE;
    number = blockIdx.x / blocks;
    begin = number * at.chunk;
    end = min((long long)begin + at.chunk, at.count());
    if (which >= at.channels) end = begin;
  }

  __device__ bool exists() const { return which < at.channels; }
  // Whether this thread writes what there is once a channel.
  __device__ bool is_first() const { return exists() && line == 0 && number == 0; }

  __device__ long long place(unsigned i) const {
    return ((long long)(i / at.space) * at.channels + which) * at.space + i % at.space;
  }
  __device__ float length_of(int chunk) const {
    return min((long long)at.chunk, at.count() - (long long)chunk * at.chunk);
  }

  // f(place, sample) for the elements of this thread.
  template <class F>
  __device__ void each(F f) const {
    for (unsigned i = begin + line; i < end; i += LINES) f(place(i), i / at.space);
  }

  // The sum over the lines, in each of them.
  __device__ static TwoFloat sum(const TwoFloat& part) {
    if (WIDE == 1) return Team<BLOCK>::sum(part);
    __shared__ TwoFloat parts[LINES][33];
    __syncthreads();
    parts[threadIdx.x / WIDE][threadIdx.x % 32] = part;
    __syncthreads();
    TwoFloat total = parts[0][threadIdx.x % 32];
    for (int i = 1; i < LINES; i++) total.add(parts[i][threadIdx.x % 32]);
    return total;
  }

  // Σ parts[chunk, channel, k] of `kinds` sums.
  __device__ TwoFloat merged(const TwoFloat* parts, int kinds, int k) const {
    TwoFloat own;
    if (exists())
      for (int i = line; i < at.chunks; i += LINES)
        own.add(parts[((long long)i * at.channels + which) * kinds + k]);
    return sum(own);
  }
};
