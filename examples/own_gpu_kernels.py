"""An operation of your own on a GPU: its kernel in CUDA C++, by CuPy, or in Python, by Numba.

Squareplus, y = (x + √(x² + 4)) / 2, is a smooth ReLU.  Its formula alone works on every device; on
a GPU it would be five kernels, each of which reads and writes memory.  One kernel does it all, and
keeps the slope for the pullback.

    pip install "minidl[cuda13]" numba        # and a GPU by NVIDIA
    python examples/own_gpu_kernels.py
"""

import math
import sys

import cupy
import numpy as np
from numba import cuda

import minidl

# 1. CUDA C++, compiled when it is first launched.  The arguments: arrays are pointers, so they must
# be contiguous; numbers are NumPy's, of the very type that is in the source.
SOURCE = r"""
extern "C" __global__ void squareplus(const float* __restrict__ x, float* __restrict__ y,
                                      float* __restrict__ slope, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    const float root = sqrtf(x[i] * x[i] + 4.f);
    y[i] = (x[i] + root) / 2.f;
    slope[i] = (1.f + x[i] / root) / 2.f;
  }
}
"""
KERNEL = cupy.RawKernel(SOURCE, "squareplus")
THREADS = 256


def by_cupy(x):
    """y and its slope, by the kernel in C++."""
    x = cupy.ascontiguousarray(x)
    y, slope = cupy.empty_like(x), cupy.empty_like(x)
    if x.size:
        KERNEL((-(-x.size // THREADS),), (THREADS,), (x, y, slope, np.int32(x.size)))
    return y, slope


# 2. Python, compiled by Numba.  It takes CuPy's arrays as they are.


@cuda.jit
def _squareplus(x, y, slope):
    i = cuda.grid(1)
    if i < x.size:
        root = math.sqrt(x[i] * x[i] + np.float32(4))
        y[i] = (x[i] + root) / np.float32(2)
        slope[i] = (np.float32(1) + x[i] / root) / np.float32(2)


def by_numba(x):
    """y and its slope, by the kernel in Python."""
    flat = cupy.ascontiguousarray(x).reshape(-1)
    y, slope = cupy.empty_like(flat), cupy.empty_like(flat)
    if x.size:
        _squareplus[-(-x.size // THREADS), THREADS](flat, y, slope)
    return y.reshape(x.shape), slope.reshape(x.shape)


def operation(by_kernel):
    """A primitive of minidl: a body that returns its value and its pullback."""

    @minidl.primitive
    def squareplus(xp, x, /):
        if isinstance(x, cupy.ndarray) and x.dtype == "float32":
            y, slope = by_kernel(x)
        else:  # the CPU, other dtypes, and derivatives of derivatives: the formula
            root = xp.sqrt(x * x + 4)
            y, slope = (x + root) / 2, (1 + x / root) / 2
        return y, lambda dy: xp.xmuly(dy, slope)

    return squareplus


def main():
    """Compare a kernel with the formula on the CPU, in values and gradients."""
    which = {"cupy": by_cupy, "numba": by_numba}[sys.argv[1] if len(sys.argv) > 1 else "cupy"]
    squareplus = operation(which)
    values = np.linspace(-3, 3, 600, dtype="float32").reshape(20, 30)
    results = {}
    for device in ("cpu", "cuda"):
        x = minidl.tensor(values, device=device, requires_grad=True)
        y = squareplus(x)
        (y * y).sum().backward()
        results[device] = y.numpy(), x.grad.numpy()
    for name, on_cpu, on_gpu in zip(("y", "dx"), results["cpu"], results["cuda"], strict=True):
        print(f"{name}: differs from the CPU's by at most {np.abs(on_cpu - on_gpu).max():.1e}")


if __name__ == "__main__":
    main()
