"""Regularised least squares for each row of a sparse matrix: the half-steps of ALS.

Row u of the result solves A·x = b, with a sum over the entries k of row u, at columns iₖ:

    A = G + λᵤ·I + Σₖ wₖ·yₖ·yₖᵀ,   b = Σₖ tₖ·yₖ,   yₖ = table[iₖ]

Explicit ratings have w = 1, t = r and G = 0; implicit ones G = YᵀY, w = c − 1 and t = c (Y. Hu,
Y. Koren, C. Volinsky.  Collaborative filtering for implicit feedback datasets.  ICDM 2008).

**By Cholesky**: the sum of outer products is a matrix product, (w·Y)ᵀ·Y over the rows that the
entries name.  The micro-kernel finds these in the table, so that only w·Y is written, and computes
the tiles on and above the diagonal.  A is factored in place, RᵀR, four rows of R at a time; b is a
row of it, for which the same updates are the forward substitution.

**By conjugate gradients**, a few steps from the x of before (G. Takács, I. Pilászy, D. Tikk.
Applications of the conjugate gradient method for implicit feedback collaborative filtering.  RecSys
2011): A is never formed, since A·p takes one product and one sum for each entry.

Rounding: sums over entries are added up in float32 in runs of 32, and the runs in float64, or by
Cholesky blocks of BLOCK entries are; A is factored in float64.  A pivot is at least λ, as it is
without rounding, so that no factorisation fails.  Rows are solved one by one: any number of
threads gives the same bits.

Cost for n entries and f factors: n·f² and f³/3 multiply-adds, the first half of it in float32; by
s steps (s + 1)·(2·n·f + f²).  A row of the table is read once for each of these passes.
"""

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.prefetch import fetch
from minidl.backends.kernels.runtime.kernel import (
    carray,
    chunk_bounds,
    inner,
    parallel,
    reassociating,
)
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, advance, pointer
from minidl.backends.kernels.simd.micro_kernel import (
    RUN,
    multiply_panels,
    pad_to_tiles,
    tile_count,
)
from minidl.backends.kernels.simd.row_updates import (
    DOUBLES,
    ROWS,
    add_normal_product,
    subtract_rows,
    subtract_rows_64,
)

BLOCK = 128  # entries whose outer products are added up in float32
_SOLVED = 1e-20  # squared residual of a row that needs no further step
_SMALLEST = 1e-300  # pivot: columns of padding have none
# Nanoseconds on one thread, by width: of an entry and of a row.
_ENTRY, _ROW = 0.012, 0.018
_ENTRY_OF_A_STEP, _ROW_OF_A_STEP = 0.08, 0.02


