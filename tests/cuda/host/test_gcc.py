"""CUDA C++ on the host: barriers, exchanges, shared memory, atomics, launches."""

import cupy
import numpy as np
import pytest

SOURCE = r"""
template <class T> __device__ T warp_sum(T v) {
  for (int d = 16; d; d /= 2) v += __shfl_xor_sync(~0u, v, d);
  return v;
}

template <class T> __device__ void block_sums(const T* x, T* y, int n) {
  __shared__ T parts[32];
  const int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
  const T v = warp_sum(i < n ? x[i] : T(0));
  if (t % 32 == 0) parts[t / 32] = v;
  __syncthreads();
  if (t == 0) {
    T total = 0;
    for (int w = 0; w < (blockDim.x + 31) / 32; w++) total += parts[w];
    y[blockIdx.x] = total;
  }
}

extern "C" __global__ void __launch_bounds__(1024) sums_f32(const float* x, float* y, int n) {
  block_sums(x, y, n);
}

struct Pair { int add; float factor; };
extern "C" __global__ void scaled(float* __restrict__ x, Pair p, const float* bias) {
  extern __shared__ float kept[];
  kept[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  const int other = blockDim.x - 1 - threadIdx.x;
  x[threadIdx.x] = kept[other] * p.factor + p.add + (bias ? bias[0] : 0.f);
}

extern "C" __global__ void histogram(const int* x, int* counts, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(&counts[x[i]], 1);
}
"""


@pytest.mark.parametrize("n", [1, 31, 32, 33, 256, 1000])
def test_block_sums(n, launches):
    kernel = cupy.RawModule(code=SOURCE).get_function("sums_f32")
    x = np.random.default_rng(0).standard_normal(n).astype("float32")
    y = cupy.empty(-(-n // 128), "float32")
    kernel((y.size,), (128,), (cupy.asarray(x), y, np.int32(n)))
    parts = np.pad(x, (0, y.size * 128 - n)).reshape(-1, 128).astype("float64")
    np.testing.assert_allclose(cupy.asnumpy(y), parts.sum(1), rtol=1e-5, atol=1e-5)
    assert launches["sums_f32"] == 1


def test_structs_dynamic_shared_memory_and_null_pointers():
    kernel = cupy.RawModule(code=SOURCE).get_function("scaled")
    pair = np.array((3, 2.0), [("add", "i4"), ("factor", "f4")])[()]
    x = cupy.arange(5, dtype="float32")
    kernel((1,), (5,), (x, pair, None), shared_mem=20)
    assert x.tolist() == [11, 9, 7, 5, 3]


def test_atomics():
    kernel = cupy.RawModule(code=SOURCE).get_function("histogram")
    x = np.random.default_rng(0).integers(0, 7, 1000).astype("int32")
    counts = cupy.zeros(7, "int32")
    kernel((8,), (128,), (cupy.asarray(x), counts, np.int32(1000)))
    np.testing.assert_array_equal(cupy.asnumpy(counts), np.bincount(x))


def test_arguments_of_another_type_are_errors():
    kernel = cupy.RawModule(code=SOURCE).get_function("histogram")
    x = cupy.zeros(3, "int32")
    with pytest.raises(TypeError, match="argument 2 is i4; got int64"):
        kernel((1,), (1,), (x, x, np.int64(3)))
    with pytest.raises(TypeError, match=r"argument 0 is \*i4; got an array of float32"):
        kernel((1,), (1,), (x.astype("float32"), x, np.int32(3)))
