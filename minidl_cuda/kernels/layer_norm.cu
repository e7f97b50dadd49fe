// Layer, group and RMS norm: a row at a time, forward and backward.
//
//     y = (x − mean)·rstd·weight + bias,   rstd = 1 / √(var + eps)
//     dx = rstd·(g − Σ g / n − x̂·Σ g·x̂ / n),   g = dy·weight,   x̂ = (x − mean)·rstd
//
//     J. Ba, J. Kiros, G. Hinton.  Layer normalization.  2016.
//     Y. Wu, K. He.  Group normalization.  ECCV 2018.
//     B. Zhang, R. Sennrich.  Root mean square layer normalization.  NeurIPS 2019: mean = 0.
//
// The variance is that of centred values, in a second pass over registers (rows.cuh); sums are
// compensated, and the mean has two floats, so that a large mean costs no digits.
//
// Floor: 8 bytes an element forward and 12 back (float32).
//
// A warp has a row of up to 1024 elements, else a block; 256 threads a block, and 32 (16) elements
// of a row in each thread's registers, with loads enough under way for a few warps to hide latency; 4
// in group norm, where each takes divisions: they would be unrolled too.
#include <cuda_fp16.h>
#include "rows.cuh"

// A row has n elements; in group norm, element i of row r has weight r % groups · n / space + i / space.
struct Rows {
  long long rows;
  int n, groups, space, centred;
  float eps;
  // The first weight of a row, of fewer than 2³¹ rows.
  __device__ int parameters(long long r) const { return int(r) % groups * (n / space); }
};

template <class T, bool GROUPED, int TEAM, int HELD>
__device__ void forward(const T* x, const T* weight, const T* bias, T* y, float* stats, Rows at) {
  const float inverse = 1.f / at.n;
  for (long long r = Team<TEAM>::first(); r < at.rows; r += Team<TEAM>::count()) {
    const int parameters = GROUPED ? at.parameters(r) : 0;
    const Row<T, TEAM, HELD> row(x + r * at.n, at.n);
    TwoFloat total, squares;
    if (at.centred) row.each([&](int, float v) { total.add(v); });
    const Quotient mean(Team<TEAM>::sum(total), at.n, inverse);
    row.each([&](int, float v) {
      const float centred = (v - mean.high) - mean.low;
      squares.add(centred * centred);
    });
    const float var = Team<TEAM>::sum(squares).value() * inverse;
    const float rstd = 1.f / sqrtf(var + at.eps);
    row.each([&](int i, float v) {
      float result = ((v - mean.high) - mean.low) * rstd;
      const int own = (GROUPED ? parameters + i / at.space : i);
      if (weight) result *= load(weight + own);
      if (bias) result += load(bias + own);
      y[r * at.n + i] = from_float<T>(result);
    });
    if (Team<TEAM>::lane() > 0) continue;
    stats[3 * r] = mean.high;
    stats[3 * r + 1] = mean.low;
    stats[3 * r + 2] = rstd;
  }
}

template <class T, bool GROUPED, int TEAM, int HELD>
__device__ void backward(const T* dy, const T* x, const T* weight, const float* stats, T* dx,
                         Rows at) {
  const float inverse = 1.f / at.n;
  for (long long r = Team<TEAM>::first(); r < at.rows; r += Team<TEAM>::count()) {
    const int parameters = GROUPED ? at.parameters(r) : 0;
    const Row<T, TEAM, HELD> gradient(dy + r * at.n, at.n);
    const float high = stats[3 * r], low = stats[3 * r + 1], rstd = stats[3 * r + 2];
    const auto x_hat = [&](int i) { return ((load(x + r * at.n + i) - high) - low) * rstd; };
    const auto weighted = [&](int i, float g) {
      return weight ? g * load(weight + (GROUPED ? parameters + i / at.space : i)) : g;
    };
    TwoFloat total, product;
    gradient.each([&](int i, float g) {
      const float own = weighted(i, g);
      if (at.centred) total.add(own);
      product.add(own * x_hat(i));
    });
    const float mean = Team<TEAM>::sum(total).value() * inverse;
    const float slope = Team<TEAM>::sum(product).value() * inverse;
    gradient.each([&](int i, float g) {
      dx[r * at.n + i] = from_float<T>(rstd * ((weighted(i, g) - mean) - x_hat(i) * slope));
    });
  }
}

#define NORM_BY(name, GROUPED, team, TEAM, HELD, suffix, T)                                        \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                              \
      name##_##team##_##suffix(const T* __restrict__ x, const T* weight, const T* bias,            \
                               T* __restrict__ y, float* __restrict__ stats, Rows at) {            \
    forward<T, GROUPED, TEAM, HELD>(x, weight, bias, y, stats, at);                                \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                              \
      name##_##team##_back_##suffix(const T* __restrict__ dy, const T* __restrict__ x,             \
                                    const T* weight, const float* __restrict__ stats,              \
                                    T* __restrict__ dx, Rows at) {                                 \
    backward<T, GROUPED, TEAM, HELD>(dy, x, weight, stats, dx, at);                                \
  }
#define NORM(suffix, T)                                      \
  NORM_BY(layer_norm, false, rows, 32, 32, suffix, T)         \
  NORM_BY(layer_norm, false, long_rows, BLOCK, 16, suffix, T) \
  NORM_BY(group_norm, true, rows, 32, 4, suffix, T)           \
  NORM_BY(group_norm, true, long_rows, BLOCK, 4, suffix, T)
NORM(f32, float)
NORM(f16, __half)
