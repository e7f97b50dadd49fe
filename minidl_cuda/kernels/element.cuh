// float and half under the same names: kernels compute in float, whatever they store.
#pragma once
#include <cuda_fp16.h>

__device__ float to_float(float x) { return x; }
__device__ float to_float(__half x) { return __half2float(x); }

template <class T>
__device__ T from_float(float x);
template <>
__device__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __half from_float<__half>(float x) {
  return __float2half(x);
}

// The __ldg of halves is inline PTX, which the compiler moves in front of the condition that guards it:
// it would read behind the end of an array.  That of integers it knows for what it is.
__device__ float load(const float* x) { return __ldg(x); }
__device__ float load(const __half* x) {
  return __half2float(__ushort_as_half(__ldg(reinterpret_cast<const unsigned short*>(x))));
}

// x·y, and 0 where x is 0: a gradient of 0 stays 0, whatever the slope is.
__device__ float xmuly(float x, float y) { return x == 0.f ? 0.f : x * y; }
