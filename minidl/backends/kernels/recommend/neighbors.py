"""Similarities of rows of a sparse matrix, computed row by row and never kept as a square.

Row x of the product Q·Aᵀ is accumulated over the entries of x: to each row z that has an entry in
the same column, the product of both entries is added (F. Gustavson.  Two fast algorithms for sparse
matrices: multiplication and permuted transposition.  ACM TOMS 4(3), 1978).  Products alone suffice
for measures whose norms run over whole rows; those over the common columns of two rows accumulate
six sums instead.  What follows takes the row at once: the k nearest are kept in a heap, or ratings
are predicted from it; then the next row is accumulated in the same place.

Sums are float64, in the order of the columns, so that similarities are symmetric to the bit; rows
are done one by one, so that any number of threads gives the same bits.  Equal similarities are
ordered by the number of the row.

Cost: for each entry of x, the entries of its column: Σ n² over the columns for all rows; memory is
one row for each thread.
"""

from typing import Any, NamedTuple, Self

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.recommend.top_k import offer, offer_all, sort
from minidl.backends.kernels.runtime.kernel import inner, parallel
from minidl.backends.kernels.simd.intrinsics import pointer, prefetch_for_reading

DOT, JACCARD, COUNTED_DOT, COSINE_OF_COMMON, PEARSON, DISTANCE = range(6)
_OF_COMMON = COUNTED_DOT  # from here on, sums over the common columns are needed
_SUMS = 6  # n, Σpq, Σp², Σq², Σp, Σq of two rows' entries p and q in common columns
_FEW = 4  # a row is looked through, and not its entries once more, if they are a quarter of it
_ROUNDING = 4e-16  # relative to n·Σp², a variance below n times this is rounding
# Nanoseconds on one thread.
_PRODUCT, _STATISTIC, _ROW, _RATING = 1.0, 4.0, 1.0, 2.0


class Sparse(NamedTuple):
    """A sparse matrix by rows: int64, uint32 and float32."""

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, matrix: Any) -> Self:
        """A SciPy matrix in CSR format."""
        columns = np.ascontiguousarray(matrix.indices, np.int32).view(np.uint32)
        return cls(matrix.indptr.astype(np.int64), columns, np.ascontiguousarray(matrix.data))


class Measure(NamedTuple):
    """What is computed of two rows: one of the kinds above.

    It is 0 for fewer than `min_support` common columns, and for n of them multiplied by
    (n − 1) / (n − 1 + shrinkage); but DOT does not count them.
    """

    kind: int
    min_support: int
    shrinkage: float


class Problem(NamedTuple):
    """Rows of `queries`, each to be compared with all of the rows of a matrix, given by columns.

    scales, others    of the rows of queries and of the matrix: factors of their products, as 1 or
                      the inverse norms; for JACCARD, whose values are 1, the numbers of entries
    own               whether queries are the rows of the matrix: none is its own neighbour
    costs             nanoseconds that each row of the queries takes
    """

    queries: Sparse
    columns: Sparse
    scales: np.ndarray
    others: np.ndarray
    measure: Measure
    own: bool
    costs: np.ndarray

    @classmethod
    def of(
        cls,
        queries: Sparse,
        columns: Sparse,
        scales: np.ndarray,
        others: np.ndarray,
        measure: Measure,
        own: bool,
    ) -> Self:
        """The problem with its costs."""
        each = _PRODUCT if measure.kind < _OF_COMMON else _STATISTIC
        costs = entries_met(queries, columns) * each + others.size * _ROW
        return cls(queries, columns, scales, others, measure, own, costs)


SPARSE = "(i64[starts] u32[entries] f32[entries])"
_PROBLEM = f"({SPARSE} {SPARSE} f64[queries] f64[rows] (i64 i64 f64) bool f64[queries])"
_TABLES = "f64[chunks,sums]"


