"""Max pooling of any window.

Per window it takes KH·KW comparisons.  The argmax is kept as one byte, the index of its tap, a
quarter of what y takes; from it come both the gradient and the indices that `return_indices` needs.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.pool.max_pool_2x2 import (
    feature_maps,
    max_pool_2x2,
    max_pool_2x2_backward,
)
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import bare, chunk_bounds, parallel
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.simd.max_pool import NO_ARGMAX_TAP
from minidl.backends.pooling import Windows, windows

_MOST_TAPS = 255  # of a window, so that a byte holds the argmax
_WINDOWS = "(i64 i64 i64 i64 i64 i64)"  # `Windows`, along rows or columns


def max_pool2d(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """y = max of each window;   dx = dy at its argmax."""
    geometry = kernel_size, stride, padding, dilation, ceil_mode
    rows, columns = windows("max_pool2d", x.shape, *geometry)
    taps = rows.size * columns.size
    if not are_arrays("fd", x) or not x.size or taps > _MOST_TAPS:
        return NotImplemented
    if type(return_indices) is not bool:
        return NotImplemented
    if x.dtype.char == "f" and _are_2x2(rows, columns):
        y, argmax, dx = _of_2x2(x, relu=False)
    else:
        y, argmax, dx = _of_any(x, rows, columns)
    return ((y, _indices(argmax, rows, columns).reshape(y.shape)) if return_indices else y), dx


def max_pool2d_relu(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """y = max(max of each 2 × 2 window, 0);   dx = dy at its argmax where y is positive."""
    geometry = kernel_size, stride, padding, dilation, ceil_mode
    rows, columns = windows("max_pool2d", x.shape, *geometry)
    if not are_arrays("f", x) or not x.size or not _are_2x2(rows, columns):
        return NotImplemented
    y, _, dx = _of_2x2(x, relu=True)
    return y, dx


@lru_cache
def _are_2x2(rows: Windows, columns: Windows) -> bool:
    """Whether the windows are 2 × 2, side by side, and inside the image."""
    return all(
        size == stride == 2 and dilation == 1 and not padding and 2 * count <= length
        for length, size, stride, padding, dilation, count in (rows, columns)
    )


def _of_2x2(x: np.ndarray, *, relu: bool) -> Any:
    """y, argmax and the pullback of 2 × 2 windows."""
    shape = x.shape
    y = np.empty((*shape[:-2], shape[-2] // 2, shape[-1] // 2), x.dtype)
    argmax = np.empty(y.shape, np.uint8)
    max_pool_2x2(x, y, argmax, relu)

    def pullback(dy: np.ndarray, *_: Any) -> np.ndarray:
        dx = np.empty(shape, dy.dtype)
        max_pool_2x2_backward(dy, argmax, dx)
        return dx

    return y, argmax, pullback


def _of_any(x: np.ndarray, rows: Windows, columns: Windows) -> Any:
    """y, argmax and the pullback of any windows."""
    shape, maps = x.shape, feature_maps(x)
    y = np.empty((len(maps), rows.count, columns.count), x.dtype)
    argmax = np.empty(y.shape, np.uint8)
    work = threads.chunks(x.size * 0.8 + y.size * rows.size * columns.size * 0.3)
    (height, width), offsets, first = _phase_planes(rows, columns)
    planes = np.empty((work, rows.stride * columns.stride * height * width), x.dtype)
    best = np.empty((work, (rows.count - 1) * width + columns.count), x.dtype)
    index = np.empty(best.shape, np.uint8)
    _forward(
        maps, y, argmax, rows, columns, height, width, offsets, first, planes, best, index, work
    )

    def pullback(dy: np.ndarray, *_: Any) -> np.ndarray:
        dx = np.empty((len(argmax), shape[-2] * shape[-1]), dy.dtype)
        work = threads.chunks(dx.size * 0.2 + dy.size)
        _backward(feature_maps(dy), argmax, dx, rows, columns, _tap_offsets(rows, columns), work)
        return dx.reshape(shape)

    return y.reshape(*shape[:-2], *y.shape[1:]), argmax, pullback


def _indices(argmax: np.ndarray, rows: Windows, columns: Windows) -> np.ndarray:
    """The index of the maximum in its flattened feature map."""
    y = (np.arange(rows.count) * rows.stride - rows.padding) * columns.length
    x = np.arange(columns.count) * columns.stride - columns.padding
    return _tap_offsets(rows, columns)[argmax] + (y[:, None] + x)


@planned
def _tap_offsets(rows: Windows, columns: Windows) -> np.ndarray:
    """The offset of each tap of a window from its first one, in a flattened feature map."""
    y = np.arange(rows.size) * rows.dilation * columns.length
    return (y[:, None] + np.arange(columns.size) * columns.dilation).reshape(-1)


@planned
def _phase_planes(rows: Windows, columns: Windows) -> Any:
    """How `_forward` splits a padded feature map into phase planes.

    The height and width of a phase plane; the offset of each tap of the first window among all of
    them; and for each window, its first tap outside the padding.
    """
    height, width = (w.count + (w.size - 1) * w.dilation // w.stride for w in (rows, columns))
    y, x = (np.arange(w.size) * w.dilation for w in (rows, columns))
    phase = (y % rows.stride * columns.stride)[:, None] + x % columns.stride
    row = phase * height + (y // rows.stride)[:, None]
    offsets = row * width + x // columns.stride
    top, left = (
        np.maximum(0, -((np.arange(w.count) * w.stride - w.padding) // w.dilation))
        for w in (rows, columns)
    )
    first = top[:, None] * columns.size + left
    return (height, width), offsets.reshape(-1), first.astype(np.uint8)


@parallel(
    f"F[map,h,w] F[map,i,j] u8[map,i,j] {_WINDOWS} {_WINDOWS}"
    " i64 i64 i64[tap] u8[i,j] F[chunk,r] F[chunk,v] u8[chunk,v]",
    then=["_backward"],
)
def _forward(
    x, y, argmax, rows, columns, height, width, offsets, first, planes, best, index, chunk, chunks
):
    """Tap by tap: each is compared to the maximum so far, of all windows of a map at once.

    For that a padded map is split into stride · stride phase planes, of which plane (r, q) holds
    every element whose row is r and whose column is q modulo the stride.  In it, the elements that
    one tap meets in neighbouring windows are neighbours.  At the ends of its rows are windows that
    are not in y, so that all of them together are one long vector.
    """
    rows, columns = Windows(*rows), Windows(*columns)
    start, stop = chunk_bounds(x.shape[0], chunk, chunks)
    planes, best, index = planes[chunk], best[chunk], index[chunk]
    lowest = x.dtype.type(-np.inf)
    _fill(planes, lowest)
    for n in range(start, stop):
        for r in range(min(rows.length, height * rows.stride - rows.padding)):
            padded = r + rows.padding
            phase = padded % rows.stride * columns.stride
            own = planes[(phase * height + padded // rows.stride) * width :]
            _split_row(x[n, r], own, height * width, width, columns)
        _fill(best, lowest)
        _fill(index, NO_ARGMAX_TAP)
        for tap in range(offsets.size):
            _update_maximum(planes[offsets[tap] :], np.uint8(tap), best, index)
        for i in range(rows.count):
            for j in range(columns.count):
                tap = index[i * width + j]
                y[n, i, j] = best[i * width + j]
                argmax[n, i, j] = first[i, j] if tap == NO_ARGMAX_TAP else tap  # all are −∞


@bare
def _fill(x, value):
    for i in range(x.size):
        x[i] = value


@bare
def _split_row(row, planes, size, width, columns):
    """planes[c % stride · size + c // stride] = padded row[c]; the rows of planes have a width."""
    for phase in range(columns.stride):
        c = (phase - columns.padding) % columns.stride  # the first that is not padding
        target, source = planes[phase * size :], row[c:]
        start = (c + columns.padding) // columns.stride
        for j in range(min(width - start, (source.size - 1) // columns.stride + 1)):
            target[start + j] = source[j * columns.stride]


@bare
def _update_maximum(values, tap, best, index):
    """Where the value of this tap is larger, or NaN, it is the maximum so far."""
    for j in range(best.size):
        value, old, old_tap = values[j], best[j], index[j]
        better = (value > old) | (value != value)
        best[j] = value if better else old
        index[j] = tap if better else old_tap


@parallel(
    f"F[map,i,j] u8[map,i,j] F[map,hw] {_WINDOWS} {_WINDOWS} i64[tap]",
)
def _backward(dy, argmax, dx, rows, columns, offsets, chunk, chunks):
    """dx = Σ dy over the windows whose argmax it is."""
    rows, columns = Windows(*rows), Windows(*columns)
    start, stop = chunk_bounds(dy.shape[0], chunk, chunks)
    for n in range(start, stop):
        flat = dx[n]
        flat[:] = 0
        for i in range(rows.count):
            row, taps = dy[n, i], argmax[n, i]
            begin = (i * rows.stride - rows.padding) * columns.length - columns.padding
            for j in range(columns.count):
                flat[begin + j * columns.stride + offsets[taps[j]]] += row[j]
