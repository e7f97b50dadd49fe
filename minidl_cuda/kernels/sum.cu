// Sums along one axis of (before, n, behind), exact to one rounding: compensated (compensated.cuh).
//
// The axis is cut into chunks, so that there is enough to do for the whole GPU; what a chunk sums to
// is a pair (sum, rounded), and pairs are summed by the same kernels, until one is left.  Everything
// is added in an order that depends on the shape alone: the same bits in every run.
//
// Floor: each element is read once, 4 bytes of float32.  A compensated addition is 7 operations,
// where a T4 has some 100 for the time of reading 4 bytes: the sums are bound by memory.
//
// 256 threads a block are 8 warps, which sum 8 chunks, or a tile of columns together.  With up to 64
// registers a thread, 1024 threads are at work in a multiprocessor, each with four reads under way.
#include <cuda_fp16.h>
#include "compensated.cuh"

template <class T>
using Pair = Compensated<T>;

template <class T>
__device__ void add(Pair<T>& total, const Pair<T>& part) {
  total.add(part);
}
__device__ void add(Pair<float>& total, float term) { total.add(term); }
__device__ void add(Pair<float>& total, __half term) { total.add(__half2float(term)); }
__device__ void add(Pair<double>& total, double term) { total.add(term); }

template <class T>
__device__ void write(Pair<T>* y, const Pair<T>& total) {
  *y = total;
}
__device__ void write(float* y, const Pair<float>& total) { *y = total.value(); }
__device__ void write(__half* y, const Pair<float>& total) { *y = __float2half(total.value()); }
__device__ void write(double* y, const Pair<double>& total) { *y = total.value(); }

// y (before, chunks) from x (before, n): a warp sums a chunk; its lanes read side by side.
template <class T, class In, class Out>
__device__ void sum_rows(const In* x, Out* y, long long sums, int chunks, long long n,
                         long long chunk) {
  const int lane = threadIdx.x % 32;
  const long long which = (long long)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (which >= sums) return;
  const long long row = which / chunks, begin = which % chunks * chunk;
  const long long end = min(begin + chunk, n);
  Pair<T> total;
#pragma unroll 4
  for (long long i = begin + lane; i < end; i += 32) add(total, x[row * n + i]);
  total.add_lanes();
  if (lane == 0) write(&y[which], total);
}

// y (before, chunks, behind) from x (before, n, behind): a thread sums every 8th element of a chunk of
// a column, a warp reads 32 columns side by side, and the 8 sums are added in shared memory.
template <class T, class In, class Out>
__device__ void sum_columns(const In* x, Out* y, int chunks, long long n, long long behind,
                            long long chunk, long long tiles) {
  __shared__ Pair<T> parts[8][33];
  const int lane = threadIdx.x % 32, line = threadIdx.x / 32;
  const long long column = (long long)(blockIdx.x % tiles) * 32 + lane;
  const long long which = blockIdx.x / tiles, row = which / chunks;
  const long long begin = which % chunks * chunk, end = min(begin + chunk, n);
  Pair<T> total;
  if (column < behind)
    for (long long i = begin + line; i < end; i += 8) add(total, x[(row * n + i) * behind + column]);
  parts[line][lane] = total;
  __syncthreads();
  if (line > 0 || column >= behind) return;
  for (int i = 1; i < 8; i++) total.add(parts[i][lane]);
  write(&y[which * behind + column], total);
}

#define SUM(suffix, T, In, Out)                                                                  \
  extern "C" __global__ void __launch_bounds__(256)                                              \
      sum_rows_##suffix(const In* __restrict__ x, Out* __restrict__ y, long long sums,           \
                        int chunks, long long n, long long chunk) {                              \
    sum_rows<T>(x, y, sums, chunks, n, chunk);                                                   \
  }                                                                                              \
  extern "C" __global__ void __launch_bounds__(256)                                              \
      sum_columns_##suffix(const In* __restrict__ x, Out* __restrict__ y, int chunks,            \
                           long long n, long long behind, long long chunk, long long tiles) {    \
    sum_columns<T>(x, y, chunks, n, behind, chunk, tiles);                                       \
  }
SUM(f16, float, __half, __half)
SUM(f32, float, float, float)
SUM(f64, double, double, double)
SUM(f16_parts, float, __half, Pair<float>)
SUM(f32_parts, float, float, Pair<float>)
SUM(f64_parts, double, double, Pair<double>)
SUM(parts_f32_parts, float, Pair<float>, Pair<float>)
SUM(parts_f64_parts, double, Pair<double>, Pair<double>)
SUM(parts_f16, float, Pair<float>, __half)
SUM(parts_f32, float, Pair<float>, float)
SUM(parts_f64, double, Pair<double>, double)
