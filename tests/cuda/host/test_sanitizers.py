"""What the executors on the host find: each fault is reported with its kernel, block and thread."""

import cupy
import numpy as np
import pytest

from tests.cuda.host import gcc, sanitized

SOURCE = r"""
extern "C" __global__ void beyond(float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) x[i] = 1.f;
}

extern "C" __global__ void beyond_shared(float* x) {
  __shared__ float kept[32];
  kept[threadIdx.x] = 1.f;
  __syncthreads();
  x[threadIdx.x] = kept[threadIdx.x];
}

extern "C" __global__ void misaligned(const float* x, float* y) {
  const float4 v = *reinterpret_cast<const float4*>(x + threadIdx.x);
  y[threadIdx.x] = v.x + v.w;
}

extern "C" __global__ void reversed(const float* x, float* y, int barrier) {
  __shared__ float kept[64];
  kept[threadIdx.x] = x[threadIdx.x];
  if (barrier) __syncthreads();
  y[threadIdx.x] = kept[63 - threadIdx.x];
}

extern "C" __global__ void total(const float* x, float* y, int atomic) {
  const float v = x[blockIdx.x * blockDim.x + threadIdx.x];
  if (atomic) atomicAdd(y, v);
  else *y += v;
}

extern "C" __global__ void total_after_a_barrier(const float* x, float* y, int atomic) {
  __shared__ float kept[32];
  kept[threadIdx.x] = x[blockIdx.x];
  if (threadIdx.x == 0 && !atomic) y[0] = kept[0];
  __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x + 1] = kept[31];
}

extern "C" __global__ void exchanged(float* y, int barrier) {
  __shared__ float kept[32];
  kept[threadIdx.x] = threadIdx.x;
  __shfl_sync(~0u, 1.f, 0);
  if (barrier) __syncwarp();
  y[threadIdx.x] = kept[31 - threadIdx.x];
}

extern "C" __global__ void half_a_barrier(float* x) {
  if (threadIdx.x < 16) __syncwarp(0x0000ffff);
  if (threadIdx.x == 3) __shfl_sync(0xffffffffu, x[0], 0);
  else __syncthreads();
}

extern "C" __global__ void of_an_absent_lane(float* y) {
  const float v = threadIdx.x < 20 ? __shfl_sync(0x000fffffu, 1.f, 25) : 0.f;
  y[threadIdx.x] = v;
}
"""


def launch(executor, name, grid, block, *arguments):
    module = gcc.load(SOURCE) if executor == "gcc" else sanitized.load(SOURCE, (), executor)
    module.launch(name, (grid, 1, 1), (block, 1, 1), arguments, 0)


def test_accesses_beyond_an_array():
    with pytest.raises(sanitized.SanitizerError) as error:
        launch("asan", "beyond", 3, 32, np.zeros(70, "float32"), np.int32(70))
    assert "heap-buffer-overflow" in str(error.value)
    assert "kernel beyond, block (2, 0, 0), thread (6, 0, 0)" in str(error.value)
    x = np.zeros(70, "float32")
    launch("asan", "beyond", 3, 32, x, np.int32(69))
    assert x.all()


def test_accesses_beyond_shared_memory():
    with pytest.raises(sanitized.SanitizerError, match=r"block \(0, 0, 0\), thread \(32, 0, 0\)"):
        launch("asan", "beyond_shared", 1, 33, np.zeros(33, "float32"))


def test_misaligned_vectors():
    x, y = np.zeros(16, "float32"), np.zeros(8, "float32")
    with pytest.raises(sanitized.SanitizerError, match="misaligned address"):
        launch("asan", "misaligned", 1, 8, x, y)


@pytest.mark.parametrize("name", ["reversed", "total"])
def test_races_within_a_block_and_between_blocks(name):
    grid, x = (1, 64) if name == "reversed" else (64, 1), np.ones(64, "float32")
    y = np.zeros(64 if name == "reversed" else 1, "float32")
    launch("tsan", name, *grid, x, y, np.int32(1))
    np.testing.assert_array_equal(y, x if name == "reversed" else [64])
    with pytest.raises(sanitized.SanitizerError, match="data race") as error:
        launch("tsan", name, *grid, x, y, np.int32(0))
    assert f"minidl: kernel {name}, block (" in str(error.value)


