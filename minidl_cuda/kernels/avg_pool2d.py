"""Average pooling of images, with windows of one size or adaptive ones, in float32 and float16."""

from functools import lru_cache
from typing import Any

import cupy
import numpy as np

from minidl.backends.pooling import Windows, adaptive, check_divisors, windows
from minidl_cuda.array import Array
from minidl_cuda.kernels.geometry import fits
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, contiguous, split
from minidl_cuda.launch import Kernel, Module

_module = Module("avg_pool2d.cu")
_FEW_TAPS = 32  # of a window, which one thread adds up; else a warp
_WINDOWS = np.dtype([(n, np.int32) for n in ("length", "count", "size", "stride", "padding")])
_STRUCT = np.dtype(
    [
        ("rows", _WINDOWS),
        ("columns", _WINDOWS),
        ("count_padding", np.int32),
        ("divisor", np.int32),
        ("blocks", np.int32),
    ]
)


def _kernels(name: str) -> dict[str, Kernel]:
    return {char: _module.kernel(f"{name}_{suffix}") for char, suffix in SUFFIX.items()}


_forward, _forward_large = _kernels("avg_pool2d"), _kernels("avg_pool2d_large")
_backward = _kernels("avg_pool2d_backward")


def avg_pool2d(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """y = Σ x / n over each window;   dx = Σ dy / n over the windows that x is in."""
    rows, columns = windows("avg_pool2d", x.shape, kernel_size, stride, padding, 1, ceil_mode)
    check_divisors(count_include_pad, divisor_override)
    if divisor_override is not None and not -(2**24) <= divisor_override <= 2**24:
        return NotImplemented  # not a float32
    return _average(x, rows, columns, count_include_pad, divisor_override or 0)


def adaptive_avg_pool2d(x: Array, output_size: Any) -> Any:
    """y = the mean of each window;   dx = Σ dy / n over the windows that x is in."""
    spans = adaptive("adaptive_avg_pool2d", x.shape, output_size)
    pairs = zip(x.shape[-2:], map(len, spans), strict=True)
    rows, columns = [Windows(length, 0, 0, 0, 1, count) for length, count in pairs]
    return _average(x, rows, columns, False, 0)


def _average(x: Array, rows: Windows, columns: Windows, count_padding: bool, divisor: int) -> Any:
    """y and the pullback; windows of size 0 are adaptive."""
    if not are_arrays("fe", x) or not x.size or not fits(x.size, rows, columns):
        return NotImplemented
    shape, char, x = x.shape, x.dtype.char, contiguous(x)
    y = cupy.empty((*shape[:-2], rows.count, columns.count), x.dtype)
    large = _taps(rows) * _taps(columns) > _FEW_TAPS
    maps, settings = x.size // (rows.length * columns.length), (int(count_padding), divisor)
    threads, own = split(rows.count * columns.count * (32 if large else 1))
    kernel = (_forward_large if large else _forward)[char]
    kernel(maps * own, threads, (x, y, _struct(rows, columns, *settings, own)))

    def pullback(dy: Array) -> Array:
        dx = cupy.empty(shape, dy.dtype)
        threads, own = split(rows.length * columns.length)
        arguments = contiguous(dy), dx, _struct(rows, columns, *settings, own)
        _backward[char](maps * own, threads, arguments)
        return dx

    return y, pullback


def _taps(along: Windows) -> int:
    """The most elements of a window along an axis."""
    return along.size or along.length // along.count + 1


@lru_cache(maxsize=512)
def _struct(
    rows: Windows, columns: Windows, count_padding: int, divisor: int, own_blocks: int
) -> Any:
    """The `Pooling` of the .cu file."""
    each = [(w.length, w.count, w.size, w.stride, w.padding) for w in (rows, columns)]
    return np.array((*each, count_padding, divisor, own_blocks), _STRUCT)[()]
