"""Softmax cross-entropy, fused: the loss of a row and its probabilities while it is in the cache.

    loss = log Σⱼ exp(zⱼ − m) − (z_target − m), m = max z;   dz = (softmax z − one-hot) · dy

No array of log-probabilities is made: a row of logits is read once, and its probabilities, which
are the gradient but for one element, are written.

Saved are the probabilities.  Cost: 8 bytes an element each way; one exp an element forward.
"""

from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import (
    as_contiguous,
    chunk_bounds,
    compiled,
    inlined,
    parallel,
)
from minidl.backends.kernels.simd.math import exp_shifted32, log32
from minidl.checks import is_integer
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
    """−log softmax(logits)[target] for logits (N, C), float32;   dlogits = softmax − one-hot."""
    if not are_arrays("f", logits) or logits.ndim != 2 or not logits.size:
        return NotImplemented
    if target.dtype.kind not in "iu" or target.dtype == np.uint64:
        return NotImplemented
    if target.shape != logits.shape[:1]:
        return NotImplemented
    if weight is not None or not is_integer(ignore_index):
        return NotImplemented
    if label_smoothing != 0 or reduction not in ("mean", "sum"):
        return NotImplemented
    ignored = int(ignore_index)
    if not -(2**63) <= ignored < 2**63:
        return NotImplemented
    target = np.ascontiguousarray(target, np.int64)
    classes = logits.shape[1]
    losses, probabilities = np.empty(target.size), np.empty(logits.shape, np.float32)
    chunks = threads.chunks(1.2 * logits.size)
    _forward(as_contiguous(logits), target, losses, probabilities, chunks)
    loss, wrong, counted = _total(losses, target, ignored, classes)
    if wrong >= 0:
        raise BoundsError(
            f"index {target[wrong]} is outside 0 … {classes - 1}: target[{wrong}] must be one of "
            f"{classes} classes"
        )
    count = counted if reduction == "mean" else 1

    def dlogits(dy: Any) -> np.ndarray:
        gradient = np.empty(logits.shape, np.float32)
        chunks = threads.chunks(0.3 * logits.size)
        scale = np.float32(dy / max(count, 1))
        _backward(probabilities, target, ignored, scale, gradient, chunks)
        return gradient

    return np.asarray(loss / count if count else np.nan, np.float32), (dlogits, None)


@parallel("f32[n,classes] i64[n] f64[n] f32[n,classes]", then=["_total", "_backward"])
def _forward(logits, target, losses, probabilities, chunk, chunks):
    """The loss of each row, one of any class where the target does not exist."""
    n, classes = logits.shape
    start, stop = chunk_bounds(n, chunk, chunks)
    for i in range(start, stop):
        exists = 0 <= target[i] < classes
        label = target[i] if exists else 0
        losses[i] = _row(logits[i], label, probabilities[i])


@compiled("f64[n] i64[n] i64 i64")
def _total(losses, target, ignored, classes):
    """The sum of the losses, the first row whose class does not exist, or −1, and the rows counted.

    They are added up in the order of the rows, so that the sum does not depend on the chunks.
    """
    total, counted = 0.0, 0
    for i in range(losses.size):
        if target[i] == ignored:
            continue
        if target[i] < 0 or target[i] >= classes:
            return total, i, counted
        total += losses[i]
        counted += 1
    return total, -1, counted


@inlined
def _row(logits, label, probabilities):
    """The loss of one row, and its probabilities."""
    largest, total = exp_shifted32(logits, probabilities)
    scale = np.float32(1) / total
    for j in range(probabilities.size):
        probabilities[j] *= scale
    return log32(total) - (logits[label] - largest)


@parallel("f32[n,classes] i64[n] i64 f32 f32[n,classes]")
def _backward(probabilities, target, ignored, scale, gradient, chunk, chunks):
    """gradient = scale·(probabilities − one-hot), and 0 in ignored rows, or if the scale is 0."""
    start, stop = chunk_bounds(target.size, chunk, chunks)
    for i in range(start, stop):
        if target[i] == ignored or scale == 0:
            gradient[i] = 0
        else:
            _row_back(probabilities[i], target[i], scale, gradient[i])


@inlined
def _row_back(probabilities, label, scale, gradient):
    for j in range(probabilities.size):
        gradient[j] = scale * probabilities[j]
    gradient[label] -= scale