def test_races_between_blocks_that_have_barriers():
    x, y = np.ones(3, "float32"), np.zeros(4, "float32")
    launch("tsan", "total_after_a_barrier", 3, 32, x, y, np.int32(1))
    with pytest.raises(sanitized.SanitizerError, match=r"data race(?s:.)*block \(1, 0, 0\)"):
        launch("tsan", "total_after_a_barrier", 3, 32, x, y, np.int32(0))


def test_an_exchange_puts_no_accesses_into_an_order():
    y = np.zeros(32, "float32")
    launch("tsan", "exchanged", 1, 32, y, np.int32(1))
    np.testing.assert_array_equal(y, np.arange(32)[::-1])
    with pytest.raises(sanitized.SanitizerError, match="data race"):
        launch("tsan", "exchanged", 1, 32, y, np.int32(0))


def test_launches_are_in_an_order():
    y = np.zeros(1, "float32")
    for _ in range(3):
        launch("tsan", "total", 1, 1, np.ones(1, "float32"), y, np.int32(0))
    assert y == 3


def test_a_barrier_that_some_threads_do_not_reach_under_sanitizers():
    for executor in ("asan", "tsan"):
        with pytest.raises(sanitized.SanitizerError, match="that others never reach"):
            launch(executor, "half_a_barrier", 2, 32, np.zeros(1, "float32"))


def test_a_barrier_that_some_threads_do_not_reach():
    words = "wait at a barrier or exchange that others never reach: kernel half_a_barrier, block"
    with pytest.raises(gcc.LaunchError, match=words):
        launch("gcc", "half_a_barrier", 2, 32, np.zeros(1, "float32"))
    y = np.zeros(64, "float32")  # and the library still works
    launch("gcc", "reversed", 1, 64, np.arange(64, dtype="float32"), y, np.int32(1))
    np.testing.assert_array_equal(y, np.arange(64)[::-1])


def test_an_exchange_with_a_lane_that_takes_no_part_gives_nan():
    y = np.zeros(32, "float32")
    launch("gcc", "of_an_absent_lane", 1, 32, y)
    assert np.isnan(y[:20]).all()
    assert not y[20:].any()


def test_pointers_in_structs_reach_the_other_process():
    source = """
struct Table { const float* x; float* y; long long n; };
extern "C" __global__ void copy(Table t) {
  for (long long i = threadIdx.x; i < t.n; i += blockDim.x) t.y[i] = t.x[i] + 1;
}
"""
    x, y = cupy.arange(50, dtype="float32"), cupy.empty(50, "float32")
    table = np.dtype([("x", "u8"), ("y", "u8"), ("n", "i8")])
    argument = np.array((x.data.ptr, y.data.ptr, 50), table)[()]
    sanitized.load(source, (), "asan").launch("copy", (1, 1, 1), (32, 1, 1), (argument,), 0)
    np.testing.assert_array_equal(y.get(), np.arange(1, 51))
    beyond = np.array((x.data.ptr, y.data.ptr, 51), table)[()]
    with pytest.raises(sanitized.SanitizerError, match="heap-buffer-overflow"):
        sanitized.load(source, (), "asan").launch("copy", (1, 1, 1), (32, 1, 1), (beyond,), 0)


def test_views_are_reached_as_far_as_their_strides():
    source = """
extern "C" __global__ void column(const float* x, float* y, int stride) {
  y[threadIdx.x] = x[int(threadIdx.x) * stride];
}
"""
    x, y = np.arange(12, dtype="float32").reshape(4, 3), np.zeros(4, "float32")
    module = sanitized.load(source, (), "asan")
    module.launch("column", (1, 1, 1), (4, 1, 1), (x[:, 1], y, np.int32(3)), 0)
    np.testing.assert_array_equal(y, x[:, 1])
    module.launch("column", (1, 1, 1), (4, 1, 1), (x[::-1, 2], y, np.int32(-3)), 0)
    np.testing.assert_array_equal(y, x[::-1, 2])
    with pytest.raises(sanitized.SanitizerError, match="heap-buffer-overflow"):
        module.launch("column", (1, 1, 1), (4, 1, 1), (x[:, 1], y, np.int32(4)), 0)
