// Softmax and log-softmax along an axis, forward and backward.
//
//     m = max x;   eᵢ = exp(xᵢ − m), s = Σ eᵢ;   yᵢ = eᵢ / s, or (xᵢ − m) − log s
//     dx = y·(dy − Σ dy·y),  or  dy − exp(y)·Σ dy
//
// Rows of up to 1024 elements: the safe softmax, a warp a row, in registers.  Longer ones, a block
// a row, and columns (another axis than the last), a thread a column, consecutive threads side by
// side: the online softmax, which merges the passes of the maximum and of the sum,
//
//     M. Milakov, N. Gimelshein.  Online normalizer calculation for softmax.  2018.
//
// but with any m within HEADROOM below the maximum: the sum is rescaled only when it must be, so that
// the roundings of rescaling do not add up along an ascending row.  Sums are compensated.
//
// Floor: 8 bytes an element forward (float32), 12 where a row is read twice, and 12 back; one exp
// an element forward for rows, two online.
//
// 256 threads a block: 8 warps with a row each, 32 loads under way in each lane.
#include <cuda_fp16.h>
#include "rows.cuh"
#include "online.cuh"

constexpr int HELD = 32;  // 1024 elements of a warp

template <class T, bool LOG>
__device__ void softmax_rows(const T* x, T* y, long long rows, int n) {
  for (long long r = Team<32>::first(); r < rows; r += Team<32>::count()) {
    Row<T, 32, HELD> row(x + r * n, n);
    float largest = __int_as_float(0xff800000);
    row.each([&](int, float v) { largest = fmaxf(largest, v); });
    largest = Team<32>::max(largest);
    TwoFloat total;
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      if (Team<32>::lane() + k * 32 >= n) break;
      const float shifted = row.held[k] - largest, e = expf(shifted);
      row.held[k] = LOG ? shifted : e;
      total.add(e);
    }
    const float sum = Team<32>::sum(total).value();
    const float scale = 1.f / sum, logarithm = LOG ? logf(sum) : 0.f;
    row.each([&](int i, float v) {
      y[r * n + i] = from_float<T>(LOG ? v - logarithm : v * scale);
    });
  }
}

template <class T, bool LOG>
__device__ void softmax_long_rows(const T* x, T* y, int n) {
  x += (long long)blockIdx.x * n;
  y += (long long)blockIdx.x * n;
  Online part;
  for (int i = threadIdx.x; i < n; i += BLOCK) part.add(load(x + i));
  const Online all = part.of_team<BLOCK>();
  const float sum = all.sum.value(), scale = 1.f / sum, logarithm = logf(sum);
  for (int i = threadIdx.x; i < n; i += BLOCK) {
    const float shifted = load(x + i) - all.reference;
    y[i] = from_float<T>(LOG ? shifted - logarithm : expf(shifted) * scale);
  }
}

template <class T, bool LOG>
__device__ void softmax_columns(const T* x, T* y, long long outer, int n, long long columns) {
  const long long thread = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (thread >= outer * columns) return;
  const long long start = thread / columns * n * columns + thread % columns;
  Online all;
  for (int i = 0; i < n; i++) all.add(load(x + start + i * columns));
  const float sum = all.sum.value(), scale = 1.f / sum, logarithm = logf(sum);
  for (int i = 0; i < n; i++) {
    const long long at = start + i * columns;
    const float shifted = load(x + at) - all.reference;
    y[at] = from_float<T>(LOG ? shifted - logarithm : expf(shifted) * scale);
  }
}

// The term of the sum, and dx from the sum.
template <bool LOG>
__device__ float term(float y, float dy) {
  return LOG ? dy : xmuly(dy, y);
}
template <bool LOG>
__device__ float gradient(float y, float dy, float total) {
  return LOG ? dy - xmuly(total, expf(y)) : xmuly(dy - total, y);
}

template <class T, bool LOG, int TEAM, int KEPT>
__device__ void softmax_back(const T* y, const T* dy, T* dx, long long rows, int n) {
  for (long long r = Team<TEAM>::first(); r < rows; r += Team<TEAM>::count()) {
    const Row<T, TEAM, KEPT> row(y + r * n, n), own(dy + r * n, n);
    TwoFloat part;
#pragma unroll
    for (int k = 0; k < KEPT; k++) part.add(term<LOG>(row.held[k], own.held[k]));  // 0 behind n
    for (int i = Team<TEAM>::lane() + KEPT * TEAM; i < n; i += TEAM)
      part.add(term<LOG>(load(row.x + i), load(own.x + i)));
    const float total = Team<TEAM>::sum(part).value();
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      const int i = Team<TEAM>::lane() + k * TEAM;
      if (i < n) dx[r * n + i] = from_float<T>(gradient<LOG>(row.held[k], own.held[k], total));
    }
    for (int i = Team<TEAM>::lane() + KEPT * TEAM; i < n; i += TEAM)
      dx[r * n + i] = from_float<T>(gradient<LOG>(load(row.x + i), load(own.x + i), total));
  }
}

template <class T, bool LOG>
__device__ void softmax_columns_back(const T* y, const T* dy, T* dx, long long outer, int n,
                                     long long columns) {
  const long long thread = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (thread >= outer * columns) return;
  const long long start = thread / columns * n * columns + thread % columns;
  TwoFloat part;
  for (int i = 0; i < n; i++)
    part.add(term<LOG>(load(y + start + i * columns), load(dy + start + i * columns)));
  const float total = part.value();
  for (int i = 0; i < n; i++) {
    const long long at = start + i * columns;
    dx[at] = from_float<T>(gradient<LOG>(load(y + at), load(dy + at), total));
  }
}

#define SOFTMAX(name, suffix, T, LOG)                                                             \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      name##_rows_##suffix(const T* __restrict__ x, T* __restrict__ y, long long rows, int n) {   \
    softmax_rows<T, LOG>(x, y, rows, n);                                                          \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      name##_long_rows_##suffix(const T* __restrict__ x, T* __restrict__ y, int n) {              \
    softmax_long_rows<T, LOG>(x, y, n);                                                           \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      name##_columns_##suffix(const T* __restrict__ x, T* __restrict__ y, long long outer, int n, \
                              long long columns) {                                                \
    softmax_columns<T, LOG>(x, y, outer, n, columns);                                             \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      name##_rows_back_##suffix(const T* __restrict__ y, const T* __restrict__ dy,                \
                                T* __restrict__ dx, long long rows, int n) {                      \
    softmax_back<T, LOG, 32, HELD>(y, dy, dx, rows, n);                                           \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      name##_long_rows_back_##suffix(const T* __restrict__ y, const T* __restrict__ dy,           \
                                     T* __restrict__ dx, long long rows, int n) {                 \
    softmax_back<T, LOG, BLOCK, 16>(y, dy, dx, rows, n);                                          \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      name##_columns_back_##suffix(const T* __restrict__ y, const T* __restrict__ dy,             \
                                   T* __restrict__ dx, long long outer, int n,                    \
                                   long long columns) {                                           \
    softmax_columns_back<T, LOG>(y, dy, dx, outer, n, columns);                                   \
  }
SOFTMAX(softmax, f32, float, false)
SOFTMAX(softmax, f16, __half, false)
SOFTMAX(log_softmax, f32, float, true)
SOFTMAX(log_softmax, f16, __half, true)
