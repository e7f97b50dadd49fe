"""Fully connected layers."""

from typing import Any

import numpy as np


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """y = x·Wᵀ + b for a matrix x;   dx = dy·W,   dW = dyᵀ·x,   db = Σ dy.

    The bias is added in place, and its gradient summed here: small layers are mostly overhead.
    """
    arrays = type(x) is type(weight) is np.ndarray
    if not arrays or x.ndim != 2 or x.shape[1:] != weight.shape[1:] or x.dtype.kind != "f":
        return NotImplemented
    y = x.dot(weight.T)
    if bias is not None:
        if bias.shape != y.shape[1:]:
            return NotImplemented
        y += bias
    return y, (
        lambda dy: dy.dot(weight),
        lambda dy: dy.T.dot(x),
        lambda dy: np.add.reduce(dy, axis=0),
    )
