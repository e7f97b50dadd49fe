"""Losses in one pass."""

from typing import Any

import numpy as np
from numba import njit

from minidl.backends.kernels.compile import compiled
from minidl.backends.kernels.vector_math import exp32
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
    loss, wrong = _forward(logits, target, probabilities)
    if wrong >= 0:
        raise BoundsError(f"index {target[wrong]} is outside 0 … {logits.shape[1] - 1}")

    def dlogits(dy: Any) -> np.ndarray:
        gradient = np.empty(logits.shape, np.float32)
        _backward(probabilities, target, np.float32(dy / count), gradient)
        return gradient

    return np.asarray(loss / count, np.float32), (dlogits, None)


@njit(fastmath={"reassoc", "contract"}, nogil=True)
def _sum(x):
    """Σ x, in any order."""
    total = np.float32(0)
    for i in range(x.size):
        total += x[i]
    return total


@njit(nogil=True)
def _largest(x):
    """The largest element, or anything where one is NaN: the loss is NaN then in any case.

    Four are followed at a time, so that no comparison waits for the one before.
    """
    a = b = c = d = x[0]
    whole = x.size - x.size % 4
    for i in range(0, whole, 4):
        a = x[i] if x[i] > a else a
        b = x[i + 1] if x[i + 1] > b else b
        c = x[i + 2] if x[i + 2] > c else c
        d = x[i + 3] if x[i + 3] > d else d
    for i in range(whole, x.size):
        a = x[i] if x[i] > a else a
    return max(max(a, b), max(c, d))


@compiled
def _forward(logits, target, probabilities):
    """The sum of the losses, and the first row whose class does not exist, or −1."""
    n, classes = logits.shape
    loss = 0.0
    for i in range(n):
        chosen = target[i]
        if chosen < 0 or chosen >= classes:
            return loss, i
        row, p = logits[i], probabilities[i]
        largest = _largest(row)
        for j in range(classes):
            p[j] = exp32(row[j] - largest)
        total = _sum(p)
        loss += np.log(total) - (row[chosen] - largest)
        share = np.float32(1) / total
        for j in range(classes):
            p[j] *= share
    return loss, -1


@compiled
def _backward(probabilities, target, scale, gradient):
    """gradient = scale·(probabilities − one-hot)."""
    n, classes = probabilities.shape
    for i in range(n):
        for j in range(classes):
            gradient[i, j] = scale * probabilities[i, j]
        gradient[i, target[i]] -= scale
