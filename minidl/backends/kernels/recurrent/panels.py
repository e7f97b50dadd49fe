"""Products of a few rows with a weight that stays: the GEMMs inside of a step.

A step multiplies N rows, those of the sequences, by the weights of all gates, which are the same in
every step.  So they are packed once, into panels of the micro-kernel (K. Goto, R. van de Geijn
2008); a panel that the first tile of rows has brought into the cache serves the others.

A weight is that of two matrices side by side, [W_ih | W_hh], and its factor [x | h].

One or two rows fill no tile; for them packing would take longer than the product.  They are
multiplied as they are: the dot products with the rows of the weight, and backward sums of its rows.
"""

import numpy as np

from minidl.backends.kernels.runtime.kernel import (
    carray,
    chunk_bounds,
    inner,
    parallel,
)
from minidl.backends.kernels.simd.dot_rows import ROWS, dot_rows_of_one, dot_rows_of_two
from minidl.backends.kernels.simd.intrinsics import (
    LANES,
    advance,
    copy_vector,
    pointer,
    zero_vector,
)
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    NR,
    UNBROKEN,
    micro_kernel,
    tile_count,
    transpose_panel,
)

FEW = 2  # rows that are not worth packing for
DEPTH = 256  # rows of a panel that the micro-kernel takes at once
_PANEL_ROWS = np.arange(DEPTH, dtype=np.int64) * NR
_ZERO = np.float32(0)


