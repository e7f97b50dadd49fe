// Batch norm: the moments of each channel, then the result; and its gradient.
//
//     y = (x − mean)·rstd·weight + bias,   rstd = 1 / √(var + eps)
//     dx = weight·rstd·(dy − Σ dy / n − x̂·Σ dy·x̂ / n),   x̂ = (x − mean)·rstd
//
//     S. Ioffe, C. Szegedy.  Batch normalization: Accelerating deep network training by reducing
//     internal covariate shift.  ICML 2015.
//
// Each block takes the moments of a chunk of a channel (channel.cuh), of data shifted by the mean of
// the first part of it, which registers hold; the blocks that compute y merge them by the formula of
//
//     T. Chan, G. Golub, R. LeVeque.  Updating formulae and a pairwise algorithm for computing sample
//     variances.  COMPSTAT 1982,
//
// in which all terms are positive.  Sums are compensated and the mean has two floats: no digits are
// lost by a large mean.
//
// Floor: x is read twice and y written, 12 bytes an element (float32); 20 back, with channel_sums.cu.
// 256 threads a block, 8 elements each in registers: several blocks a multiprocessor.
#include <cuda_fp16.h>
#include "channel.cuh"

constexpr int HELD = 8;

__device__ bool is_finite(float x) { return x - x == 0.f; }

// a + b and what is rounded away (Knuth's TwoSum).
__device__ TwoFloat two_sum(float a, float b) {
  TwoFloat result;
  result.add(a);
  result.add(b);
  return result;
}

// Of a chunk, or of all: the mean, what it lacks, and Σ (x − mean)².
struct Moments {
  float mean, rest;
  TwoFloat squares;

  __device__ void set_mean(float shift, const Quotient& difference) {
    TwoFloat exact = two_sum(shift, difference.high);
    exact.add(difference.low);
    mean = exact.value();
    rest = is_finite(mean) ? (exact.sum - mean) + exact.rounded : 0.f;
  }
};

// The product exactly: its rounded value and the rest.
__device__ void add_product(TwoFloat& sum, float a, float b) {
  const float product = __fmul_rn(a, b);
  sum.add(product);
  sum.rounded += fmaf(a, b, -product);
}

template <class T, int WIDE>
__device__ void moments(const T* x, Moments* parts, const Channels& at) {
  const Channel<WIDE> channel(at);
  constexpr int LINES = Channel<WIDE>::LINES;
  const float count = channel.end - channel.begin, inverse = 1.f / count;
  const float inverse_of_first = 1.f / fminf(count, HELD * LINES);
  float held[HELD];
  TwoFloat leading;
#pragma unroll
  for (int k = 0; k < HELD; k++) {
    const unsigned i = channel.begin + channel.line + k * LINES;
    held[k] = i < channel.end ? load(x + channel.place(i)) : 0.f;
    leading.add(held[k]);
  }
  const float mean_of_first = Channel<WIDE>::sum(leading).value() * inverse_of_first;
  const float shift = is_finite(mean_of_first) ? mean_of_first : 0.f;
  TwoFloat first, second;
#pragma unroll
  for (int k = 0; k < HELD; k++)
    if (channel.begin + channel.line + k * LINES < channel.end) {
      first.add(held[k] - shift);
      add_product(second, held[k] - shift, held[k] - shift);
    }
  for (unsigned i = channel.begin + channel.line + HELD * LINES; i < channel.end; i += LINES) {
    const float shifted = load(x + channel.place(i)) - shift;
    first.add(shifted);
    add_product(second, shifted, shifted);
  }
  first = Channel<WIDE>::sum(first);
  second = Channel<WIDE>::sum(second);
  if (channel.line > 0 || !channel.exists()) return;
  const Quotient difference(first, count, inverse);
  Moments own;
  own.set_mean(shift, difference);
  own.squares = second;
  own.squares.add(-__fmul_rn(difference.high, first.value()));
  parts[(long long)channel.number * at.channels + channel.which] = own;
}

// The moments of a channel, from those of its chunks; the squares are the variance then.
template <int WIDE>
__device__ Moments merged(const Channel<WIDE>& channel, const Moments* parts) {
  const Channels& at = channel.at;
  const float inverse = 1.f / at.count();
  float origin = channel.exists() ? parts[channel.which].mean : 0.f;
  if (!is_finite(origin)) origin = 0.f;
  const auto difference = [&](int i) {
    const Moments& own = parts[(long long)i * at.channels + channel.which];
    TwoFloat result = two_sum(own.mean, -origin);
    result.rounded = is_finite(result.sum) ? result.rounded + own.rest : 0.f;
    return result;
  };
  const int chunks = channel.exists() ? at.chunks : 0;
  TwoFloat total, squares;
  for (int i = channel.line; i < chunks; i += Channel<WIDE>::LINES) {
    const TwoFloat d = difference(i);
    add_product(total, channel.length_of(i), d.sum);
    add_product(total, channel.length_of(i), d.rounded);
  }
  const Quotient mean(Channel<WIDE>::sum(total), at.count(), inverse);
  for (int i = channel.line; i < chunks; i += Channel<WIDE>::LINES) {
    const TwoFloat own = difference(i);
    const float d = (own.sum - mean.high) + (own.rounded - mean.low);
    squares.add(parts[(long long)i * at.channels + channel.which].squares);
    squares.add(channel.length_of(i) * d * d);
  }
  Moments result;
  result.set_mean(origin, mean);
  result.squares.sum = Channel<WIDE>::sum(squares).value() * inverse;
  if (result.squares.sum < 0.f) result.squares.sum = 0.f;  // by a rounding
  return result;
}

