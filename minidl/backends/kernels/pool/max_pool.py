"""Pooling, plane by plane."""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backends import threads
from minidl.backends.kernels.pool.max_pool_2x2 import (
    NO_ARGMAX_TAP,
    in_planes,
    largest_by_twos,
    largest_by_twos_back,
)
from minidl.backends.kernels.runtime.compile import as_contiguous, chunk_bounds, inner, parallel
from minidl.backends.pooling import Windows, adaptive, divisors, windows
from minidl.backends.window import remembered

_MOST_TAPS = 255  # so that one byte tells which place of the window was chosen


def max_pool2d(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest x of each window;   dx: dy where it came from, of which one byte is kept."""
    geometry = kernel_size, stride, padding, dilation, ceil_mode
    rows, columns = windows("max_pool2d", x.shape, *geometry)
    taps = rows.size * columns.size
    if x.dtype.char not in "fd" or not x.size or taps > _MOST_TAPS:
        return NotImplemented
    if type(return_indices) is not bool:
        return NotImplemented
    if _by_twos(x, rows, columns):
        y, taken, dx = _max_by_twos(x, relu=False)
    else:
        y, taken, dx = _max_of_any(x, rows, columns)
    return ((y, _indices(taken, rows, columns).reshape(y.shape)) if return_indices else y), dx


def max_pool2d_relu(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest x of each square of two by two, and at least 0, in one pass."""
    geometry = kernel_size, stride, padding, dilation, ceil_mode
    rows, columns = windows("max_pool2d", x.shape, *geometry)
    if not x.size or not _by_twos(x, rows, columns):
        return NotImplemented
    y, _, dx = _max_by_twos(x, relu=True)
    return y, dx


def _max_by_twos(x: np.ndarray, *, relu: bool) -> Any:
    """The largest x of each square of two by two, which of its places it is, and the pullback."""
    shape = x.shape
    y = np.empty((*shape[:-2], shape[-2] // 2, shape[-1] // 2), x.dtype)
    taken = np.empty(y.shape, np.uint8)
    largest_by_twos(x, y, taken, relu)

    def dx(dy: np.ndarray, *_: Any) -> np.ndarray:
        gradient = np.empty(shape, dy.dtype)
        largest_by_twos_back(dy, taken, gradient)
        return gradient

    return y, taken, dx


def _max_of_any(x: np.ndarray, rows: Windows, columns: Windows) -> Any:
    """The largest x of each window, which of its places it is, and the pullback."""
    shape, planes = x.shape, in_planes(x)
    y = np.empty((len(planes), rows.count, columns.count), x.dtype)
    taken = np.empty(y.shape, np.uint8)
    work = threads.pieces(x.size * 0.8 + y.size * rows.size * columns.size * 0.3)
    _max(planes, y, taken, rows, columns, *_phases(rows, columns), work)

    def dx(dy: np.ndarray, *_: Any) -> np.ndarray:
        gradient = np.empty((len(taken), *shape[-2:]), dy.dtype)
        work = threads.pieces(gradient.size * 0.2 + dy.size)
        _max_back(in_planes(dy), taken, gradient, rows, columns, _offsets(rows, columns), work)
        return gradient.reshape(shape)

    return y.reshape(*shape[:-2], *y.shape[1:]), taken, dx


def avg_pool2d(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Σ x over each window / n;   dx = dy / n, from each window that x is in."""
    rows, columns = windows("avg_pool2d", x.shape, kernel_size, stride, padding, 1, ceil_mode)
    return _average(x, *_crossings(rows, columns, count_include_pad, divisor_override))


def adaptive_avg_pool2d(x: np.ndarray, output_size: Any) -> Any:
    """The mean of each window;   dx = dy / n, from each window that x is in."""
    rows, columns = map(np.array, adaptive("adaptive_avg_pool2d", x.shape, output_size))
    if len(rows) == len(columns) == 1:
        return _average_of_all(x)
    n = (rows[:, 1:] - rows[:, :1]) * (columns[:, 1] - columns[:, 0])
    return _average(x, rows, columns, n)


@remembered
def _crossings(rows: Windows, columns: Windows, count_padding: bool, override: int | None) -> Any:
    """Where windows begin and end, for the height and the width, and what their sums are over."""
    n = divisors(rows, columns, count_padding, override)
    return np.array(rows.spans()), np.array(columns.spans()), np.array(n)


def _average(x: np.ndarray, rows: np.ndarray, columns: np.ndarray, counts: np.ndarray) -> Any:
    """Σ x over the windows, each where one of `rows` crosses one of `columns`, by its count."""
    if x.dtype.char not in "fd" or not x.size:
        return NotImplemented
    shape, planes = x.shape, in_planes(x)
    n, height, width = planes.shape
    summed = (rows[:, 1] - rows[:, 0]).sum() * width  # in each plane
    work = threads.pieces(n * (summed * 0.2 + counts.size * 3))
    y = np.empty((n, *counts.shape), x.dtype)
    _mean(planes, y, rows, columns, counts, work)

    def dx(dy: np.ndarray) -> np.ndarray:
        gradient = np.empty((n, height, width), dy.dtype)
        _mean_back(in_planes(dy), gradient, rows, columns, counts, work)
        return gradient.reshape(shape)

    return y.reshape(*shape[:-2], *counts.shape), dx


def _average_of_all(x: np.ndarray) -> Any:
    """Σ x over each plane, by their size."""
    if x.dtype.char not in "fd" or not x.size:
        return NotImplemented
    shape, lines = x.shape, as_contiguous(x).reshape(-1, x.shape[-2] * x.shape[-1])
    y, work = np.empty(len(lines), x.dtype), threads.pieces(x.size * 0.2)
    _mean_of_all(lines, y, work)

    def dx(dy: np.ndarray) -> np.ndarray:
        gradient = np.empty((dy.size, shape[-2] * shape[-1]), dy.dtype)
        _mean_of_all_back(dy.reshape(-1), gradient, work)
        return gradient.reshape(shape)

    return y.reshape(*shape[:-2], 1, 1), dx


def _by_twos(x: np.ndarray, rows: Windows, columns: Windows) -> bool:
    """Whether the windows are squares of two by two, side by side, and in the picture."""
    return x.dtype == np.float32 and all(
        size == stride == 2 and dilation == 1 and not padding and 2 * count <= length
        for length, size, stride, padding, dilation, count in (rows, columns)
    )


@lru_cache
def _phases(rows: Windows, columns: Windows) -> Any:
    """How `_max_piece` lays out a plane.

    The height and the width of a phase; where each place of the first window lies among all of
    them; and for each window, the first place of its own that is not in the padding.
    """
    height, width = (w.count + (w.size - 1) * w.dilation // w.stride for w in (rows, columns))
    down, right = (np.arange(w.size) * w.dilation for w in (rows, columns))
    phase = (down % rows.stride * columns.stride)[:, None] + right % columns.stride
    row = phase * height + (down // rows.stride)[:, None]
    offsets = row * width + right // columns.stride
    top, left = (
        np.maximum(0, -((np.arange(w.count) * w.stride - w.padding) // w.dilation))
        for w in (rows, columns)
    )
    first = top[:, None] * columns.size + left
    return (height, width), offsets.reshape(-1), first.astype(np.uint8)


@lru_cache
def _offsets(rows: Windows, columns: Windows) -> np.ndarray:
    """How far each place of a window is from the window's first, in a plane laid out flat."""
    down = np.arange(rows.size) * rows.dilation * columns.length
    return (down[:, None] + np.arange(columns.size) * columns.dilation).reshape(-1)


def _indices(taken: np.ndarray, rows: Windows, columns: Windows) -> np.ndarray:
    """The number of the place that was taken, in its plane laid out flat."""
    down = (np.arange(rows.count) * rows.stride - rows.padding) * columns.length
    right = np.arange(columns.count) * columns.stride - columns.padding
    return _offsets(rows, columns)[taken] + (down[:, None] + right)


@parallel
def _max(x, y, taken, rows, columns, phases, offsets, first, pieces):
    """The largest of each window, and which of its places it is."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0], piece, pieces)
        part = x[start:stop], y[start:stop], taken[start:stop]
        _max_piece(*part, rows, columns, phases, offsets, first)


@inner
def _max_piece(x, y, taken, rows, columns, phases, offsets, first):
    """Every place of the window in turn challenges the best so far, of all windows at once.

    For that, a padded plane is dealt out to as many smaller ones as a stride has places, its
    phases: what one place of the window sees as the window moves on are neighbours in one of them.
    At the ends of their rows lie windows that nobody wants, so that all are one long vector.
    """
    height, width = phases
    dealt = np.empty((rows.stride * columns.stride * height, width), x.dtype)
    flat, lowest = dealt.reshape(-1), x.dtype.type(-np.inf)
    best = np.empty((rows.count - 1) * width + columns.count, x.dtype)
    tap = np.empty(best.size, np.uint8)
    _fill(flat, lowest)
    for p in range(x.shape[0]):
        for r in range(min(rows.length, height * rows.stride - rows.padding)):
            down = r + rows.padding
            phase = down % rows.stride * columns.stride
            _deal(x[p, r], dealt[phase * height + down // rows.stride :], height, columns)
        _fill(best, lowest)
        _fill(tap, NO_ARGMAX_TAP)
        for place in range(offsets.size):
            _challenge(flat[offsets[place] :], np.uint8(place), best, tap)
        for i in range(rows.count):
            for j in range(columns.count):
                place = tap[i * width + j]
                y[p, i, j] = best[i * width + j]
                taken[p, i, j] = (
                    first[i, j] if place == NO_ARGMAX_TAP else place
                )  # every place holds −∞


@njit
def _fill(x, value):
    for i in range(x.size):
        x[i] = value


@njit
def _deal(row, phases, height, columns):
    """phases[c % stride · height, c // stride] = padded row[c]."""
    for phase in range(columns.stride):
        c = (phase - columns.padding) % columns.stride  # the first that is not padding
        target, source = phases[phase * height], row[c:]
        start = (c + columns.padding) // columns.stride
        for j in range(min(target.size - start, (source.size - 1) // columns.stride + 1)):
            target[start + j] = source[j * columns.stride]


@njit
def _challenge(seen, place, best, tap):
    """Where what this place of the window sees is larger, or NaN, it is the best so far."""
    for j in range(best.size):
        value, held, holder = seen[j], best[j], tap[j]
        better = (value > held) | (value != value)
        best[j] = value if better else held
        tap[j] = place if better else holder


@parallel
def _max_back(dy, taken, dx, rows, columns, offsets, pieces):
    """dx = the sum of dy over the windows that took it."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(dy.shape[0], piece, pieces)
        _max_back_piece(dy[start:stop], taken[start:stop], dx[start:stop], rows, columns, offsets)


@inner
def _max_back_piece(dy, taken, dx, rows, columns, offsets):
    for p in range(dy.shape[0]):
        flat = dx[p].reshape(-1)
        flat[:] = 0
        for i in range(rows.count):
            g, tap = dy[p, i], taken[p, i]
            start = (i * rows.stride - rows.padding) * columns.length - columns.padding
            for j in range(columns.count):
                flat[start + j * columns.stride + offsets[tap[j]]] += g[j]


@parallel
def _mean(x, y, rows, columns, divisors, pieces):
    """The sum over each window by its divisor."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(x.shape[0], piece, pieces)
        _mean_piece(x[start:stop], y[start:stop], rows, columns, divisors)


@inner
def _mean_piece(x, y, rows, columns, divisors):
    """First the rows of a window are added up to one line, then the line."""
    zero = x.dtype.type(0)
    line = np.empty(x.shape[2], x.dtype)
    for p in range(x.shape[0]):
        for i in range(rows.shape[0]):
            line[:] = zero
            for r in range(rows[i, 0], rows[i, 1]):
                _add(line, x[p, r])
            for j in range(columns.shape[0]):
                total = zero
                for c in range(columns[j, 0], columns[j, 1]):
                    total += line[c]
                y[p, i, j] = total / x.dtype.type(divisors[i, j])


@parallel
def _mean_back(dy, dx, rows, columns, divisors, pieces):
    """dx = the sum of dy / divisor over the windows that x is in."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(dx.shape[0], piece, pieces)
        _mean_back_piece(dy[start:stop], dx[start:stop], rows, columns, divisors)


@inner
def _mean_back_piece(dy, dx, rows, columns, divisors):
    """The same line for all rows of a window."""
    line = np.empty(dx.shape[2], dx.dtype)
    for p in range(dx.shape[0]):
        dx[p] = 0
        for i in range(rows.shape[0]):
            line[:] = 0
            for j in range(columns.shape[0]):
                part = dy[p, i, j] / dx.dtype.type(divisors[i, j])
                for c in range(columns[j, 0], columns[j, 1]):
                    line[c] += part
            for r in range(rows[i, 0], rows[i, 1]):
                _add(dx[p, r], line)


@njit
def _add(target, values):
    for i in range(target.size):
        target[i] += values[i]


@parallel
def _mean_of_all(x, y, pieces):
    """y = Σ x / n along the rows of x."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(y.size, piece, pieces)
        for p in range(start, stop):
            y[p] = _sum(x[p]) / x.dtype.type(x.shape[1])


@njit(fastmath={"reassoc", "contract"})
def _sum(x):
    """Σ x, in any order."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total


@parallel
def _mean_of_all_back(dy, dx, pieces):
    """dx = dy / n along the rows of dx."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(dy.size, piece, pieces)
        for p in range(start, stop):
            dx[p] = dy[p] / dx.dtype.type(dx.shape[1])
