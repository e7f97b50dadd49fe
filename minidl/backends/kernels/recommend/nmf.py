"""Non-negative matrix factorisation of the ratings that there are, by multiplicative updates.

For row u of the result, over its entries rₖ at columns iₖ, with yₖ = table[iₖ]:

    x_f ← x_f · Σ rₖ·yₖ_f / (Σ (x·yₖ)·yₖ_f + n·λ·x_f)

for all f with the x of before: what is not negative stays so, and Σ (r − x·y)² + n·λ·|x|² does not
grow.

    D. Lee, H. Seung.  Algorithms for non-negative matrix factorization.  NeurIPS 2000.
    X. Luo, M. Zhou, Y. Xia, Q. Zhu.  An efficient non-negative matrix-factorization-based approach
    to collaborative filtering for recommender systems.  IEEE TII 10(2), 2014.

Sums are added up in float64, row by row: any number of threads gives the same bits.

Cost of an entry: 6·f flops.
"""

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.prefetch import AHEAD, fetch
from minidl.backends.kernels.runtime.kernel import inner, parallel, reassociating

_TIME = 1.0  # nanoseconds of a factor of an entry


def update_rows(
    indptr: np.ndarray,
    indices: np.ndarray,
    ratings: np.ndarray,
    table: np.ndarray,
    regularization: float,
    x: np.ndarray,
) -> None:
    """Update each row of x, in place; those without entries stay."""
    chunks = threads.chunks(_TIME * ratings.size * table.shape[1])
    bounds = np.searchsorted(indptr, np.linspace(0, ratings.size, chunks + 1)[1:-1])
    bounds = np.concatenate([[0], bounds, [len(x)]])
    sums = np.empty((chunks, 2, table.shape[1]))
    _update_rows(bounds, indptr, indices, ratings, table, float(regularization), x, sums, chunks)


@parallel(
    "i64[bounds] i64[starts] i32[n] f32[n] f32[columns,width] f64 f32[rows,width] "
    "f64[chunks,two,width]",
    wide=True,
)
def _update_rows(
    bounds, indptr, indices, ratings, table, regularization, x, sums, chunk, chunks
):  # fmt: skip
    numerator, denominator = sums[chunk, 0], sums[chunk, 1]
    for row in range(bounds[chunk], bounds[chunk + 1]):
        first, last = indptr[row], indptr[row + 1]
        own, ridge = x[row], regularization * (last - first)
        for j in range(own.size):
            numerator[j] = 0
            denominator[j] = ridge * np.float64(own[j])
        for k in range(first, last):
            if k + AHEAD < last:
                fetch(table[indices[k + AHEAD]])
            _add(table[indices[k]], np.float64(ratings[k]), own, numerator, denominator)
        for j in range(own.size):
            if denominator[j] > 0:
                own[j] *= numerator[j] / denominator[j]


@inner
def _add(y, rating, x, numerator, denominator):
    """Add an entry to both sums."""
    score = _product(x, y)
    for j in range(y.size):
        numerator[j] += rating * np.float64(y[j])
        denominator[j] += score * np.float64(y[j])


@reassociating
def _product(x, y):
    """x·y in float64."""
    total = 0.0
    for j in range(x.size):
        total += np.float64(x[j]) * np.float64(y[j])
    return total
