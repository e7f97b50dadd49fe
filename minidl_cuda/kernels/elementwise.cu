// Functions element by element, and their gradients: one pass over memory each way.
//
//     value       yᵢ  = f(xᵢ)
//     pullback    dxᵢ = g(sᵢ, dyᵢ), from one saved array s: the input x, the output y, or a mask
//
// A gradient of 0 stays 0, whatever the slope is, and NaN stays NaN: xmuly.  After a sum, dy is one
// number for all elements, and `every` 0: it is read from one place.
//
// Floor: 8 bytes an element forward and 12 back in float32, half of that in float16; with a mask, a
// byte more forward and 3 less back.  A thread moves 16 bytes at a time (float4 or 8 halves).
//
// 256 threads a block, each with a vector; 2048 threads fill a multiprocessor with up to 32
// registers each, which the formulas of one vector of floats need.
#include <cuda_fp16.h>
#include "vector.cuh"

// yᵢ = f(xᵢ), and where there is a mask, whether xᵢ > 0.
template <class T, class F>
__device__ void map(const T* x, T* y, unsigned char* positive, long long n, F f) {
  constexpr int N = WIDTH<T>;
  const long long start = start_of_thread<T>(), rest = n - start;
  if (rest <= 0) return;
  const Vector<T, N> own = read<T, N>(x + start, rest);
  Vector<T, N> result;
  Vector<unsigned char, N> mask;
#pragma unroll
  for (int i = 0; i < N; i++) {
    const float v = to_float(own.of[i]);
    result.of[i] = from_float<T>(f(v));
    mask.of[i] = v > 0.f;
  }
  write<T, N>(y + start, result, rest);
  if (positive) write<unsigned char, N>(positive + start, mask, rest);
}

constexpr float TWO_OVER_ROOT_PI = 1.1283791670955126f, ROOT_HALF = 0.70710678118654752f;
constexpr float ROOT_TWO_OVER_PI = 0.79788456080286536f, CUBIC = 0.044715f;
constexpr float DENSITY = 0.39894228040143268f;  // φ(0), of the normal distribution

__device__ float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

__device__ float softplus(float x, float beta, float threshold) {
  const float z = beta * x;
  if (z != z) return z;
  if (z > threshold) return x;
  return (fmaxf(z, 0.f) + log1pf(expf(-fabsf(z)))) / beta;
}

// Φ, the normal distribution, and what approximates it, to all digits where it is near 0.
__device__ float normal(float x) { return 0.5f * erfcf(-x * ROOT_HALF); }
__device__ float near_normal(float x) {  // (1 + tanh u) / 2
  return sigmoid(2.f * ROOT_TWO_OVER_PI * (x + CUBIC * x * x * x));
}

__device__ float gelu_slope(float x) {  // Φ(x) + x·φ(x), with the density φ = Φ′
  const float phi = normal(x);
  return phi + x * (DENSITY * expf(-0.5f * x * x));
}

// Φ + x·Φ′, where Φ′(x) = 2·Φ(x)·Φ(−x)·u′; u′ overflows before x does.
__device__ float gelu_tanh_slope(float x) {
  const float phi = near_normal(x);
  const float du = ROOT_TWO_OVER_PI * (1.f + 3.f * CUBIC * x * x);
  return phi + x * xmuly(2.f * phi * near_normal(-x), du);
}

__device__ float silu_slope(float x) {
  const float y = sigmoid(x);
  return y + x * (y * (1.f - y));
}

// Of each function: y from x and the settings a and b; dx from s, dy and the settings; what s is.
#define FUNCTION(name, suffix, T, S, VALUE, GRADIENT)                                             \
  extern "C" __global__ void __launch_bounds__(THREADS)                                           \
      name##_##suffix(const T* __restrict__ x, T* __restrict__ y, unsigned char* positive,        \
                      long long n, float a, float b) {                                            \
    map(x, y, positive, n, [=](float x) { return VALUE; });                                       \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS)                                           \
      name##_back_##suffix(const S* __restrict__ saved, const T* __restrict__ dy,                 \
                           T* __restrict__ dx, long long n, int every, float a, float b) {        \
    map_back(saved, dy, dx, n, every, [=](float s, float dy) { return GRADIENT; });               \
  }
#define FROM_FLOATS(name, VALUE, GRADIENT)               \
  FUNCTION(name, f32, float, float, VALUE, GRADIENT)     \
  FUNCTION(name, f16, __half, __half, VALUE, GRADIENT)
#define FROM_MASK(name, VALUE, GRADIENT)                       \
  FUNCTION(name, f32, float, unsigned char, VALUE, GRADIENT)   \
  FUNCTION(name, f16, __half, unsigned char, VALUE, GRADIENT)

// From y:
FROM_FLOATS(exp, expf(x), xmuly(dy, s))
FROM_FLOATS(tanh, tanhf(x), xmuly(dy, 1.f - s * s))
FROM_FLOATS(sigmoid, sigmoid(x), xmuly(dy, s * (1.f - s)))
// From x:
FROM_FLOATS(log, logf(x), dy == 0.f ? 0.f : dy / s)
FROM_FLOATS(erf, erff(x), xmuly(dy, TWO_OVER_ROOT_PI * expf(-s * s)))
FROM_FLOATS(silu, x * sigmoid(x), xmuly(dy, silu_slope(s)))
FROM_FLOATS(gelu, x * normal(x), xmuly(dy, gelu_slope(s)))
FROM_FLOATS(gelu_tanh, x * near_normal(x), xmuly(dy, gelu_tanh_slope(s)))
FROM_FLOATS(elu, x > 0.f ? x : a * expm1f(x), s > 0.f ? dy : xmuly(dy, a * expf(s)))
FROM_FLOATS(softplus, softplus(x, a, b), a * s > b ? dy : xmuly(dy, sigmoid(a * s)))
// From a mask:
FROM_MASK(relu, x <= 0.f ? 0.f : x, s != 0.f ? dy : 0.f)
FROM_MASK(leaky_relu, x > 0.f ? x : x * a, s != 0.f ? dy : dy * a)

// The gradient of a product: dz·x, and 0 where dz is 0.
#define TIMES(suffix, T)                                                                          \
  extern "C" __global__ void __launch_bounds__(THREADS)                                           \
      times_back_##suffix(const T* __restrict__ x, const T* __restrict__ dz, T* __restrict__ dx,  \
                          long long n, int every, float, float) {                                 \
    map_back(x, dz, dx, n, every, [](float x, float dz) { return xmuly(dz, x); });                \
  }
TIMES(f32, float)
TIMES(f16, __half)
