"""Fully connected layers: y = x·Wᵀ + b, and with a ReLU (linear.cu).

The products are cuBLAS's, but dyᵀ·x, whose sums are over the batch: `precise_matmul`.  Of a ReLU,
y, which is saved anyway, is the mask; dy is masked while it is added up for the bias.

Cost: 2·m·n·k flops forward, twice as many back; two launches forward.
"""

import math
from functools import cache
from typing import Any, TypeAlias

import cupy as cp
import numpy as np

from minidl.backends.joint import Joint
from minidl_cuda.kernels.channel_sums import layout
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, blocks, contiguous
from minidl_cuda.launch import Kernel, Module
from minidl_cuda.products import precise_matmul

Array: TypeAlias = cp.ndarray

_module = Module("linear.cu")
_THREADS, _BYTES = 256, 16  # of a block; of a thread
_MOST = 2**31 - 1


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Any:
    """y = x·Wᵀ + b;   dx = dy·W,   dW = dyᵀ·x,   db = Σ dy."""
    return _linear(x, weight, bias, relu=False)


def linear_relu(x: Array, weight: Array, bias: Array | None = None) -> Any:
    """y = max(x·Wᵀ + b, 0);   as `linear`, with dy masked by y > 0."""
    return _linear(x, weight, bias, relu=True)


def _linear(x: Array, weight: Array, bias: Array | None, *, relu: bool) -> Any:
    if not _suits(x, weight, bias):
        return NotImplemented
    outputs, inputs = weight.shape
    rows = x.reshape(math.prod(x.shape[:-1]), inputs)
    y = cp.empty((*x.shape[:-1], outputs), x.dtype)
    cp.matmul(rows, weight.T, out=y.reshape(len(rows), outputs))
    if relu or bias is not None:
        _launch_epilogue(y, contiguous(bias), outputs, relu)
    mask = y if relu else None

    def pullback(needed: tuple[bool, ...], dy: Array) -> tuple[Array | None, ...]:
        dy = contiguous(dy).reshape(len(rows), outputs)
        dx = dw = db = None
        if relu or needed[2:] == (True,):
            dy, db = _masked_and_summed(dy, mask)
        if needed[0]:
            dx = cp.empty(x.shape, x.dtype)
            cp.matmul(dy, weight, out=dx.reshape(rows.shape))
        if needed[1]:
            dw = precise_matmul(dy.T, rows)
        return (dx, dw, db)[: len(needed)]

    return y, Joint(pullback)


def _suits(x: Any, weight: Any, bias: Any) -> bool:
    if not are_arrays("fe", x, weight, bias) or weight is None or weight.ndim != 2:
        return False
    if not x.ndim or x.shape[-1] != weight.shape[1] or not x.size or not weight.size:
        return False
    if x.size // x.shape[-1] * len(weight) > _MOST:
        return False
    return bias is None or bias.shape == weight.shape[:1]


def _launch_epilogue(y: Array, bias: Array | None, columns: int, relu: bool) -> None:
    """y = y + b, and at least 0 with relu, in place."""
    grid = blocks(y.size * y.itemsize, _THREADS * _BYTES)
    numbers = np.int64(y.size), np.int32(columns), np.int32(relu)
    _kernel(f"linear_bias_{SUFFIX[y.dtype.char]}")(grid, _THREADS, (y, bias, *numbers))


def _masked_and_summed(dy: Array, y: Array | None) -> tuple[Array, Array]:
    """dy where y > 0, or everywhere if there is no y; and its sum over the rows."""
    suffix, division = SUFFIX[dy.dtype.char], layout(*dy.shape, 1)
    dz = None if y is None else cp.empty(dy.shape, dy.dtype)
    db, parts = cp.empty(dy.shape[1:], dy.dtype), None
    if division.chunks > 1:
        parts = cp.empty((division.chunks, dy.shape[1], 2), np.float32)
    arguments = dy, y, dz, parts, db, division.struct
    _kernel(f"linear_sums_{suffix}")(division.blocks, _THREADS, arguments)
    if parts is not None:
        grid = blocks(dy.shape[1], 32)
        _kernel(f"linear_sums_total_{suffix}")(grid, _THREADS, (parts, db, division.struct))
    return dy if dz is None else dz, db
