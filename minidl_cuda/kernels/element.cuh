// float and half under the same names: kernels compute in float, whatever they store.
#pragma once
#include <cuda_fp16.h>

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }

template <class T>
__device__ inline T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) { return x; }
template <>
__device__ inline __half from_float<__half>(float x) { return __float2half(x); }

template <class T>
__device__ inline float load(const T* x) { return to_float(__ldg(x)); }
