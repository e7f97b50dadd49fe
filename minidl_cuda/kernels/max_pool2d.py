"""Max pooling of images, in float32 and float16.  See the .cu file.

The argmax is kept as one byte, the index of its tap, where a window has at most 255 of them; from
it comes the gradient.
"""

from functools import lru_cache
from typing import Any

import cupy
import numpy as np

from minidl.backends.pooling import Windows, windows
from minidl_cuda.array import Array
from minidl_cuda.kernels.geometry import fits
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, contiguous, split
from minidl_cuda.launch import Kernel, Module

_module = Module("max_pool2d.cu")
_MOST_TAPS = 255  # of a window, so that a byte holds the argmax and 255 means none
_FIELDS = [
    "height", "width", "rows", "columns", "stride_h", "stride_w", "padding_h", "padding_w",
    "dilation_h", "dilation_w", "out_height", "out_width", "blocks",
]  # fmt: skip
_STRUCT = np.dtype([(name, np.int32) for name in _FIELDS])


def _kernels(name: str) -> dict[tuple[str, bool], Kernel]:
    """By the dtype, and by whether taps are more than a byte can number."""
    return {
        (char, wide): _module.kernel(f"{name}_{'wide_' * wide}{suffix}")
        for char, suffix in SUFFIX.items()
        for wide in (False, True)
    }


_forward, _forward_relu = _kernels("max_pool2d"), _kernels("max_pool2d_relu")
_backward = _kernels("max_pool2d_backward")


def max_pool2d(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """y = max of each window;   dx = dy at its argmax."""
    geometry = kernel_size, stride, padding, dilation, ceil_mode
    if type(return_indices) is not bool:
        return NotImplemented
    return _max_pool(x, windows("max_pool2d", x.shape, *geometry), return_indices, relu=False)


def max_pool2d_relu(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """y = max(max of each window, 0);   dx = dy at its argmax where y is positive."""
    geometry = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool(x, windows("max_pool2d", x.shape, *geometry), False, relu=True)


def _max_pool(x: Array, along: tuple[Windows, ...], with_indices: bool, *, relu: bool) -> Any:
    """y, and the indices if they are asked for, and the pullback."""
    rows, columns = along
    if not are_arrays("fe", x) or not x.size or not fits(x.size, rows, columns):
        return NotImplemented
    shape, x = x.shape, contiguous(x)
    y = cupy.empty((*shape[:-2], rows.count, columns.count), x.dtype)
    indices = cupy.empty(y.shape, np.int64) if with_indices else None
    taps = _pool(x, y, indices, rows, columns, relu=relu)

    def pullback(dy: Array, *_: Any) -> Array:
        return _spread(dy, taps, shape, rows, columns)

    return ((y, indices) if with_indices else y), pullback


def _pool(
    x: Array, y: Array, indices: Array | None, rows: Windows, columns: Windows, *, relu: bool
) -> Array:
    """The taps of the maxima; y and the indices are filled."""
    wide = rows.size * columns.size > _MOST_TAPS
    taps = cupy.empty(y.shape, np.int32 if wide else np.uint8)
    threads, own = split(rows.count * columns.count)
    kernel = (_forward_relu if relu else _forward)[x.dtype.char, wide]
    maps = x.size // (rows.length * columns.length)
    kernel(maps * own, threads, (x, y, taps, indices, _struct(rows, columns, own)))
    return taps


def _spread(
    dy: Array, taps: Array, shape: tuple[int, ...], rows: Windows, columns: Windows
) -> Array:
    """dx: the sums of dy over the windows whose maximum an element is."""
    dx = cupy.empty(shape, dy.dtype)
    threads, own = split(rows.length * columns.length)
    kernel = _backward[dy.dtype.char, taps.dtype.char == "i"]
    maps = dx.size // (rows.length * columns.length)
    arguments = contiguous(dy), taps, dx, _struct(rows, columns, own)
    kernel(maps * own, threads, arguments)
    return dx


@lru_cache(maxsize=512)
def _struct(rows: Windows, columns: Windows, own_blocks: int) -> Any:
    """The `Pooling` of the .cu file."""
    each = zip(rows, columns, strict=True)
    lengths, sizes, strides, paddings, dilations, counts = each
    pairs = *lengths, *sizes, *strides, *paddings, *dilations, *counts
    return np.array((*pairs, own_blocks), _STRUCT)[()]


# Windows of 2 × 2 side by side, with a ReLU behind them: the epilogue of a convolution.


def max_pool_2x2_relu(x: Array) -> tuple[Array, Array]:
    """y and the taps of the maxima of x (N, C, H, W)."""
    rows, columns = _side_by_side(x.shape[-2]), _side_by_side(x.shape[-1])
    y = cupy.empty((*x.shape[:-2], rows.count, columns.count), x.dtype)
    return y, _pool(x, y, None, rows, columns, relu=True)


def max_pool_2x2_backward(dy: Array, taps: Array, image: tuple[int, ...]) -> Array:
    """dx of images of this height and width."""
    rows, columns = map(_side_by_side, image)
    return _spread(dy, taps, (*dy.shape[:-2], *image), rows, columns)


def _side_by_side(length: int) -> Windows:
    return Windows(length, size=2, stride=2, padding=0, dilation=1, count=length // 2)