def similarities(problem: Problem, xs: np.ndarray) -> np.ndarray:
    """The similarities of rows xs of the queries with all rows: (B, rows), float32."""
    result = np.empty((xs.size, problem.others.size), np.float32)
    bounds, chunks = balanced(problem.costs[xs])
    _similarities(bounds, xs, problem, _tables(problem, chunks), result, chunks)
    return result


def nearest(problem: Problem, xs: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of the highest positive similarity to each of xs, descending.

    Codes and similarities, (B, k), int32 and float32; −1 and 0 where there are fewer.
    """
    codes, values = np.empty((xs.size, k), np.int32), np.empty((xs.size, k), np.float32)
    bounds, chunks = balanced(problem.costs[xs])
    rows = np.empty((chunks, problem.others.size), np.float32)
    _nearest(bounds, xs, problem, _tables(problem, chunks), rows, codes, values, chunks)
    return codes, values


def weighted_means(
    problem: Problem,
    kept: Sparse,
    ratings: Sparse,
    groups: tuple[np.ndarray, np.ndarray, np.ndarray],
    k: int,
    fewest: int,
    otherwise: float,
) -> np.ndarray:
    """Σ s·r / Σ s over the k rows most similar to x among those rated with y, for pairs (x, y).

    kept       the neighbours of each row that are known; without entries, all are computed
    ratings    by y: which rows were rated, and how
    groups     the xs, where the ys of each start, and the ys
    fewest     with fewer neighbours of a positive similarity the result is `otherwise`
    """
    xs, starts, ys = groups
    result = np.empty(ys.size, np.float32)
    lengths = np.diff(ratings.starts)[ys]
    rated = np.append(0, np.cumsum(lengths))[starts]
    costs = problem.costs[xs] if not kept.columns.size else np.full(xs.size, _ROW)
    bounds, chunks = balanced(costs + np.diff(rated) * _RATING)
    rows = np.zeros((chunks, problem.others.size), np.float32)
    heaps = np.empty((chunks, k), np.int32), np.empty((chunks, k), np.float32)
    settings, work = (fewest, otherwise), (_tables(problem, chunks), rows, *heaps)
    _weighted_means(bounds, problem, kept, ratings, groups, settings, work, result, chunks)
    return result


def product(left: Sparse, right: Sparse, width: int) -> np.ndarray:
    """The product of two sparse matrices, dense: (B, width), float32."""
    costs = entries_met(left, right) * _PRODUCT + width * _ROW
    bounds, chunks = balanced(costs)
    result = np.empty((costs.size, width), np.float32)
    _product(bounds, left, right, np.empty((chunks, width)), result, chunks)
    return result


def entries_met(left: Sparse, right: Sparse) -> np.ndarray:
    """For each row of the left matrix how many products its row of the product takes."""
    met = np.append(0, np.cumsum(np.diff(right.starts)[left.columns]))
    return np.diff(met[left.starts])


def balanced(costs: np.ndarray) -> tuple[np.ndarray, int]:
    """Where to split rows into chunks of about the same cost, and the number of chunks."""
    total = np.append(0, np.cumsum(costs))
    chunks = threads.chunks(total[-1])
    return np.searchsorted(total, np.linspace(0, total[-1], chunks + 1)), chunks


def _tables(problem: Problem, chunks: int) -> np.ndarray:
    width = 1 if problem.measure.kind < _OF_COMMON else _SUMS
    return np.zeros((chunks, problem.others.size * width))


@parallel(f"i64[bounds] i64[xs] {_PROBLEM} {_TABLES} f32[xs,rows]")
def _similarities(bounds, xs, problem, tables, result, chunk, chunks):
    for b in range(bounds[chunk], bounds[chunk + 1]):
        _compare(xs[b], problem, tables[chunk], result[b])


@parallel(
    f"i64[bounds] i64[xs] {_PROBLEM} {_TABLES} f32[chunks,rows] i32[xs,k] f32[xs,k]", wide=True
)
def _nearest(bounds, xs, problem, tables, rows, codes, values, chunk, chunks):
    for b in range(bounds[chunk], bounds[chunk + 1]):
        heap = codes[b], values[b]
        size = _find_nearest(xs[b], problem, tables[chunk], rows[chunk], heap)
        sort(heap, size)
        codes[b, size:], values[b, size:] = -1, 0


@inner
def _find_nearest(x, problem, table, row, heap):
    """Fill the heap with the most similar rows; returns how many there are."""
    queries, columns, scales, others, measure, own, _ = problem
    size, kind = 0, measure[0]
    met = _accumulate(x, queries, columns, kind, table)
    if met * _FEW > others.size:
        _all_similarities(scales[x], others, measure, table, row)
        if own:
            row[x] = 0
        return offer_all(heap, row)
    starts, entries, _ = queries
    for y in entries[starts[x] : starts[x + 1]]:
        for z in columns[1][columns[0][y] : columns[0][y + 1]]:
            if not (own and z == x):
                size = offer(heap, size, _similarity(z, scales[x], others, measure, table), z)
            _clear(z, kind, table)
    return size


@parallel(
    f"i64[bounds] {_PROBLEM} {SPARSE} {SPARSE} (i64[xs] i64[starts] i64[pairs]) (i64 f64) "
    f"({_TABLES} f32[chunks,rows] i32[chunks,k] f32[chunks,k]) f32[pairs]"
)
def _weighted_means(
    bounds, problem, kept, ratings, groups, settings, work, result, chunk, chunks
):  # fmt: skip
    xs, starts, ys = groups
    tables, rows, codes, values = work
    row, heap = rows[chunk], (codes[chunk], values[chunk])
    rated_from, rated, rating = ratings
    for group in range(bounds[chunk], bounds[chunk + 1]):
        x = xs[group]
        _fill(x, problem, kept, tables[chunk], row)
        for pair in range(starts[group], starts[group + 1]):
            first, last = rated_from[ys[pair]], rated_from[ys[pair] + 1]
            result[pair] = _weighted_mean(
                row, rated[first:last], rating[first:last], heap, settings
            )
        if kept[1].size:
            row[:] = 0


@inner
def _fill(x, problem, kept, table, row):
    """The similarities of row x with all others; of those that are kept if there are any."""
    starts, others, values = kept
    if others.size:
        for e in range(starts[x], starts[x + 1]):
            row[others[e]] = values[e]
        return
    _compare(x, problem, table, row)
    if problem[5]:
        row[x] = 0


@inner
def _weighted_mean(row, rated, rating, heap, settings):
    """Σ s·r / Σ s over the largest positive s."""
    fewest, otherwise = settings
    total, weights, size, k = 0.0, 0.0, 0, heap[0].size
    if rated.size <= k:
        for e in range(rated.size):
            s = np.float64(row[rated[e]])
            if s > 0:
                total += s * np.float64(rating[e])
                weights += s
                size += 1
    else:
        for e in range(rated.size):
            size = offer(heap, size, row[rated[e]], e)
        for place in range(size):
            s = np.float64(heap[1][place])
            total += s * np.float64(rating[heap[0][place]])
            weights += s
    return np.float32(total / weights if size >= fewest and size > 0 else otherwise)


@parallel(f"i64[bounds] {SPARSE} {SPARSE} f64[chunks,width] f32[rows,width]")
def _product(bounds, left, right, sums, result, chunk, chunks):
    total = sums[chunk]
    for x in range(bounds[chunk], bounds[chunk + 1]):
        total[:] = 0
        _add_products(x, left, right, total)
        for j in range(total.size):
            result[x, j] = total[j]


@inner
def _compare(x, problem, table, row):
    """The similarities of row x of the queries with all rows."""
    queries, columns, scales, others, measure, _, _ = problem
    _accumulate(x, queries, columns, measure[0], table)
    _all_similarities(scales[x], others, measure, table, row)


@inner
def _all_similarities(scale, others, measure, table, row):
    """The similarities from their sums, which are set to 0."""
    if measure[0] == DOT:
        for z in range(row.size):
            row[z] = np.float32(table[z] * (scale * others[z]))
    else:
        for z in range(row.size):
            row[z] = _similarity(z, scale, others, measure, table)
    table[:] = 0


@inner
def _accumulate(x, queries, columns, kind, table):
    """Add to the table the sums of row x with all rows; returns how many entries that took."""
    if kind < _OF_COMMON:
        return _add_products(x, queries, columns, table)
    return _add_statistics(x, queries, columns, table)


@inner
def _add_products(x, queries, columns, table):
    """table[z] += p·q for each entry p of row x, and each q of its column."""
    met = 0
    starts, own, weights = queries
    for e in range(starts[x], starts[x + 1]):
        p, y = np.float64(weights[e]), own[e]
        first, last = columns[0][y], columns[0][y + 1]
        rows, values = columns[1][first:last], columns[2][first:last]
        _fetch_column(e + 2, starts[x + 1], own, columns)
        for i in range(rows.size):
            table[rows[i]] += p * np.float64(values[i])
        met += rows.size
    return met


@inner
def _fetch_column(e, stop, own, columns):
    """Have the beginning of a column fetched that is soon to be read; where, none can know."""
    if e < stop:
        first = columns[0][own[e]]
        prefetch_for_reading(pointer(columns[1], first))
        prefetch_for_reading(pointer(columns[2], first))


@inner
def _add_statistics(x, queries, columns, table):
    """The six sums, for each row that has an entry in a column of x."""
    met = 0
    starts, own, weights = queries
    for e in range(starts[x], starts[x + 1]):
        p, y = np.float64(weights[e]), own[e]
        first, last = columns[0][y], columns[0][y + 1]
        rows, values = columns[1][first:last], columns[2][first:last]
        for i in range(rows.size):
            q, place = np.float64(values[i]), np.uint64(rows[i]) * np.uint64(_SUMS)
            sums = table[place : place + np.uint64(_SUMS)]
            sums[0] += 1
            sums[1] += p * q
            sums[2] += p * p
            sums[3] += q * q
            sums[4] += p
            sums[5] += q
        met += rows.size
    return met


@inner
def _clear(z, kind, table):
    if kind < _OF_COMMON:
        table[z] = 0
    else:
        table[z * _SUMS : (z + 1) * _SUMS] = 0


@inner
def _similarity(z, scale, others, measure, table):
    """The similarity of a row with row z, from their sums; 0 if they have nothing in common."""
    kind, fewest, shrinkage = measure
    if kind == DOT:
        return np.float32(table[z] * (scale * others[z]))
    n = table[z] if kind == JACCARD else table[z * _SUMS]
    if n < max(fewest, 1):
        return np.float32(0)
    shrunk = (n - 1) / (n - 1 + shrinkage) if shrinkage > 0 else 1.0
    if kind == JACCARD:
        return np.float32(shrunk * (n / (scale + others[z] - n)))
    pq = table[z * _SUMS + 1]
    if kind == COUNTED_DOT:
        return np.float32(shrunk * (pq * (scale * others[z])))
    pp, qq = table[z * _SUMS + 2], table[z * _SUMS + 3]
    p, q = table[z * _SUMS + 4], table[z * _SUMS + 5]
    return np.float32(shrunk * _of_common(kind, n, pq, pp, qq, p, q))


@inner
def _of_common(kind, n, pq, pp, qq, p, q):
    """The similarity from sums over the n > 0 common columns; 0 where it would be 0/0."""
    if kind == DISTANCE:
        return 1 / (max(pp + qq - 2 * pq, 0.0) / n + 1)
    if kind == PEARSON:
        own, other, both = n * pp - p * p, n * qq - q * q, n * pq - p * q
        if own <= _ROUNDING * n * n * pp or other <= _ROUNDING * n * n * qq:
            return 0.0
        return both / np.sqrt(own * other)
    return pq / np.sqrt(pp * qq) if pp > 0 and qq > 0 else 0.0
