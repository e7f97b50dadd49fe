"""Losses in one pass."""

from typing import Any

import numpy as np
from numba import njit, prange

from minidl.backends import threads
from minidl.backends.kernels.runtime.compile import chunk_bounds, parallel
from minidl.backends.kernels.simd.math import exp_shifted32
from minidl.backends.window import is_number
from minidl.errors import BoundsError


def cross_entropy(
    logits: np.ndarray,
    target: np.ndarray,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """−log softmax(logits)[target] for float32 (N, C) and integers;   dlogits = softmax − one-hot.

    A row is read while it is in the cache: its largest element, the exponentials and their sum,
    and the probabilities, which are kept for the gradient.
    """
    kinds = logits.dtype == np.float32 and target.dtype.kind in "iu" and target.dtype != np.uint64
    if not kinds or logits.ndim != 2 or target.shape != logits.shape[:1] or not logits.size:
        return NotImplemented
    if weight is not None or not is_number(ignore_index):
        return NotImplemented
    if label_smoothing != 0 or reduction not in ("mean", "sum"):
        return NotImplemented
    probabilities = np.empty(logits.shape, np.float32)
    pieces = threads.pieces(1.2 * logits.size)
    loss, wrong, counted = _forward(logits, target, ignore_index, probabilities, pieces)
    if wrong >= 0:
        classes = logits.shape[1]
        raise BoundsError(
            f"index {target[wrong]} is outside 0 … {classes - 1}: target[{wrong}] must be one of "
            f"{classes} classes"
        )
    count = counted if reduction == "mean" else 1

    def dlogits(dy: Any) -> np.ndarray:
        gradient = np.empty(logits.shape, np.float32)
        pieces = threads.pieces(0.3 * logits.size)
        scale = np.float32(dy / max(count, 1))
        _backward(probabilities, target, ignore_index, scale, gradient, pieces)
        return gradient

    return np.asarray(loss / count if count else np.nan, np.float32), (dlogits, None)


@parallel
def _forward(logits, target, ignored, probabilities, pieces):
    """The sum of the losses, the first row whose class does not exist, or −1, and how many count.

    The losses are added up in the order of the rows, however these were shared out.
    """
    n, classes = logits.shape
    losses = np.empty(n)
    for piece in prange(pieces):
        start, stop = chunk_bounds(n, piece, pieces)
        for i in range(start, stop):
            exists = 0 <= target[i] < classes
            chosen = target[i] if exists else 0
            losses[i] = _row(logits[i], chosen, probabilities[i])
    total, counted = 0.0, 0
    for i in range(n):
        if target[i] == ignored:
            continue
        if target[i] < 0 or target[i] >= classes:
            return total, i, counted
        total += losses[i]
        counted += 1
    return total, -1, counted


@njit(inline="always")
def _row(logits, chosen, probabilities):
    """The loss of one row, and its probabilities."""
    largest, total = exp_shifted32(logits, probabilities)
    chunk_bounds = np.float32(1) / total
    for j in range(probabilities.size):
        probabilities[j] *= chunk_bounds
    return np.log(total) - (logits[chosen] - largest)


@parallel
def _backward(probabilities, target, ignored, scale, gradient, pieces):
    """gradient = scale·(probabilities − one-hot), and 0 in rows that do not count."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(target.size, piece, pieces)
        for i in range(start, stop):
            if target[i] == ignored:
                gradient[i] = 0
            else:
                _row_back(probabilities[i], target[i], scale, gradient[i])


@njit(inline="always")
def _row_back(probabilities, chosen, scale, gradient):
    for j in range(probabilities.size):
        gradient[j] = scale * probabilities[j]
    gradient[chosen] -= scale
