// Arrays read and written 16 bytes at a time (4 floats or 8 halves), a vector a thread.
//
// Where an array is not aligned to 16 bytes, as a slice of another may be, and in the last vector, it
// is done element by element.
#pragma once
#include "element.cuh"

constexpr int THREADS = 256;

template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  T of[N];
};

template <class T>
constexpr int WIDTH = 16 / sizeof(T);

__device__ bool is_aligned(const void* x, int bytes) {
  return reinterpret_cast<unsigned long long>(x) % bytes == 0;
}

template <class T, int N>
__device__ Vector<T, N> read(const T* x, long long rest) {
  if (rest >= N && is_aligned(x, sizeof(T) * N)) return *reinterpret_cast<const Vector<T, N>*>(x);
  Vector<T, N> result;
#pragma unroll
  for (int i = 0; i < N; i++) result.of[i] = x[i < rest ? i : 0];
  return result;
}

template <class T, int N>
__device__ void write(T* y, const Vector<T, N>& values, long long rest) {
  if (rest >= N && is_aligned(y, sizeof(T) * N)) {
    *reinterpret_cast<Vector<T, N>*>(y) = values;
    return;
  }
#pragma unroll
  for (int i = 0; i < N; i++)
    if (i < rest) y[i] = values.of[i];
}

template <class T>
__device__ long long start_of_thread() {
  return ((long long)blockIdx.x * THREADS + threadIdx.x) * WIDTH<T>;
}

__device__ float to_float(unsigned char mask) { return mask; }

// dxᵢ = g(sᵢ, dyᵢ).
template <class S, class T, class G>
__device__ void map_back(const S* saved, const T* dy, T* dx, long long n, int every, G g) {
  constexpr int N = WIDTH<T>;
  const long long start = start_of_thread<T>(), rest = n - start;
  if (rest <= 0) return;
  const Vector<S, N> own = read<S, N>(saved + start, rest);
  Vector<T, N> gradient = read<T, N>(dy + (every ? start : 0), every ? rest : 1), result;
#pragma unroll
  for (int i = 0; i < N; i++)
    result.of[i] = from_float<T>(g(to_float(own.of[i]), to_float(gradient.of[i])));
  write<T, N>(dx + start, result, rest);
}
