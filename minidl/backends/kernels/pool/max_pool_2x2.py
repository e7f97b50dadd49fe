"""2 × 2 max pooling with stride 2: the usual case, a vector of windows at a time.

With a ReLU behind it, a window whose maximum is not positive gives 0 and passes no gradient on.

Forward reads 4 bytes of each element of x and writes 5/4 of a byte for it (y and the argmax);
backward reads and writes as many.  Both are bound by memory.  Rows are written in whole vectors, in
order, so that what is written beyond the end of one is overwritten by the next; only at the end of
a chunk is a row written element by element.
"""

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.kernel import (
    as_contiguous,
    carray,
    chunk_bounds,
    inner,
    parallel,
)
from minidl.backends.kernels.simd.intrinsics import LANES, advance, pointer
from minidl.backends.kernels.simd.max_pool import NO_ARGMAX_TAP, max_of_four, scatter_row

_NO_BIAS = np.float32(-0.0)  # x + (−0) is x, even for x = −0


def max_pool_2x2(x: np.ndarray, y: np.ndarray, argmax: np.ndarray, relu: bool) -> None:
    """y, the maximum of each window of x (…, H, W), and the tap that it is at.

    With relu y is at least 0, and the tap is NO_ARGMAX_TAP where y is 0.
    """
    work = threads.chunks(x.size * 0.4)
    _forward(feature_maps(x), feature_maps(y), feature_maps(argmax), relu, work)


def max_pool_2x2_backward(dy: np.ndarray, argmax: np.ndarray, dx: np.ndarray) -> None:
    """dx: dy at the argmax of each window, and 0 elsewhere."""
    work = threads.chunks(dx.size * 0.4)
    _backward(feature_maps(dy), feature_maps(argmax), feature_maps(dx), work)


def feature_maps(x: np.ndarray) -> np.ndarray:
    """The images (…, H, W) as feature maps (N·C, H, W), in contiguous memory."""
    return as_contiguous(x).reshape(-1, *x.shape[-2:])


@parallel("f32[map,h,w] f32[map,h,w] u8[map,h,w] bool", then=["_backward"])
def _forward(x, y, argmax, relu, chunk, chunks):
    _, height, width = y.shape
    row_stride = x.shape[2]
    start, stop = chunk_bounds(y.shape[0], chunk, chunks)
    for i in range(start, stop):
        begin, target = i * x.shape[1] * row_stride, i * height * width
        pool_rows(
            pointer(x, begin), row_stride, 2 * row_stride, pointer(y, target),
            pointer(argmax, target), width, height, stop * height * width - target, _NO_BIAS,
            relu,
        )  # fmt: skip


@inner
def pool_rows(source, row_stride, pair_stride, y, argmax, width, height, room, bias, relu):
    """Pool pairs of rows of `source`, to which a bias is added, to rows of y and argmax.

    The rows of a pair are `row_stride` apart, the pairs `pair_stride`.  A row of y is written in
    whole vectors as long as these are among the `room` elements that may be written; what is then
    read beyond the end of a row belongs to a later pair.
    """
    padded = (width + LANES - 1) // LANES * LANES
    for i in range(height):
        top, row = advance(source, i * pair_stride), advance(y, i * width)
        taps = advance(argmax, i * width)
        if i * width + padded <= room:
            for j in range(0, width, LANES):
                upper = advance(top, 2 * j)
                lower = advance(upper, row_stride)
                max_of_four(upper, lower, advance(row, j), advance(taps, j), bias, relu)
        else:
            pair = carray(top, row_stride + 2 * width)
            _pool_row(pair, row_stride, carray(row, width), taps, bias, relu)


@inner
def _pool_row(x, row_stride, y, argmax, bias, relu):
    """One row of y, element by element."""
    argmax = carray(argmax, y.size)
    for j in range(y.size):
        best, index = x[2 * j] + bias, np.uint8(0)
        for tap in range(1, 4):
            value = x[tap // 2 * row_stride + 2 * j + tap % 2] + bias
            if value > best or value != value:
                best, index = value, np.uint8(tap)
        if relu and not best > 0:
            best, index = best if best != best else np.float32(0), NO_ARGMAX_TAP
        y[j], argmax[j] = best, index


@parallel("f32[map,h,w] u8[map,h,w] f32[map,h,w]")
def _backward(dy, argmax, dx, chunk, chunks):
    start, stop = chunk_bounds(dy.shape[0], chunk, chunks)
    for i in range(start, stop):
        _scatter(dy, argmax, dx, i, stop)


@inner
def _scatter(dy, argmax, dx, index, stop):
    """One feature map of dx; up to map `stop`, where the chunk ends, dx may be overwritten."""
    _, height, width = dy.shape
    row_stride = dx.shape[2]
    end = stop * dx.shape[1] * row_stride
    padded = (width + LANES - 1) // LANES * LANES
    for i in range(height):
        begin = (index * height + i) * width
        upper = (index * dx.shape[1] + 2 * i) * row_stride
        if begin + padded <= dy.size and upper + row_stride + 2 * padded <= end:
            for row in range(2):
                for j in range(0, width, LANES):
                    scatter_row(
                        pointer(dy, begin + j), pointer(argmax, begin + j), 2 * row,
                        pointer(dx, upper + row * row_stride + 2 * j),
                    )  # fmt: skip
                if 2 * width < row_stride:
                    dx[index, 2 * i + row, 2 * width] = 0
        else:
            dx[index, 2 * i : 2 * i + 2] = 0
            for j in range(width):
                tap = argmax[index, i, j]
                if tap != NO_ARGMAX_TAP:
                    dx[index, 2 * i + tap // 2, 2 * j + tap % 2] = dy[index, i, j]
    dx[index, 2 * height :] = 0
