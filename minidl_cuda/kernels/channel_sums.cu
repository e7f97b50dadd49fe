// Σ dy·x̂ and Σ dy over each channel of (N, C, S), where x̂ = (x − mean)·rstd: the gradients of a
// norm's weight and bias, for batch, group and layer norm (whose channels are the last axes, S = 1).
//
// Two kernels: chunks of channels (channel.cuh), then the sum of those; no atomics, so that the bits
// are the same in every run.
//
// Floor: x and dy are read once, 8 bytes an element.  256 threads, channel.cuh.
#include <cuda_fp16.h>
#include "channel.cuh"

// The moments of an element: row n·a + c / b of stats (rows, 3): the mean, what it lacks, and rstd.
struct Moments {
  int a, b;
};

template <class T, int WIDE>
__device__ void channel_sums(const T* dy, const T* x, const float* stats, TwoFloat* parts,
                             const Channels& at, const Moments& of) {
  const Channel<WIDE> channel(at);
  TwoFloat products, totals;
  channel.each([&](long long i, unsigned sample) {
    const float* own = stats + 3 * ((long long)sample * of.a + channel.which / of.b);
    const float gradient = load(dy + i);
    products.add(gradient * (((load(x + i) - own[0]) - own[1]) * own[2]));
    totals.add(gradient);
  });
  products = Channel<WIDE>::sum(products);
  totals = Channel<WIDE>::sum(totals);
  if (channel.line > 0 || !channel.exists()) return;
  TwoFloat* own = parts + 2 * ((long long)channel.number * at.channels + channel.which);
  own[0] = products;
  own[1] = totals;
}

// A grid of one chunk.
template <class T>
__device__ void finish(const TwoFloat* parts, T* products, T* totals, const Channels& at) {
  const Channel<32> channel(at);
  const float product = channel.merged(parts, 2, 0).value();
  const float total = channel.merged(parts, 2, 1).value();
  if (!channel.is_first()) return;
  if (products) products[channel.which] = from_float<T>(product);
  if (totals) totals[channel.which] = from_float<T>(total);
}

#define CHANNEL_SUMS(suffix, T)                                                                  \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                            \
      channel_sums_1_##suffix(const T* __restrict__ dy, const T* __restrict__ x,                 \
                              const float* __restrict__ stats, TwoFloat* __restrict__ parts,     \
                              Channels at, Moments of) {                                         \
    channel_sums<T, 1>(dy, x, stats, parts, at, of);                                             \
  }                                                                                              \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                            \
      channel_sums_32_##suffix(const T* __restrict__ dy, const T* __restrict__ x,                \
                               const float* __restrict__ stats, TwoFloat* __restrict__ parts,    \
                               Channels at, Moments of) {                                        \
    channel_sums<T, 32>(dy, x, stats, parts, at, of);                                            \
  }                                                                                              \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                            \
      channel_sums_total_##suffix(const TwoFloat* __restrict__ parts, T* products, T* totals,    \
                                  Channels at) {                                                 \
    finish(parts, products, totals, at);                                                         \
  }
CHANNEL_SUMS(f32, float)
CHANNEL_SUMS(f16, __half)
