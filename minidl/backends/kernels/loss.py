"""Losses in one pass."""

from typing import Any

import numpy as np

from minidl.backends import cpu


def cross_entropy(logits: np.ndarray, target: np.ndarray, *, reduction: str = "mean") -> Any:
    """−log softmax(logits)[target] for (N, C) and integer targets;   dlogits = softmax − one-hot.

    The softmax is computed once, for the value and for the gradient.
    """
    plain = logits.ndim == 2 and logits.dtype.kind == "f" and target.dtype.kind in "iu"
    if not plain or target.shape != logits.shape[:1] or reduction not in ("mean", "sum"):
        return NotImplemented
    n, classes = logits.shape
    chosen = np.arange(n), cpu.check_indices(target, classes)
    shifted = logits - cpu.max(logits, axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = cpu.sum(exponentials, axis=1)
    loss = cpu.sum(np.log(totals) - shifted[chosen], axis=None)
    count = n if reduction == "mean" else 1

    def dlogits(dy: Any) -> np.ndarray:
        share = dy / count
        gradient = exponentials * (share / totals)[:, None]
        gradient[chosen] -= share
        return gradient

    return loss * (1 / count if count else np.nan), (dlogits, None)
