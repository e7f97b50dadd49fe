"""The n largest numbers of each row, in order: each row is read once, and its best go to a heap."""

import math

import numpy as np

from minidl.backends.kernels.recommend.top_k import offer_all, sort
from minidl.backends.kernels.runtime.kernel import chunk_bounds, parallel

_LOWEST = np.float32(-math.inf)


@parallel("f32[rows,columns] i64[bounds] i32[entries] i32[rows,n] f32[rows,n]")
def largest(scores, bounds, seen, codes, values, chunk, chunks):
    """The n largest of each row, of equal ones the leftmost; −1 and −∞ where there are fewer.

    scores    where a column is among the row's `seen`, it is set to −∞; that and NaN are not chosen
    """
    start, stop = chunk_bounds(scores.shape[0], chunk, chunks)
    for i in range(start, stop):
        row, heap = scores[i], (codes[i], values[i])
        for k in range(bounds[i], bounds[i + 1]):
            row[seen[k]] = _LOWEST
        size = offer_all(heap, row, _LOWEST)
        sort(heap, size)
        codes[i, size:], values[i, size:] = -1, _LOWEST