def padded(n: int, multiple: int = LANES) -> int:
    """n rounded up to a multiple."""
    return -(-n // multiple) * multiple


def panel_count(columns: int) -> int:
    """The panels of so many columns."""
    return tile_count.py_func(-(-columns // LANES))


@inner
def multiply(count, depth, a, rows, depths, panels, panel_depth, columns, out, stride, add):
    """out[i, j] = Σₖ a[rows[i] + depths[k]]·panels[k, j], plus out[i, j] with `add`.

    All but the numbers are addresses.  Whole tiles are written: `rows` and `out` have `count` rows,
    rounded up to MR, and `out` has as many columns as fill whole vectors.

    panel_depth    the rows of a panel, of which these may be some
    """
    vectors = (columns + LANES - 1) // LANES
    pieces = tile_count(vectors)
    for piece in range(pieces):
        left, right = chunk_bounds(vectors, piece, pieces)
        for begin in range(0, depth, DEPTH):
            panel = advance(panels, (piece * panel_depth + begin) * NR)
            for row in range(0, count, MR):
                micro_kernel(
                    right - left,
                    min(DEPTH, depth - begin),
                    UNBROKEN,
                    a,
                    advance(rows, row),
                    advance(depths, begin),
                    panel,
                    pointer(_PANEL_ROWS, 0),
                    advance(out, row * stride + left * LANES),
                    stride,
                    add or begin > 0,
                )


# Packing.


@parallel("f32[m,k] f32[m,l] i64 f32[size]")
def pack_transposed(first, second, split, panels, chunk, chunks):
    """Panels of [first | second]ᵀ: of its columns before `split`, then of the others."""
    depth = first.shape[1] + second.shape[1]
    rows = first.shape[0]
    pieces = tile_count((split + LANES - 1) // LANES)
    _pack_transposed(first, second, 0, split, pointer(panels, 0), chunk, chunks)
    rest = pointer(panels, pieces * depth * NR)
    _pack_transposed(first, second, split, rows, rest, chunk, chunks)


@inner
def _pack_transposed(first, second, begin, end, panels, chunk, chunks):
    """A chunk of the panels of the columns begin … end − 1."""
    k, rest = first.shape[1], second.shape[1]
    vectors = (end - begin + LANES - 1) // LANES
    pieces = tile_count(vectors)
    start, stop = chunk_bounds(pieces, chunk, chunks)
    for piece in range(start, stop):
        left, right = chunk_bounds(vectors, piece, pieces)
        left, right = begin + left * LANES, min(begin + right * LANES, end)
        panel = advance(panels, piece * (k + rest) * NR)
        transpose_panel(pointer(first, left * k), k, right - left, k, panel, NR)
        panel = advance(panel, k * NR)
        transpose_panel(pointer(second, left * rest), rest, right - left, rest, panel, NR)


@parallel("f32[k,m] f32[k,n] i64 i64 i64[k] f32[size]")
def pack(first, second, begin, split, rows, panels, chunk, chunks):
    """Panels of [first | second]: of its columns begin … split − 1, then of the others."""
    end = first.shape[1] + second.shape[1]
    pieces = tile_count((split - begin + LANES - 1) // LANES)
    _pack(first, second, begin, split, rows, pointer(panels, 0), chunk, chunks)
    rest = pointer(panels, pieces * rows.size * NR)
    _pack(first, second, split, end, rows, rest, chunk, chunks)


@inner
def _pack(first, second, begin, end, rows, panels, chunk, chunks):
    """A chunk of the panels of the columns begin … end − 1."""
    vectors = (end - begin + LANES - 1) // LANES
    pieces = tile_count(vectors)
    start, stop = chunk_bounds(pieces, chunk, chunks)
    for piece in range(start, stop):
        left, right = chunk_bounds(vectors, piece, pieces)
        left, right = begin + left * LANES, min(begin + right * LANES, end)
        pack_panel(first, second, left, right, rows, advance(panels, piece * rows.size * NR))


@inner
def pack_panel(first, second, left, right, rows, panel):
    """Columns left … right − 1 of the given rows of [first | second], as a panel."""
    width, in_first = first.shape[1], min(max(first.shape[1] - left, 0), right - left)
    in_second = right - left - in_first
    for k in range(rows.size):
        target = advance(panel, k * NR)
        if (right - left) % LANES:
            zero_vector(advance(target, (right - left) // LANES * LANES))
        if in_first:
            copy(pointer(first, rows[k] * width + left), target, in_first)
        if in_second:
            offset = rows[k] * second.shape[1] + left + in_first - width
            copy(pointer(second, offset), advance(target, in_first), in_second)


@inner
def copy(source, target, n):
    """Copy n numbers from one address to another."""
    whole = n - n % LANES
    for j in range(0, whole, LANES):
        copy_vector(advance(source, j), advance(target, j))
    if whole < n:
        source, target = carray(source, n), carray(target, n)
        for j in range(whole, n):
            target[j] = source[j]


# A single row, and a weight as it is.


@inner
def dot_rows(weight, x, out):
    """out = weight·x."""
    whole = weight.shape[0] - weight.shape[0] % ROWS if x.size >= ROWS else 0
    for j in range(0, whole, ROWS):
        dot_rows_of_one(
            x.size // ROWS, pointer(weight, j * x.size), x.size, pointer(x, 0), pointer(out, j)
        )
    _add_columns(weight, x, x.size - x.size % ROWS, whole, out)
    out[whole : weight.shape[0]] = _ZERO
    _add_rows(weight, x, whole, out)


@inner
def dot_both(weight, x, second, y, out):
    """out = weight·x + second·y."""
    if x.size < ROWS:
        dot_rows(second, y, out)
        _add_rows(weight, x, 0, out)
        return
    if y.size < ROWS:
        dot_rows(weight, x, out)
        _add_rows(second, y, 0, out)
        return
    whole = weight.shape[0] - weight.shape[0] % ROWS
    for j in range(0, whole, ROWS):
        dot_rows_of_two(
            x.size // ROWS, pointer(weight, j * x.size), x.size, pointer(x, 0),
            y.size // ROWS, pointer(second, j * y.size), y.size, pointer(y, 0), pointer(out, j),
        )  # fmt: skip
    _add_columns(weight, x, x.size - x.size % ROWS, whole, out)
    _add_columns(second, y, y.size - y.size % ROWS, whole, out)
    out[whole : weight.shape[0]] = _ZERO
    _add_rows(weight, x, whole, out)
    _add_rows(second, y, whole, out)


@inner
def _add_columns(weight, x, begin, rows, out):
    """Add to the first rows the products of the columns from `begin` on, which fill no vector."""
    if begin < x.size:
        for j in range(rows):
            out[j] += _dot(weight[j, begin:], x[begin:])


@inner
def _add_rows(weight, x, begin, out):
    """Add the products of the rows from `begin` on, four at a time."""
    rows = weight.shape[0]
    four = begin + (rows - begin) // 4 * 4
    for j in range(begin, four, 4):
        w0, w1, w2, w3 = weight[j], weight[j + 1], weight[j + 2], weight[j + 3]
        s0 = s1 = s2 = s3 = _ZERO
        for k in range(x.size):
            s0 += w0[k] * x[k]
            s1 += w1[k] * x[k]
            s2 += w2[k] * x[k]
            s3 += w3[k] * x[k]
        out[j] += s0
        out[j + 1] += s1
        out[j + 2] += s2
        out[j + 3] += s3
    for j in range(four, rows):
        out[j] += _dot(weight[j], x)


@inner
def _dot(w, x):
    """Σ w·x, in this order: the width of vectors makes no difference."""
    total = _ZERO
    for k in range(x.size):
        total += w[k] * x[k]
    return total


@inner
def sum_rows(factors, weight, out, add):
    """out = Σₖ factors[k]·weight[k], plus out with `add`; four rows at a time."""
    rows = weight.shape[0]
    if not add:
        out[:] = _ZERO
    for k in range(0, rows - rows % 4, 4):
        w0, w1, w2, w3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        f0, f1, f2, f3 = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        for j in range(out.size):
            out[j] += (f0 * w0[j] + f1 * w1[j]) + (f2 * w2[j] + f3 * w3[j])
    for k in range(rows - rows % 4, rows):
        f, w = factors[k], weight[k]
        for j in range(out.size):
            out[j] += f * w[j]
