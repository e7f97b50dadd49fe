"""Rows of a table."""

from typing import Any

import numpy as np

from minidl.backends import cpu
from minidl.backends.rows import RowGradient


def embedding(weight: np.ndarray, ids: np.ndarray, *, sparse: bool = False) -> Any:
    """weight[ids];   the gradient: each row gets its dy, added up, or a RowGradient if sparse."""
    if weight.ndim != 2 or ids.dtype.kind not in "iu":
        return NotImplemented
    rows = cpu.check_indices(ids, weight.shape[0]).reshape(-1)

    def dweight(dy: np.ndarray) -> Any:
        gradient = RowGradient(cpu, rows, dy.reshape(-1, weight.shape[1]), weight.shape)
        return gradient if sparse else gradient.dense()

    return weight[ids], (dweight, None)
