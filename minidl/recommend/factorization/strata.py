"""Ratings in a grid of blocks, for stochastic gradient descent by any number of threads."""

from typing import NamedTuple

import numpy as np

_MOST_BANDS = 16
_PER_BLOCK = 4096  # ratings that are worth waiting for the other threads afterwards


class Strata(NamedTuple):
    """Ratings by blocks: bands of users × bands of items (`kernels.recommend.strata`).

    The bands are drawn, and have about the same number of ratings.  How many there are depends on
    the number of ratings alone.
    """

    grid: int
    starts: np.ndarray  # (grid² + 1,), int64
    users: np.ndarray  # (n,), int32
    items: np.ndarray  # (n,), int32
    ratings: np.ndarray  # (n,), float32

    @classmethod
    def of(
        cls, users: np.ndarray, items: np.ndarray, ratings: np.ndarray, rng: np.random.Generator
    ) -> "Strata":
        """The ratings, sorted by blocks."""
        grid = int(np.clip(np.sqrt(users.size / _PER_BLOCK), 1, _MOST_BANDS))
        blocks = _bands(users, grid, rng)[users] * grid + _bands(items, grid, rng)[items]
        order = np.argsort(blocks, kind="stable")
        starts = np.append(0, np.cumsum(np.bincount(blocks, minlength=grid**2)))
        return cls(grid, starts, users[order], items[order], ratings[order])


def _bands(codes: np.ndarray, grid: int, rng: np.random.Generator) -> np.ndarray:
    """The band of each code, int16."""
    counts = np.bincount(codes)
    order = rng.permutation(counts.size)
    middles = np.cumsum(counts[order]) - counts[order] / 2
    bands = np.empty(counts.size, np.int16)
    bands[order] = np.minimum(middles * grid / codes.size, grid - 1)
    return bands