def padded(width: int) -> int:
    """The columns of a table for so many factors: the others are zero."""
    return -(-width // LANES) * LANES


def solve_rows(
    entries: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    table: np.ndarray,
    gram: np.ndarray,
    ridges: np.ndarray,
    x: np.ndarray,
    steps: int | None = None,
) -> None:
    """Solve for each row of x in place: by Cholesky, or so many steps of conjugate gradients.

    entries    indptr, int64, and indices, int32, of a sparse matrix, and for each of its entries
               its weight w and its target t, float32
    table      (columns, padded width), float32
    gram       (width, width), float32: G
    ridges     (rows,), float64, positive: λ
    x          (rows, width), float32; a row without entries becomes 0
    """
    indptr, width = entries[0], table.shape[1]
    per_entry, per_row = _ENTRY * width**2, _ROW * width**2 * (20 + width / 3)
    if steps is not None:
        per_entry, per_row = _ENTRY_OF_A_STEP * width, _ROW_OF_A_STEP * width**2
        per_entry, per_row = (steps + 1) * per_entry, (steps + 1) * per_row
    costs = per_entry * indptr + per_row * np.arange(indptr.size)
    chunks = threads.chunks(costs[-1])
    bounds = np.searchsorted(costs, np.linspace(0, costs[-1], chunks + 1))
    problem = bounds, *entries, table, gram, ridges, x
    if steps is None:
        height = pad_to_tiles(width)
        size = (BLOCK + height.size) * width
        tables = np.arange(BLOCK) * width, height
        offsets = np.empty((chunks, BLOCK), np.int64)
        matrices = np.empty((chunks, width + 2, width))  # A, and below it b and z
        _by_cholesky(*problem, tables, offsets, scratch(chunks, size), matrices, chunks)
    else:
        vectors = scratch(chunks, 4 * width + 2 * RUN)
        offsets, totals = np.empty((chunks, RUN), np.int64), np.empty((chunks, width))
        _by_steps(*problem, steps, offsets, vectors, totals, chunks)


_PROBLEM = (
    "i64[bounds] i64[starts] i32[entries] f32[entries] f32[entries] f32[columns,width] "
    "f32[width,width] f64[rows] f32[rows,width]"
)


@parallel(
    f"{_PROBLEM} (i64[block] i64[width]) i64[chunks,block] f32[chunks,size] "
    "f64[chunks,height,width]",
    then=["simd.micro_kernel:multiply_panels"],
    wide=True,
)
def _by_cholesky(
    bounds, indptr, indices, weights, targets, table, gram, ridges, x,
    tables, offsets, workspace, matrices, chunk, chunks,
):  # fmt: skip
    width = table.shape[1]
    matrix, own = matrices[chunk], offsets[chunk]
    scaled = carray(pointer(workspace[chunk], 0), (BLOCK, width))
    products = carray(pointer(workspace[chunk], BLOCK * width), (tables[1].size, width))
    for row in range(bounds[chunk], bounds[chunk + 1]):
        first, last = indptr[row], indptr[row + 1]
        if first == last:
            x[row, :] = 0
            continue
        ridge = ridges[row]
        _begin(matrix, gram, ridge)
        for begin in range(first, last, BLOCK):
            depth = min(BLOCK, last - begin)
            for k in range(depth):
                entry = begin + k
                y = table[indices[entry]]
                own[k] = indices[entry] * width
                _scale(y, weights[entry], targets[entry], scaled[k], matrix[width])
            _add_outer_products(depth, scaled, table, tables, own, products, matrix)
        _factor(matrix, ridge)
        _substitute_back(matrix, x[row])


@inner
def _begin(matrix, gram, ridge):
    """A = G + λ·I, and b = 0."""
    width = gram.shape[0]
    for i in range(width):
        for j in range(width):
            matrix[i, j] = gram[i, j]
        matrix[i, i] += ridge
        matrix[width, i] = 0


@inner
def _scale(y, weight, target, scaled, b):
    """w·y, and b += t·y."""
    for j in range(y.size):
        scaled[j] = weight * y[j]
        b[j] += np.float64(target) * np.float64(y[j])


@inner
def _add_outer_products(depth, scaled, table, tables, offsets, products, matrix):
    """A += Σ (w·y)·yᵀ of some entries, on and above the diagonal."""
    width = table.shape[1]
    vectors = width // LANES
    panels = tile_count(vectors)
    for panel in range(panels):
        left, right = chunk_bounds(vectors, panel, panels)
        height = min(right * LANES, width)
        multiply_panels(
            height, right - left, depth, RUN, pointer(scaled, 0), pointer(tables[1], 0),
            pointer(tables[0], 0), advance(pointer(table, 0), left * LANES), pointer(offsets, 0),
            pointer(products, left * LANES), width, 0,
        )  # fmt: skip
    for i in range(width):
        for j in range(i // DOUBLES * DOUBLES, width):
            matrix[i, j] += products[i, j]


@inner
def _factor(matrix, ridge):
    """R with RᵀR = A in place of A, and z with Rᵀz = b below b, ROWS rows at a time."""
    width = matrix.shape[1]
    b, z = matrix[width], matrix[width + 1]
    for top in range(0, width, ROWS):
        end = top + ROWS
        for k in range(top, end):
            inverse = 1 / np.sqrt(max(matrix[k, k], ridge, _SMALLEST))
            row = matrix[k]
            for j in range(k, width):
                row[j] *= inverse
            row[k] = 1 / inverse
            z[k] = b[k] * inverse
            for i in range(k + 1, end):
                lower, factor = matrix[i], row[i]
                for j in range(i, width):
                    lower[j] -= factor * row[j]
                b[i] -= z[k] * factor
        for i in range(end, width):
            _subtract(matrix, top, i, pointer(matrix, top * width + i), width, matrix[i])
        if end < width:
            _subtract(matrix, top, end, pointer(z, top), 1, b)


@inner
def _subtract(matrix, top, column, factors, apart, row):
    """row −= Σ factors · ROWS rows of R, from a column on, in whole vectors."""
    width = matrix.shape[1]
    left = column // DOUBLES * DOUBLES
    source = pointer(matrix, top * width + left)
    subtract_rows_64((width - left) // DOUBLES, source, width, factors, apart, pointer(row, left))


@inner
def _substitute_back(matrix, x):
    """R·x = z."""
    width = matrix.shape[1]
    z = matrix[width + 1]
    for i in range(width - 1, -1, -1):
        z[i] = (z[i] - _dot(matrix[i, i + 1 :], z[i + 1 :])) / matrix[i, i]
    for i in range(width):
        x[i] = z[i]


@reassociating
def _dot(a, b):
    """a·b in float64."""
    total = 0.0
    for i in range(a.size):
        total += np.float64(a[i]) * np.float64(b[i])
    return total


@parallel(
    f"{_PROBLEM} i64 i64[chunks,run] f32[chunks,size] f64[chunks,width]",
    wide=True,
)
def _by_steps(
    bounds, indptr, indices, weights, targets, table, gram, ridges, x,
    steps, offsets, vectors, totals, chunk, chunks,
):  # fmt: skip
    width = table.shape[1]
    own, total = vectors[chunk], totals[chunk]
    r, p, minus_ap = own[:width], own[width : 2 * width], own[2 * width : 3 * width]
    run = own[3 * width :]
    for row in range(bounds[chunk], bounds[chunk + 1]):
        entries = indptr[row], indptr[row + 1]
        solution = x[row]
        if entries[0] == entries[1]:
            solution[:] = 0
            continue
        data = entries, indices, weights, targets, table, gram, ridges[row]
        _residual(data, True, solution, offsets[chunk], run, total, r)
        squared = _dot(r, r)
        for j in range(width):
            p[j] = r[j]
        for _ in range(steps):
            if squared < _SOLVED:
                break
            _residual(data, False, p, offsets[chunk], run, total, minus_ap)
            rate = np.float32(-squared / _dot(p, minus_ap))
            for j in range(width):
                solution[j] += rate * p[j]
                r[j] += rate * minus_ap[j]
            before, squared = squared, _dot(r, r)
            ratio = np.float32(squared / before)
            for j in range(width):
                p[j] = r[j] + ratio * p[j]


@inner
def _residual(data, targeted, x, offsets, run, total, y):
    """y = b − A·x, or without targets −A·x."""
    (first, last), indices, weights, targets, table, gram, ridge = data
    width = table.shape[1]
    own_weights, own_targets, sums = run[:RUN], run[RUN : 2 * RUN], run[2 * RUN :]
    count, source = width // LANES, pointer(table, 0)
    sums[:] = 0
    for j in range(0, width, ROWS):
        rows = pointer(gram, j * width)
        subtract_rows(count, rows, width, pointer(x, j), pointer(sums, 0))
    for j in range(width):
        total[j] = np.float64(sums[j]) - ridge * np.float64(x[j])
    for begin in range(first, last, RUN):
        depth = min(RUN, last - begin)
        full = (depth + ROWS - 1) // ROWS * ROWS
        for k in range(full):
            entry = min(begin + k, last - 1)  # repeated, with a weight of 0, up to ROWS
            offsets[k] = np.int64(indices[entry]) * width
            own_weights[k] = weights[entry] if k < depth else 0
            own_targets[k] = targets[entry] if targeted and k < depth else 0
        for entry in range(begin + RUN, min(begin + 2 * RUN, last)):
            fetch(table[indices[entry]])
        sums[:] = 0
        for k in range(0, full, ROWS):
            add_normal_product(
                count, source, pointer(offsets, k), pointer(x, 0), pointer(own_weights, k),
                pointer(own_targets, k), pointer(sums, 0),
            )  # fmt: skip
        for j in range(width):
            total[j] += sums[j]
    for j in range(width):
        y[j] = total[j]
