"""Matrix factorisation with biases, by stochastic gradient descent.

For each rating r of item i by user u, with the error e = r − (μ + b_u + b_i + p·q):

    b_u += η·(e − λ·b_u),   p += η·(e·q − λ·p),   b_i += η·(e − λ·b_i),   q += η·(e·p − λ·q)

all with the values of before: a step against the gradient of ½e² + ½λ·(b_u² + b_i² + |p|² + |q|²).

    S. Funk.  Netflix update: Try this at home.  2006.
    Y. Koren, R. Bell, C. Volinsky.  Matrix factorization techniques for recommender systems.
    Computer 42(8), 2009.

Ratings come in strata (`recommend.strata`), so any number of threads gives the same bits.

Cost of a rating: 8·f flops; a row of each table is read and written.
"""

import numpy as np

from minidl.backends.kernels.prefetch import AHEAD, fetch_for_writing
from minidl.backends.kernels.recommend.strata import block_of, shuffle
from minidl.backends.kernels.runtime.kernel import chunk_bounds, inner, parallel, reassociating

TIME = 0.3  # nanoseconds of a factor of a rating on one thread


@parallel(
    "i64[blocks] i32[n] i32[n] f32[n] f32[users,width] f32[items,width] f32[users] f32[items] "
    "(f32 f32 f32 bool) (i64 i64 u64 u64)",
    wide=True,
)
def sgd_stratum(
    starts, users, items, ratings, p, q, b_u, b_i, settings, place, chunk, chunks
):  # fmt: skip
    """Go through the ratings of one stratum.

    starts      where each block of ratings starts, and where the last one stops
    settings    μ, η, λ, and whether there are biases
    place       the number of bands, the stratum, the key and the counter of random numbers
    """
    grid, stratum, key, counter = place
    begin, end = chunk_bounds(grid, chunk, chunks)
    for band in range(begin, end):
        block = block_of(band, stratum, grid)
        first, last = starts[block], starts[block + 1]
        shuffle(users, items, ratings, first, last, key, counter + np.uint64(first))
        for k in range(first, last):
            if k + AHEAD < last:
                fetch_for_writing(p[users[k + AHEAD]])
                fetch_for_writing(q[items[k + AHEAD]])
            u, i = users[k], items[k]
            _step(ratings[k], u, i, p[u], q[i], b_u, b_i, settings)


@inner
def _step(rating, u, i, p, q, b_u, b_i, settings):
    """The update for one rating."""
    mean, rate, regularization, biased = settings
    error = rating - mean - b_u[u] - b_i[i] - _product(p, q)
    if biased:
        b_u[u] += rate * (error - regularization * b_u[u])
        b_i[i] += rate * (error - regularization * b_i[i])
    for j in range(p.size):
        own, other = p[j], q[j]
        p[j] = own + rate * (error * other - regularization * own)
        q[j] = other + rate * (error * own - regularization * other)


@reassociating
def _product(p, q):
    """p·q."""
    total = np.float32(0)
    for j in range(p.size):
        total += p[j] * q[j]
    return total