// y; and of each channel the mean and the variance, and stats (C, 3): the mean, what it lacks, rstd.
// Where there are no parts, the mean and the variance are given.
template <class T, int WIDE>
__device__ void normalize(const T* x, const Moments* parts, const T* weight, const T* bias, T* mean,
                          T* var, T* y, float* stats, const Channels& at, float eps) {
  const Channel<WIDE> channel(at);
  Moments own{};
  if (parts) {
    own = merged(channel, parts);
  } else if (channel.exists()) {
    own.mean = to_float(mean[channel.which]);
    own.squares.sum = to_float(var[channel.which]);
  }
  const float rstd = 1.f / sqrtf(own.squares.sum + eps);
  if (channel.is_first()) {
    stats[3 * channel.which] = own.mean;
    stats[3 * channel.which + 1] = own.rest;
    stats[3 * channel.which + 2] = rstd;
    if (parts) {
      mean[channel.which] = from_float<T>(own.mean);
      var[channel.which] = from_float<T>(own.squares.sum);
    }
  }
  if (!channel.exists()) return;
  const float slope = weight ? rstd * load(weight + channel.which) : rstd;
  const float offset = bias ? load(bias + channel.which) : 0.f;
  channel.each([&](long long i, unsigned) {
    y[i] = from_float<T>(((load(x + i) - own.mean) - own.rest) * slope + offset);
  });
}

// dx from the sums of chunks, Σ dy·x̂ and Σ dy; and the gradients of the weight and the bias, and of
// a mean and variance that were given.
template <class T, int WIDE>
__device__ void backward(const T* dy, const T* x, const T* weight, const float* stats,
                         const TwoFloat* parts, T* dx, T* dmean, T* dvar, T* dweight, T* dbias,
                         const Channels& at) {
  const Channel<WIDE> channel(at);
  const float product = channel.merged(parts, 2, 0).value();
  const float total = channel.merged(parts, 2, 1).value();
  if (!channel.exists()) return;
  const float* own = stats + 3 * channel.which;
  const float rstd = own[2], slope = weight ? rstd * load(weight + channel.which) : rstd;
  if (channel.is_first()) {
    if (dweight) dweight[channel.which] = from_float<T>(product);
    if (dbias) dbias[channel.which] = from_float<T>(total);
    if (dmean) dmean[channel.which] = from_float<T>(-slope * total);
    if (dvar) dvar[channel.which] = from_float<T>(-0.5f * slope * rstd * product);
  }
  if (!dx) return;
  const bool given = dmean != nullptr;
  const float mean = given ? 0.f : total / at.count(), share = given ? 0.f : product / at.count();
  channel.each([&](long long i, unsigned) {
    const float x_hat = ((load(x + i) - own[0]) - own[1]) * rstd;
    const float difference = given ? load(dy + i) : (load(dy + i) - mean) - x_hat * share;
    dx[i] = from_float<T>(slope * difference);
  });
}

#define BATCH_NORM_BY(WIDE, suffix, T)                                                             \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                              \
      batch_norm_moments_##WIDE##_##suffix(const T* __restrict__ x, Moments* __restrict__ parts,   \
                                           Channels at) {                                          \
    moments<T, WIDE>(x, parts, at);                                                                \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                              \
      batch_norm_##WIDE##_##suffix(const T* __restrict__ x, const Moments* parts, const T* weight, \
                                   const T* bias, T* mean, T* var, T* __restrict__ y,              \
                                   float* __restrict__ stats, Channels at, float eps) {            \
    normalize<T, WIDE>(x, parts, weight, bias, mean, var, y, stats, at, eps);                      \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(BLOCK) batch_norm_back_##WIDE##_##suffix(           \
      const T* __restrict__ dy, const T* __restrict__ x, const T* weight,                          \
      const float* __restrict__ stats, const TwoFloat* __restrict__ parts, T* dx, T* dmean,        \
      T* dvar, T* dweight, T* dbias, Channels at) {                                                \
    backward<T, WIDE>(dy, x, weight, stats, parts, dx, dmean, dvar, dweight, dbias, at);           \
  }
BATCH_NORM_BY(1, f32, float)
BATCH_NORM_BY(32, f32, float)
BATCH_NORM_BY(1, f16, __half)
BATCH_NORM_BY(32, f16, __half)

// The running moments of a module, and how many batches they have: one block for all channels.
// A share that is NaN is 1 / the number of batches.  Floor: 24 bytes a channel; a launch is all it
// costs.
extern "C" __global__ void __launch_bounds__(BLOCK)
    batch_norm_track_f32(long long* batches, float* mean, float* var, const float* new_mean,
                         const float* new_var, int channels, float share, float kept,
                         float correction) {
  const long long count = *batches + 1;
  __syncthreads();
  if (threadIdx.x == 0) *batches = count;
  if (share != share) {
    share = 1.f / (float)count;
    kept = (float)(count - 1) / (float)count;
  }
  for (int i = threadIdx.x; i < channels; i += BLOCK) {
    mean[i] = kept * mean[i] + share * new_mean[i];
    var[i] = kept * var[i] + share * correction * new_var[i];
  }
}
