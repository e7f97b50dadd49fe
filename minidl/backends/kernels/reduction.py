"""Sums whose error does not grow with the number of terms.

The terms are the rows of a matrix, as they lie in memory.  Eight rows are added up as a tree, in
the dtype of x; a line of accumulators takes the result.  An accumulator is two numbers of float64,
the rounded total, and the rounding errors of its additions, which are known exactly (T. Ogita,
S. Rump, S. Oishi.  Accurate sum and dot product.  SIAM J. Sci. Comput. 26(6), 2005).  So there are
three roundings in the tree and one at the end: a sum is within 2·ε·Σ|terms| of the exact one, where
ε is the distance from 1 to the next number.  Vectors of float32 are added up in float64 without a
tree.

Long rows vectorise.  Several short ones are a line together, whose parts are added up at the end;
a vector is a matrix with rows of 32 elements.  Of very long ones, a block of columns is worked on
at a time, whose accumulators stay in the cache.

Cost: x is read from memory once, which takes longer than the arithmetic.
"""

from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.kernel import (
    chunk_bounds,
    compiled,
    inlined,
    inner,
    parallel,
    reassociating,
)

_LINE = 32  # accumulators for a vector
_BLOCK = 1024  # the most accumulators for rows
_PIECE = 2**18  # elements of a piece of a long sum; pieces are what threads share
_NANOSECONDS = {"f": 0.08, "d": 0.16}  # an element
_ACCUMULATORS = "f64[chunks,two,width]"  # totals and errors


