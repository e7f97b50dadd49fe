"""Rows of a table."""

from typing import Any

import numpy as np

from minidl.backends import cpu
from minidl.backends.kernels.compile import compiled
from minidl.backends.rows import RowGradient


def embedding(weight: np.ndarray, ids: np.ndarray, *, sparse: bool = False) -> Any:
    """weight[ids];   the gradient: each row gets its dy, added up, or a RowGradient if sparse."""
    if weight.ndim != 2 or weight.dtype.char not in "fd" or ids.dtype.kind not in "iu":
        return NotImplemented
    rows = cpu.check_indices(ids, weight.shape[0]).reshape(-1)
    shape = weight.shape

    def dweight(dy: np.ndarray) -> Any:
        dy = dy.reshape(rows.size, shape[1])
        if sparse:
            return RowGradient(cpu, rows, dy, shape)
        gradient = np.zeros(shape, dy.dtype)
        _add_rows(gradient, rows, dy)
        return gradient

    return weight[ids], (dweight, None)


@compiled
def _add_rows(table, rows, values):
    """table[rows[i]] += values[i], for one i after the other."""
    for i in range(rows.size):
        row = rows[i]
        for j in range(values.shape[1]):
            table[row, j] += values[i, j]
