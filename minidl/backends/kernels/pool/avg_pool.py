"""Average pooling, with windows of one size or adaptive ones.

The window is separable: the rows of a window are added to one line, whose elements serve all
windows side by side, so that an element of y takes KW additions and a share of KH.  The mean of a
whole image, global average pooling (M. Lin et al. 2013, arXiv:1312.4400), is a sum of its own.

Up to six terms are added up in the dtype of x.  Where windows are larger, or more of them overlap,
the sums are float64 with their rounding errors (`kernels.reduction`).
"""

from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.pool.max_pool_2x2 import feature_maps
from minidl.backends.kernels.reduction import add_with_error, sum_rows, value_of
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import as_contiguous, bare, chunk_bounds, parallel
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.pooling import Windows, adaptive, check_divisors, divisors, windows

_FEW = 6  # so many terms, in any order, are within the bound of sums


def avg_pool2d(
    x: np.ndarray,
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
    return _average(x, *_spans_and_divisors(rows, columns, count_include_pad, divisor_override))


def adaptive_avg_pool2d(x: np.ndarray, output_size: Any) -> Any:
    """y = the mean of each window;   dx = Σ dy / n over the windows that x is in."""
    rows, columns = map(np.array, adaptive("adaptive_avg_pool2d", x.shape, output_size))
    if len(rows) == len(columns) == 1:
        return _global_average(x)
    heights, widths = rows[:, 1:] - rows[:, :1], columns[:, 1] - columns[:, 0]
    return _average(x, rows, columns, heights * widths, heights.sum())


@planned
def _spans_and_divisors(
    rows: Windows, columns: Windows, count_padding: bool, override: int | None
) -> Any:
    """Where windows begin and end on both axes, the n of each, and how many rows they cover."""
    n = divisors(rows, columns, count_padding, override)
    covered = sum(end - begin for begin, end in rows.spans())
    return np.array(rows.spans()), np.array(columns.spans()), np.array(n), covered


def _average(
    x: np.ndarray, rows: np.ndarray, columns: np.ndarray, divisors: np.ndarray, covered: int
) -> Any:
    """y and the pullback of windows (i, j): rows[i] × columns[j], divided by divisors[i, j].

    covered    rows in all windows of a column: how many are added to a line
    """
    if not are_arrays("fd", x) or not x.size:
        return NotImplemented
    shape, maps = x.shape, feature_maps(x)
    n, height, width = maps.shape
    work = threads.chunks(n * (covered * width * 0.2 + divisors.size * 3))
    y = np.empty((n, *divisors.shape), x.dtype)
    if max(_longest(rows), _longest(columns)) <= _FEW:
        _forward(maps, y, rows, columns, divisors, np.empty((work, width), x.dtype), work)
    else:
        _forward_exactly(maps, y, rows, columns, divisors, np.empty((work, 2, width)), work)

    def pullback(dy: np.ndarray) -> np.ndarray:
        dy, dx = feature_maps(dy), np.empty((n, height, width), dy.dtype)
        if max(_overlap(rows), _overlap(columns)) <= _FEW:
            _backward(dy, dx, rows, columns, divisors, np.empty((work, width), dy.dtype), work)
        else:
            line, sums = np.empty((work, 2, width)), np.empty((work, 2, height, width))
            _backward_exactly(dy, dx, rows, columns, divisors, line, sums, work)
        return dx.reshape(shape)

    return y.reshape(*shape[:-2], *divisors.shape), pullback


def _longest(spans: np.ndarray) -> int:
    """The length of the longest window."""
    return int((spans[:, 1] - spans[:, 0]).max())


def _overlap(spans: np.ndarray) -> int:
    """The most windows that an element is in; they are in order."""
    return int((np.searchsorted(spans[:, 0], spans[:, 1]) - np.arange(len(spans))).max())


def _global_average(x: np.ndarray) -> Any:
    """y, the mean of each feature map, and the pullback."""
    if not are_arrays("fd", x) or not x.size:
        return NotImplemented
    shape, maps = x.shape, as_contiguous(x).reshape(-1, x.shape[-2] * x.shape[-1])
    y = (sum_rows(maps[..., None], "float64") / maps.shape[1]).astype(x.dtype)
    work = threads.chunks(x.size * 0.2)

    def pullback(dy: np.ndarray) -> np.ndarray:
        dx = np.empty((dy.size, shape[-2] * shape[-1]), dy.dtype)
        _global_backward(as_contiguous(dy).reshape(-1), dx, work)
        return dx.reshape(shape)

    return y.reshape(*shape[:-2], 1, 1), pullback


@parallel("F[map,h,w] F[map,i,j] i64[i,end] i64[j,end] i64[i,j] F[chunk,w]", then=["_backward"])
def _forward(x, y, rows, columns, divisors, lines, chunk, chunks):
    """First the rows of a window are added to one line, then the elements of the line."""
    zero, line = x.dtype.type(0), lines[chunk]
    start, stop = chunk_bounds(x.shape[0], chunk, chunks)
    for n in range(start, stop):
        for i in range(rows.shape[0]):
            line[:] = zero
            for r in range(rows[i, 0], rows[i, 1]):
                _add(line, x[n, r])
            for j in range(columns.shape[0]):
                total = zero
                for c in range(columns[j, 0], columns[j, 1]):
                    total += line[c]
                y[n, i, j] = total / x.dtype.type(divisors[i, j])


@parallel(
    "F[map,h,w] F[map,i,j] i64[i,end] i64[j,end] i64[i,j] f64[chunk,2,w]",
    then=["_backward_exactly"],
)
def _forward_exactly(x, y, rows, columns, divisors, lines, chunk, chunks):
    """As `_forward`, in float64 with rounding errors."""
    line, errors = lines[chunk, 0], lines[chunk, 1]
    start, stop = chunk_bounds(x.shape[0], chunk, chunks)
    for n in range(start, stop):
        for i in range(rows.shape[0]):
            line[:] = 0
            errors[:] = 0
            for r in range(rows[i, 0], rows[i, 1]):
                _add_with_errors(line, errors, x[n, r])
            for j in range(columns.shape[0]):
                total = error = 0.0
                for c in range(columns[j, 0], columns[j, 1]):
                    total, error = add_with_error(total, error + errors[c], line[c])
                y[n, i, j] = value_of(total, error) / divisors[i, j]


@parallel(
    "F[map,i,j] F[map,h,w] i64[i,end] i64[j,end] i64[i,j] F[chunk,w]",
)
def _backward(dy, dx, rows, columns, divisors, lines, chunk, chunks):
    """dy / n of the windows side by side is added to one line, and the line to all their rows."""
    line = lines[chunk]
    start, stop = chunk_bounds(dx.shape[0], chunk, chunks)
    for n in range(start, stop):
        dx[n] = 0
        for i in range(rows.shape[0]):
            line[:] = 0
            for j in range(columns.shape[0]):
                part = dy[n, i, j] / dx.dtype.type(divisors[i, j])
                for c in range(columns[j, 0], columns[j, 1]):
                    line[c] += part
            for r in range(rows[i, 0], rows[i, 1]):
                _add(dx[n, r], line)


@parallel(
    "F[map,i,j] F[map,h,w] i64[i,end] i64[j,end] i64[i,j] f64[chunk,2,w] f64[chunk,2,h,w]",
)
def _backward_exactly(dy, dx, rows, columns, divisors, lines, sums, chunk, chunks):
    """As `_backward`, in float64 with rounding errors."""
    line, line_errors = lines[chunk, 0], lines[chunk, 1]
    totals, errors = sums[chunk, 0], sums[chunk, 1]
    start, stop = chunk_bounds(dx.shape[0], chunk, chunks)
    for n in range(start, stop):
        totals[:] = 0
        errors[:] = 0
        for i in range(rows.shape[0]):
            line[:] = 0
            line_errors[:] = 0
            for j in range(columns.shape[0]):
                part = dy[n, i, j] / np.float64(divisors[i, j])
                for c in range(columns[j, 0], columns[j, 1]):
                    line[c], line_errors[c] = add_with_error(line[c], line_errors[c], part)
            for c in range(line.size):
                line[c] = value_of(line[c], line_errors[c])
            for r in range(rows[i, 0], rows[i, 1]):
                _add_with_errors(totals[r], errors[r], line)
        for r in range(dx.shape[1]):
            for c in range(dx.shape[2]):
                dx[n, r, c] = value_of(totals[r, c], errors[r, c])


@bare
def _add_with_errors(totals, errors, values):
    for i in range(totals.size):
        totals[i], errors[i] = add_with_error(totals[i], errors[i], np.float64(values[i]))


@bare
def _add(target, values):
    for i in range(target.size):
        target[i] += values[i]


@parallel("F[map] F[map,hw]")
def _global_backward(dy, dx, chunk, chunks):
    start, stop = chunk_bounds(dy.size, chunk, chunks)
    for n in range(start, stop):
        dx[n] = dy[n] / dx.dtype.type(dx.shape[1])
