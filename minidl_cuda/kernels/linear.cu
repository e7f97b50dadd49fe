// What is around the products of a linear layer: the bias and a ReLU, and their gradients.
//
//     y = max(z + b, 0), in place;    dz = dy where y > 0;    db = Σ dz
//
// The products are cuBLAS's.  dz is written while it is added up for db, by chunks of rows whose sums
// are compensated and merged in order: no atomics, the same bits in every run.
//
// Floor: 8 bytes an element of y forward (float32); back 12, or 4 where there is no ReLU.  Forward, a
// thread has 16 bytes; back, a warp reads 32 columns side by side.  256 threads a block with up to 32
// registers each fill a multiprocessor.
#include <cuda_fp16.h>
#include "channel.cuh"
#include "vector.cuh"

template <class T>
__device__ void bias_relu(T* y, const T* bias, long long n, int columns, int relu) {
  constexpr int N = WIDTH<T>;
  const long long start = start_of_thread<T>(), rest = n - start;
  if (rest <= 0) return;
  Vector<T, N> own = read<T, N>(y + start, rest), offset{};
  const int column = start % columns;
  if (bias && columns % N == 0) {
    offset = read<T, N>(bias + column, columns - column);
  } else if (bias) {
#pragma unroll
    for (int i = 0; i < N; i++) offset.of[i] = bias[(column + i) % columns];
  }
#pragma unroll
  for (int i = 0; i < N; i++) {
    const float z = to_float(own.of[i]) + (bias ? to_float(offset.of[i]) : 0.f);
    own.of[i] = from_float<T>(relu && z <= 0.f ? 0.f : z);
  }
  write<T, N>(y + start, own, rest);
}

// Σ dz of chunks of the rows, of each column (channel.cuh, S = 1); if there is one chunk, db itself.
template <class T>
__device__ void sums(const T* dy, const T* y, T* dz, TwoFloat* parts, T* db, const Channels& at) {
  const Channel<32> channel(at);
  TwoFloat total;
  channel.each([&](long long i, unsigned) {
    T gradient = dy[i];
    if (y && !(to_float(y[i]) > 0.f)) gradient = from_float<T>(0.f);
    if (dz) dz[i] = gradient;
    total.add(to_float(gradient));
  });
  total = Channel<32>::sum(total);
  if (channel.line > 0 || !channel.exists()) return;
  if (at.chunks > 1)
    parts[(long long)channel.number * at.channels + channel.which] = total;
  else
    db[channel.which] = from_float<T>(total.value());
}

template <class T>
__device__ void finish(const TwoFloat* parts, T* db, const Channels& at) {
  const Channel<32> channel(at);
  const float total = channel.merged(parts, 1, 0).value();
  if (channel.is_first()) db[channel.which] = from_float<T>(total);
}

#define LINEAR(suffix, T)                                                                         \
  extern "C" __global__ void __launch_bounds__(THREADS)                                           \
      linear_bias_##suffix(T* y, const T* bias, long long n, int columns, int relu) {             \
    bias_relu(y, bias, n, columns, relu);                                                         \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS)                                           \
      linear_sums_##suffix(const T* __restrict__ dy, const T* y, T* dz, TwoFloat* parts, T* db,   \
                           Channels at) {                                                         \
    sums(dy, y, dz, parts, db, at);                                                               \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS)                                           \
      linear_sums_total_##suffix(const TwoFloat* __restrict__ parts, T* __restrict__ db,          \
                                 Channels at) {                                                   \
    finish(parts, db, at);                                                                        \
  }
LINEAR(f32, float)
LINEAR(f16, __half)
