"""EASE: a linear model from items to items, solved in closed form."""

from pathlib import Path
from typing import Self

import numpy as np
from scipy import linalg

from minidl.backends import host
from minidl.backends.kernels.recommend.neighbors import Sparse, product
from minidl.checks import check_numbers
from minidl.errors import ArgumentError
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import transposed
from minidl.recommend.neighbors.neighbors import largest, scored
from minidl.recommend.recommender import Explanation, Recommender

_ROWS = 512  # that are computed at a time
_BYTES = 12  # for each pair of items: a float64 that is inverted, and the float32 weight


class EASE(Recommender):
    """Scores X·B, where B minimises ‖X − X·B‖² + λ‖B‖² with a diagonal of zeros.

    X are the interactions (users, items), or the ratings as they are given.  In closed form, with
    P = (XᵀX + λI)⁻¹:  B_ij = −P_ij / P_jj, and 0 on the diagonal.

    **Memory is 12 bytes for each pair of items**, and time items³/3 multiply-adds, however few
    interactions there are: a few ten thousand items at most.  More than the machine has free is an
    ArgumentError that names the number of bytes.  Users cost nothing: `fold_in` is exact, and
    `partial_fit` solves anew.

    regularization    λ > 0; the more, the fewer interactions there are.  The paper has 200 to 1000
                      for 10⁵ users and more

    H. Steck: Embarrassingly shallow autoencoders for sparse data, WWW 2019.

    >>> from minidl.recommend import EASE
    >>> met = ["ann", "ann", "ben", "ben", "cid"], ["tea", "cup", "tea", "cup", "tea"]
    >>> model = EASE(1.0).fit(met)
    >>> model.recommend("cid", 1)
    [Scored(id='cup', score=0.5)]
    """

    RATES = False
    FITTED = ("weights", "inputs")

    def __init__(self, regularization: float = 200.0) -> None:
        check_numbers(self, above=0, finite=True, regularization=regularization)
        self.regularization = regularization

    def _fit(self, data: Interactions) -> None:
        _check_memory(len(data.items))
        self.weights, self.inputs = self._solved(data), data.matrix

    def _solved(self, data: Interactions) -> np.ndarray:
        """B, (items, items), float32."""
        inverse = _gram(data)
        inverse[np.diag_indices_from(inverse)] += self.regularization
        inverse = _inverted(inverse)
        diagonal = inverse.diagonal().copy()
        weights = np.empty(inverse.shape, np.float32)
        for block in _blocks(len(weights)):
            weights[block] = inverse[block] / -diagonal
        np.fill_diagonal(weights, 0)
        return weights

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        self._fit(data)

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(self.regularization)
        folded.weights, folded.inputs = self.weights, data.matrix
        return folded

    def _scores(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self.inputs[users] @ self.weights, np.float32)

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        known = (users >= 0) & (items >= 0)
        result = np.zeros(users.size, np.float32)
        result[known] = super()._pairs(users[known], items[known])
        return result

    def _similar_items(self, items: np.ndarray) -> np.ndarray:
        return self.weights[items].copy()

    def _explain(self, user: int, item: int, n: int) -> Explanation:
        own = self.inputs[[user]]
        parts = own.data * self.weights[own.indices, item]
        return Explanation("liked", scored(self.items, largest(own.indices, parts, n)))


def _gram(data: Interactions) -> np.ndarray:
    """XᵀX, float64, in Fortran's order, for LAPACK."""
    rows, columns = transposed(data.matrix), Sparse.of(data.matrix)
    gram = np.empty((rows.shape[0],) * 2, order="F")
    for block in _blocks(len(gram)):
        gram[:, block] = product(Sparse.of(rows[block]), columns, len(gram)).T
    return gram


def _inverted(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a positive definite matrix, in its place: by Cholesky's factorisation."""
    matrix, failed = linalg.lapack.dpotrf(matrix, lower=1, overwrite_a=1, clean=0)
    if not failed:
        matrix, failed = linalg.lapack.dpotri(matrix, lower=1, overwrite_c=1)
    if failed:
        raise ArgumentError("EASE: XᵀX + λI is singular in float64; give more regularization")
    for block in _blocks(len(matrix)):
        matrix[block, block.stop :] = matrix[block.stop :, block].T
        square = matrix[block, block]
        square[:] = np.tril(square) + np.tril(square, -1).T
    return matrix


def _blocks(count: int) -> list[slice]:
    return [slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS)]


def _check_memory(items: int) -> None:
    """Raise ArgumentError if the matrices cannot fit."""
    needed, free = _BYTES * items**2, _free_memory()
    if free is not None and needed > free:
        raise ArgumentError(
            f"EASE: {items:,} items need {needed:,} bytes of memory, 12 for each pair of them, and "
            f"{free:,} are free; leave out rare items, or use ItemKNN, whose memory grows with the "
            "interactions"
        )


def _free_memory() -> int | None:
    """The bytes of memory that are free, or can be made so; None if the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable"))
        return int(kibibytes) << 10
    except (OSError, StopIteration, ValueError):  # no Linux
        return host.memory("cpu").get("total")
