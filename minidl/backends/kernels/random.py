"""Random numbers of Philox, and what is made of them at once.

The numbers are those of `minidl.backends.philox`, bit by bit.  They are made a block for two
elements, so each piece of the work begins at an even element.
"""

from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backends import threads
from minidl.backends.kernels.runtime.compile import as_contiguous, chunk_bounds, inner, parallel
from minidl.backends.philox import KEY_STEPS, LOW, MULTIPLIERS

_U = np.uint64
_LOW, _WORD = _U(LOW), _U(32)
_MULTIPLIER_0, _MULTIPLIER_1 = _U(MULTIPLIERS[0]), _U(MULTIPLIERS[1])
_STEP_0, _STEP_1 = _U(KEY_STEPS[0]), _U(KEY_STEPS[1])
_CHUNK = 1024  # numbers that wait in the cache until they are used
# Below so many elements NumPy does: for a millisecond, Numba need not be imported.  A dropout layer
# runs in every step, where Numba is there already.
_FEWEST, _FEWEST_DROPPED = 4096, 16


def uniform_like(x: np.ndarray, key: tuple[int, int]) -> Any:
    """Uniform numbers in [0, 1) of the shape and dtype of x: float32 or float64."""
    if not _suits(x, key, _FEWEST):
        return NotImplemented
    u = np.empty(x.shape, x.dtype)
    _uniform(u.reshape(-1), _U(key[0]), _U(key[1]), threads.pieces(1.5 * u.size))
    return u, None


def dropout(x: np.ndarray, p: float = 0.5, *, key: tuple[int, int]) -> Any:
    """y = 0 where a random number is below p, else x / (1 − p);   dx = 0, else dy / (1 − p).

    Saves one byte an element.
    """
    if not _suits(x, key, _FEWEST_DROPPED) or type(p) is not float or not 0 <= p < 1:
        return NotImplemented
    kind = x.dtype.type
    y, dropped = np.empty(x.shape, x.dtype), np.empty(x.shape, np.bool_)
    pieces = threads.pieces(2 * x.size)
    flat = x.reshape(-1), y.reshape(-1), dropped.reshape(-1)
    _dropout(*flat, kind(p), kind(1 - p), _U(key[0]), _U(key[1]), pieces)

    def dx(dy: np.ndarray) -> np.ndarray:
        result = np.empty(dropped.shape, dy.dtype)
        flat = dropped.reshape(-1), as_contiguous(dy).reshape(-1), result.reshape(-1)
        _dropout_back(*flat, kind(1 - p), threads.pieces(0.3 * result.size))
        return result

    return y, dx


def _suits(x: np.ndarray, key: tuple[int, int], fewest: int) -> bool:
    """Whether a kernel is made for x, and the key is in the range of its integers."""
    in_range = 0 <= key[0] < 2**64 and 0 <= key[1] < 2**64 - x.size
    return x.dtype.char in "fd" and x.size >= fewest and in_range


@njit(inline="always")
def _even_share(n: Any, piece: Any, pieces: Any) -> Any:
    """Where a piece of 0 … n begins and ends, if all but the last are to end on an even number."""
    start, stop = chunk_bounds((n + 1) // 2, piece, pieces)
    return 2 * start, min(2 * stop, n)


@njit(inline="always")
def _block(seed: Any, counter: Any) -> Any:
    """The four words of one block of Philox4x32-10."""
    c0, c1, c2, c3 = counter & _LOW, counter >> _WORD, _U(0), _U(0)
    k0, k1 = seed & _LOW, seed >> _WORD
    for _ in range(10):
        first, second = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_1
        c0, c1 = (second >> _WORD) ^ c1 ^ k0, second & _LOW
        c2, c3 = (first >> _WORD) ^ c3 ^ k1, first & _LOW
        k0, k1 = (k0 + _STEP_0) & _LOW, (k1 + _STEP_1) & _LOW
    return c0, c1, c2, c3


@njit(inline="always")
def _number(high: Any, low: Any, single: Any) -> Any:
    """Two words as a number in [0, 1): of their first 24 bits, or of 53 for a float64."""
    if single:
        return np.float32(np.int32(high >> _U(8))) * np.float32(2**-24)
    return np.float64(np.int64((high << _WORD | low) >> _U(11))) * 2.0**-53


@inner
def _fill(u, seed, counter):
    """Numbers of the blocks from counter on."""
    single = u.itemsize == 4
    for i in range(u.size // 2):
        c0, c1, c2, c3 = _block(seed, counter + _U(i))
        u[2 * i] = _number(c0, c1, single)
        u[2 * i + 1] = _number(c2, c3, single)
    if u.size % 2:
        c0, c1, _, _ = _block(seed, counter + _U(u.size // 2))
        u[u.size - 1] = _number(c0, c1, single)


@parallel
def _uniform(u, seed, offset, pieces):
    for piece in prange(pieces):
        start, stop = _even_share(u.size, piece, pieces)
        _fill(u[start:stop], seed, offset + _U(start // 2))


@parallel
def _dropout(x, y, dropped, p, kept, seed, offset, pieces):
    for piece in prange(pieces):
        start, stop = _even_share(x.size, piece, pieces)
        u = np.empty(_CHUNK, x.dtype)
        for first in range(start, stop, _CHUNK):
            last = min(first + _CHUNK, stop)
            part = u[: last - first]
            _fill(part, seed, offset + _U(first // 2))
            _drop(part, x[first:last], y[first:last], dropped[first:last], p, kept)


@inner
def _drop(u, x, y, dropped, p, kept):
    for i in range(u.size):
        dropped[i] = u[i] < p
        y[i] = 0 if u[i] < p else x[i] / kept


@parallel
def _dropout_back(dropped, dy, dx, kept, pieces):
    for piece in prange(pieces):
        start, stop = chunk_bounds(dx.size, piece, pieces)
        _drop_back(dropped[start:stop], dy[start:stop], dx[start:stop], kept)


@inner
def _drop_back(dropped, dy, dx, kept):
    for i in range(dx.size):
        dx[i] = 0 if dropped[i] else dy[i] / kept
