// Uniform numbers, and dropout fused with them (philox.cuh): the CPU's, bit by bit.
//
// A block of Philox gives two elements, so a thread has 4 (or 8, of float16) consecutive ones, which
// start at an even place; it moves 16 bytes of x and y at a time, and saves a mask of a byte an
// element.
//
// Floor: 9 bytes an element each way in float32; 20 products of 32 × 32 bits for two elements, some
// 60 operations an element: on a T4 the arithmetic takes about as long as the memory.
//
// 256 threads a block with up to 32 registers each fill a multiprocessor.
#include <cuda_fp16.h>
#include "philox.cuh"
#include "vector.cuh"

// The leading bits of a word as a number in [0, 1): as many as T has digits.
template <class T>
__device__ float fraction(unsigned word) {
  return sizeof(T) == 4 ? uniform(word) : static_cast<float>(word >> 21) * 0x1p-11f;
}

// The numbers of the two elements of a block.
template <class T>
__device__ void draw(unsigned long long seed, unsigned long long counter, float* u) {
  const uint4 words = philox(seed, counter);
  u[0] = fraction<T>(words.x);
  u[1] = fraction<T>(words.z);
}

// yᵢ = 0 where a uniform number is below p, else xᵢ / keep.
template <class T>
__device__ void drop(const T* x, T* y, unsigned char* dropped, long long n, float p, float keep,
                     unsigned long long seed, unsigned long long offset) {
  constexpr int N = WIDTH<T>;
  const long long start = start_of_thread<T>(), rest = n - start;
  if (rest <= 0) return;
  const Vector<T, N> own = read<T, N>(x + start, rest);
  Vector<T, N> result;
  Vector<unsigned char, N> mask;
#pragma unroll
  for (int i = 0; i < N; i += 2) {
    float u[2];
    draw<T>(seed, offset + (start + i) / 2, u);
#pragma unroll
    for (int k = i; k < i + 2; k++) {
      mask.of[k] = u[k - i] < p;
      result.of[k] = from_float<T>(mask.of[k] ? 0.f : __fdiv_rn(to_float(own.of[k]), keep));
    }
  }
  write<T, N>(y + start, result, rest);
  write<unsigned char, N>(dropped + start, mask, rest);
}

#define RANDOM(suffix, T)                                                                         \
  extern "C" __global__ void __launch_bounds__(THREADS)                                           \
      dropout_##suffix(const T* __restrict__ x, T* __restrict__ y,                                \
                       unsigned char* __restrict__ dropped, long long n, float p, float keep,     \
                       unsigned long long seed, unsigned long long offset) {                      \
    drop(x, y, dropped, n, p, keep, seed, offset);                                                \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS)                                           \
      dropout_back_##suffix(const unsigned char* __restrict__ dropped, const T* __restrict__ dy,  \
                            T* __restrict__ dx, long long n, int every, float keep) {             \
    map_back(dropped, dy, dx, n, every,                                                           \
             [=](float gone, float dy) { return gone != 0.f ? 0.f : __fdiv_rn(dy, keep); });      \
  }
RANDOM(f32, float)
RANDOM(f16, __half)

extern "C" __global__ void __launch_bounds__(THREADS)
    uniform_f32(float* __restrict__ u, long long n, unsigned long long seed,
                unsigned long long offset) {
  const long long start = start_of_thread<float>(), rest = n - start;
  if (rest <= 0) return;
  Vector<float, 4> result;
  draw<float>(seed, offset + start / 2, result.of);
  draw<float>(seed, offset + start / 2 + 1, result.of + 2);
  write<float, 4>(u + start, result, rest);
}