def sum_rows(x: np.ndarray, dtype: Any) -> np.ndarray:
    """Σ over the middle axis of x (outer, n, inner), C-contiguous, rounded to a dtype.

    One long sum is cut into pieces, which do not depend on the number of threads; nor do the bits.
    """
    outer, n, columns = x.shape
    rows = max(_PIECE // columns // 8 * 8, _LINE)
    if outer > 1 or n < 8 * rows:
        return _sums(x, np.empty((outer, columns), dtype))
    pieces = n // rows
    parts = np.empty((pieces + 1, columns))
    _sums(x[0, : pieces * rows].reshape(pieces, rows, columns), parts[:pieces])
    _sums(x[:, pieces * rows :], parts[pieces:])
    return _rounded(sum_rows(parts[None], np.float64), dtype)


@np.errstate(all="ignore")
def _rounded(sums: np.ndarray, dtype: Any) -> np.ndarray:
    """The sums in a dtype, without a warning if some become infinite there."""
    return sums.astype(dtype, copy=False)


def _sums(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y = what `sum_rows` returns, not in pieces: (outer, inner)."""
    outer, n, columns = x.shape
    chunks = threads.chunks(x.size * _NANOSECONDS[x.dtype.char])
    if columns == 1:
        vectors, chunks = x.reshape(outer, n), min(chunks, outer)
        if x.dtype.char == "f":
            _sum_vectors32(vectors, y, chunks)
        else:
            _sum_vectors64(vectors, y, np.empty((chunks, 2, _LINE)), chunks)
        return y
    line = columns * max(1, min(_BLOCK // columns, n // 8))
    chunks = min(chunks, outer * ((line - 1) // _BLOCK + 1))
    accumulators = np.empty((chunks, 2, min(_BLOCK, line)))
    _sum_lines(x.reshape(outer, n * columns), y, line, accumulators, chunks)
    return y


def sum_vector(x: np.ndarray) -> float:
    """Σ x of a vector, rounded to its dtype."""
    return _sum_vector32(x) if x.dtype.char == "f" else _sum_vector64(x, np.empty((2, _LINE)))


@compiled("f32[n]")
def _sum_vector32(x):
    return np.float32(_vector32(x))


@compiled("f64[n] f64[two,width]")
def _sum_vector64(x, accumulators):
    return _vector64(x, accumulators[0], accumulators[1])


@parallel("f32[outer,n] F[outer,one]")
def _sum_vectors32(x, y, chunk, chunks):
    start, stop = chunk_bounds(x.shape[0], chunk, chunks)
    for i in range(start, stop):
        y[i, 0] = _vector32(x[i])


@parallel(f"f64[outer,n] f64[outer,one] {_ACCUMULATORS}")
def _sum_vectors64(x, y, accumulators, chunk, chunks):
    totals, errors = accumulators[chunk, 0], accumulators[chunk, 1]
    start, stop = chunk_bounds(x.shape[0], chunk, chunks)
    for i in range(start, stop):
        y[i, 0] = _vector64(x[i], totals, errors)


@parallel(
    f"f32[outer,terms] f32[outer,columns] i64 {_ACCUMULATORS}",
    f"f32[outer,terms] f64[outer,columns] i64 {_ACCUMULATORS}",
    f"f64[outer,terms] f64[outer,columns] i64 {_ACCUMULATORS}",
)
def _sum_lines(x, y, line, accumulators, chunk, chunks):
    """The sums of matrices (outer, n·columns); a task is one of them, or a block of its columns."""
    totals, errors = accumulators[chunk, 0], accumulators[chunk, 1]
    blocks = (line - 1) // _BLOCK + 1
    start, stop = chunk_bounds(x.shape[0] * blocks, chunk, chunks)
    for task in range(start, stop):
        i, first = task // blocks, task % blocks * _BLOCK
        if x.shape[1] < 8 * y.shape[1] and y.shape[1] < _LINE:
            _add_few(x[i], y[i])
        else:
            width = min(_BLOCK, line - first)
            _add_lines(x[i], y[i], line, first, width, totals, errors)


@inlined
def add_with_error(total, error, term):
    """total + term, rounded, and the error with that of this rounding added to it.

    D. Knuth.  The Art of Computer Programming, volume 2.  1969.
    """
    after = total + term
    added = after - total
    return after, error + ((total - (after - added)) + (term - added))


@inlined
def value_of(total, error):
    """The sum that an accumulator holds; an infinite one has no rounding errors."""
    return total + error if np.isfinite(error) else total


@reassociating
def _vector32(x):
    """Σ x of a vector of float32; sums of float64 in any order are exact to n·2⁻⁵³."""
    total = 0.0
    for i in range(x.size):
        total += x[i]
    return total


@inner
def _vector64(x, totals, errors):
    """Σ x of a vector."""
    if x.size < 8 * _LINE:
        return _short_vector(x)
    _clear(totals, errors, _LINE)
    eighth = x.size // (8 * _LINE) * _LINE  # a tree adds elements that are so far apart
    x0, x1, x2, x3 = x, x[eighth:], x[2 * eighth :], x[3 * eighth :]
    x4, x5, x6, x7 = x[4 * eighth :], x[5 * eighth :], x[6 * eighth :], x[7 * eighth :]
    for begin in range(0, eighth, _LINE):
        for j in range(_LINE):
            i = begin + j
            a, b = (x0[i] + x1[i]) + (x2[i] + x3[i]), (x4[i] + x5[i]) + (x6[i] + x7[i])
            totals[j], errors[j] = add_with_error(totals[j], errors[j], a + b)
    total, error = add_with_error(0.0, 0.0, _short_vector(x[8 * eighth :]))
    for j in range(_LINE):
        total, error = add_with_error(total, error + errors[j], totals[j])
    return value_of(total, error)


@inner
def _short_vector(x):
    total = error = 0.0
    whole = x.size // 8 * 8
    for j in range(0, whole, 8):
        a = (x[j] + x[j + 1]) + (x[j + 2] + x[j + 3])
        b = (x[j + 4] + x[j + 5]) + (x[j + 6] + x[j + 7])
        total, error = add_with_error(total, error, a + b)
    for j in range(whole, x.size):
        total, error = add_with_error(total, error, x[j])
    return value_of(total, error)


@inner
def _clear(totals, errors, width):
    for j in range(width):
        totals[j], errors[j] = 0, 0


@inner
def _add_few(x, y):
    """y = the sums of the columns of fewer than eight short rows."""
    for j in range(y.size):
        total = error = 0.0
        for i in range(j, x.size, y.size):
            total, error = add_with_error(total, error, np.float64(x[i]))
        y[j] = value_of(total, error)


@inner
def _add_lines(x, y, line, first, width, totals, errors):
    """y = the sums of all lines of x, or of a block of their columns."""
    count = x.size // line
    _clear(totals, errors, width)
    for r in range(0, count - 7, 8):
        x0, x1 = _columns(x, line, r, first, width), _columns(x, line, r + 1, first, width)
        x2, x3 = _columns(x, line, r + 2, first, width), _columns(x, line, r + 3, first, width)
        x4, x5 = _columns(x, line, r + 4, first, width), _columns(x, line, r + 5, first, width)
        x6, x7 = _columns(x, line, r + 6, first, width), _columns(x, line, r + 7, first, width)
        for j in range(width):
            a, b = (x0[j] + x1[j]) + (x2[j] + x3[j]), (x4[j] + x5[j]) + (x6[j] + x7[j])
            totals[j], errors[j] = add_with_error(totals[j], errors[j], np.float64(a + b))
    for r in range(count // 8 * 8, count):
        row = _columns(x, line, r, first, width)
        for j in range(width):
            totals[j], errors[j] = add_with_error(totals[j], errors[j], np.float64(row[j]))
    for j in range(x.size - count * line):  # the rows that are not a line
        term = np.float64(x[count * line + j])
        totals[j], errors[j] = add_with_error(totals[j], errors[j], term)
    for j in range(min(width, y.size)):
        total = error = 0.0
        for part in range(j, width, y.size):
            total, error = add_with_error(total, error + errors[part], totals[part])
        y[first + j] = value_of(total, error)


@inlined
def _columns(x, line, r, first, width):
    """A block of columns of line r."""
    return x[r * line + first : r * line + first + width]


def accumulate_rows(x: np.ndarray) -> np.ndarray:
    """x₀ + … + xᵢ along the middle axis of x (outer, n, inner), C-contiguous, in its dtype."""
    y = np.empty_like(x)
    outer, _, columns = x.shape
    blocks = (columns - 1) // _BLOCK + 1
    chunks = max(1, min(outer * blocks, threads.chunks(x.size * 1.5)))
    _accumulate(x, y, blocks, np.empty((chunks, 2, min(_BLOCK, columns))), chunks)
    return y


@parallel(f"F[outer,n,columns] F[outer,n,columns] i64 {_ACCUMULATORS}")
def _accumulate(x, y, blocks, accumulators, chunk, chunks):
    totals, errors = accumulators[chunk, 0], accumulators[chunk, 1]
    start, stop = chunk_bounds(x.shape[0] * blocks, chunk, chunks)
    for task in range(start, stop):
        i, first = task // blocks, task % blocks * _BLOCK
        _accumulate_block(x[i], y[i], slice(first, first + _BLOCK), totals, errors)


@inner
def _accumulate_block(x, y, columns, totals, errors):
    _clear(totals, errors, totals.size)
    for i in range(x.shape[0]):
        row, result = x[i][columns], y[i][columns]
        for j in range(row.size):
            total, error = add_with_error(totals[j], errors[j], np.float64(row[j]))
            totals[j], errors[j] = total, error
            result[j] = value_of(total, error)
