"""Measures of similarity: what they see of ratings, and the search for nearest neighbours."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from minidl.backends.kernels.recommend import neighbors as kernels
from minidl.backends.kernels.recommend.neighbors import Measure, Problem, Sparse
from minidl.recommend.matrices import row_numbers, transposed
from minidl.recommend.progress import track

SIMILARITIES = (
    *("cosine", "dot", "jaccard"),
    *("common_cosine", "adjusted_cosine", "pearson", "pearson_baseline", "msd"),
)
OF_RATINGS = "adjusted_cosine", "pearson", "pearson_baseline"  # 0/0 where all ratings are equal
_KINDS = {
    "cosine": kernels.DOT,
    "dot": kernels.DOT,
    "jaccard": kernels.JACCARD,
    "common_cosine": kernels.COSINE_OF_COMMON,
    "adjusted_cosine": kernels.COSINE_OF_COMMON,
    "pearson": kernels.PEARSON,
    "pearson_baseline": kernels.COSINE_OF_COMMON,
    "msd": kernels.DISTANCE,
}
_BLOCK = 1 << 12  # rows between two steps of a progress bar


class Settings(NamedTuple):
    """What is computed of two rows: the measure, and what few common columns do to it."""

    similarity: str
    min_support: int
    shrinkage: float

    @property
    def measure(self) -> Measure:
        """What the kernel computes."""
        kind, fewest = _KINDS[self.similarity], self.min_support
        if self.similarity == "pearson_baseline":
            fewest = max(2, fewest)  # one common column would always give ±1
        if kind == kernels.DOT and (fewest > 1 or self.shrinkage > 0):
            kind = kernels.COUNTED_DOT
        return Measure(kind, fewest, float(self.shrinkage))

    def scales(self, rows: sparse.csr_array) -> np.ndarray:
        """The number that belongs to each row: its inverse norm, or how many entries it has."""
        if self.similarity == "jaccard":
            return np.diff(rows.indptr).astype(np.float64)
        if self.similarity != "cosine":
            return np.ones(rows.shape[0])
        numbers = row_numbers(rows)
        squares = np.bincount(numbers, rows.data.astype(np.float64) ** 2, rows.shape[0])
        return np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)


class Compared:
    """Rows that others, or they themselves, are compared with.

    rows    (rows, columns), as the measure sees them
    """

    def __init__(self, rows: sparse.csr_array, settings: Settings) -> None:
        self.rows, self.settings = rows, settings
        self._columns, self._scales = Sparse.of(transposed(rows)), settings.scales(rows)

    def problem(self, queries: sparse.csr_array | None = None) -> Problem:
        """The comparison of queries, by default of the rows, with all rows."""
        own = queries is None
        asked = self.rows if queries is None else queries
        scales = self._scales if own else self.settings.scales(asked)
        measure = self.settings.measure
        return Problem.of(Sparse.of(asked), self._columns, scales, self._scales, measure, own)

    def nearest(
        self, k: int, queries: sparse.csr_array | None = None, among: np.ndarray | None = None
    ) -> sparse.csr_array:
        """The k most similar rows to each of the queries, or to those numbered among them.

        (queries, rows), in each row in the order of the similarities, of which all are positive.
        """
        problem = self.problem(queries)
        count = problem.scales.size
        xs = np.arange(count) if among is None else among
        k = max(1, min(k, problem.others.size - problem.own))
        blocks = [xs[start : start + _BLOCK] for start in range(0, xs.size, _BLOCK)]
        found = [kernels.nearest(problem, b, k) for b in track(blocks, "comparing", len(blocks))]
        codes, values = (np.concatenate(part) for part in zip(*found, strict=True))
        present, sizes = codes >= 0, np.zeros(count, np.int64)
        sizes[xs] = np.count_nonzero(present, axis=1)
        starts = np.append(0, np.cumsum(sizes))
        shape = count, problem.others.size
        return sparse.csr_array((values[present], codes[present], starts), shape=shape)

    def nearest_again(
        self, k: int, before: sparse.csr_array, kept: sparse.csr_array
    ) -> sparse.csr_array:
        """The nearest of all rows, of which `kept` has those as the rows were before.

        Computed anew for rows that have changed, and those that have a column in common with one of
        them; for all others nothing has changed.
        """
        affected = _sharing(self.rows, _changed(before, self.rows))
        if not affected.any():
            return _resized(kept, (self.rows.shape[0],) * 2)
        anew = self.nearest(k, among=np.flatnonzero(affected))
        return _merged(_resized(kept, anew.shape), anew, affected)


def _changed(before: sparse.csr_array, now: sparse.csr_array) -> np.ndarray:
    """Which rows are not what they were.  None loses an entry."""
    before = _resized(before, now.shape)
    difference = now - before
    other = np.bincount(row_numbers(difference), difference.data != 0, now.shape[0]) > 0
    return other | (np.diff(now.indptr) != np.diff(before.indptr))


def _sharing(rows: sparse.csr_array, chosen: np.ndarray) -> np.ndarray:
    """Which rows are chosen, or have a column in common with one that is."""
    columns = np.zeros(rows.shape[1], bool)
    numbers = row_numbers(rows)
    columns[rows.indices[chosen[numbers]]] = True
    result = chosen.copy()
    result[numbers[columns[rows.indices]]] = True
    return result


def _resized(matrix: sparse.csr_array, shape: tuple[int, int]) -> sparse.csr_array:
    """The matrix with further rows and columns that are empty."""
    starts = np.append(matrix.indptr, np.full(shape[0] - matrix.shape[0], matrix.indptr[-1]))
    return sparse.csr_array((matrix.data, matrix.indices, starts), shape=shape)


def _merged(old: sparse.csr_array, new: sparse.csr_array, from_new: np.ndarray) -> sparse.csr_array:
    """The old rows, but some of them from the new matrix, in which all others are empty."""
    sizes = np.where(from_new, np.diff(new.indptr), np.diff(old.indptr))
    starts, is_new = np.append(0, np.cumsum(sizes)), np.repeat(from_new, sizes)
    stays = ~from_new[row_numbers(old)]
    indices, data = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    indices[is_new], data[is_new] = new.indices, new.data
    indices[~is_new], data[~is_new] = old.indices[stays], old.data[stays]
    return sparse.csr_array((data, indices, starts), shape=old.shape)
