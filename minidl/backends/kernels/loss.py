"""Losses in one pass."""

from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backends import threads
from minidl.backends.kernels.compile import parallel, share
from minidl.backends.kernels.vector_math import exponentials32
from minidl.errors import BoundsError


def cross_entropy(logits: np.ndarray, target: np.ndarray, *, reduction: str = "mean") -> Any:
    """−log softmax(logits)[target] for float32 (N, C) and integers;   dlogits = softmax − one-hot.

    A row is read while it is in the cache: its largest element, the exponentials and their sum,
    and the probabilities, which are kept for the gradient.
    """
    kinds = logits.dtype == np.float32 and target.dtype.kind in "iu"
    if not kinds or logits.ndim != 2 or target.shape != logits.shape[:1] or not logits.size:
        return NotImplemented
    if reduction not in ("mean", "sum"):
        return NotImplemented
    count = target.size if reduction == "mean" else 1
    probabilities = np.empty(logits.shape, np.float32)
    pieces = threads.pieces(1.2 * logits.size)
    loss, wrong = _forward(logits, target, probabilities, pieces)
    if wrong >= 0:
        raise BoundsError(f"index {target[wrong]} is outside 0 … {logits.shape[1] - 1}")

    def dlogits(dy: Any) -> np.ndarray:
        gradient = np.empty(logits.shape, np.float32)
        pieces = threads.pieces(0.3 * logits.size)
        _backward(probabilities, target, np.float32(dy / count), gradient, pieces)
        return gradient

    return np.asarray(loss / count, np.float32), (dlogits, None)


@parallel
def _forward(logits, target, probabilities, pieces):
    """The sum of the losses, and the first row whose class does not exist, or −1.

    The losses are added up in the order of the rows, however these were shared out.
    """
    n, classes = logits.shape
    losses = np.empty(n)
    for piece in prange(pieces):
        start, stop = share(n, piece, pieces)
        for i in range(start, stop):
            exists = 0 <= target[i] < classes
            chosen = target[i] if exists else 0
            losses[i] = _row(logits[i], chosen, probabilities[i])
    total = 0.0
    for i in range(n):
        if target[i] < 0 or target[i] >= classes:
            return total, i
        total += losses[i]
    return total, -1


@njit(inline="always")
def _row(logits, chosen, probabilities):
    """The loss of one row, and its probabilities."""
    largest, total = exponentials32(logits, probabilities)
    share = np.float32(1) / total
    for j in range(probabilities.size):
        probabilities[j] *= share
    return np.log(total) - (logits[chosen] - largest)


@parallel
def _backward(probabilities, target, scale, gradient, pieces):
    """gradient = scale·(probabilities − one-hot)."""
    for piece in prange(pieces):
        start, stop = share(target.size, piece, pieces)
        for i in range(start, stop):
            _row_back(probabilities[i], target[i], scale, gradient[i])


@njit(inline="always")
def _row_back(probabilities, chosen, scale, gradient):
    for j in range(probabilities.size):
        gradient[j] = scale * probabilities[j]
    gradient[chosen] -= scale
