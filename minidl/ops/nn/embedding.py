"""Embeddings and one-hot vectors."""

from typing import Any

import numpy as np

from minidl.autograd.primitive import composite
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, is_integer
from minidl.dtypes import dtype_of
from minidl.errors import ArgumentError, BoundsError
from minidl.ops.counting import integer_tensor
from minidl.ops.creation import asarray
from minidl.ops.indexing import check_indices
from minidl.ops.manipulation import astype, expand_dims


@composite
def embedding(xp, weight, ids, /, *, sparse=False):
    """Row ids[…] of the table for each id;   dweight: dy added to each row.

    weight    (n, d), and the result has shape (*ids.shape, d)
    sparse    let the gradient be a RowGradient, which holds the used rows only
    raises    BoundsError for an id outside 0 … n − 1

    >>> table = minidl.tensor([[0.0, 0.0], [1.0, 1.5], [2.0, 2.5]])
    >>> minidl.embedding(table, minidl.tensor([2, 1, 2]))
    Tensor([[2. , 2.5],
            [1. , 1.5],
            [2. , 2.5]], shape=(3, 2), float32)
    """
    check_flags("embedding", sparse=sparse)
    return xp.take(weight, xp.check_indices(ids, weight.shape[0]), axis=0)


def one_hot(ids: Any, /, num_classes: int | None = None, *, dtype: Any = "int64") -> Tensor:
    """y[…, c] = 1 where ids[…] is c, else 0: (…) → (…, num_classes).

    num_classes    default: the largest id + 1
    dtype          int64, as in PyTorch; losses need "float32"

    Ids outside 0 … num_classes − 1 are a BoundsError.

    >>> minidl.one_hot(minidl.tensor([0, 2]), 3)
    Tensor([[1, 0, 0],
            [0, 0, 1]], shape=(2, 3), int64)
    """
    ids = integer_tensor("one_hot", "ids", ids)
    if num_classes is None:
        num_classes = int(ids.max().item()) + 1 if ids.size else 0
    if not is_integer(num_classes) or num_classes < 0:
        raise ArgumentError(f"one_hot: num_classes is a number ≥ 1; got {num_classes!r:.60}")
    dtype = dtype_of(dtype, "one_hot")
    try:
        check_indices(ids, num_classes)
    except BoundsError as error:
        raise BoundsError(f"one_hot: {error}") from None
    classes = asarray(np.arange(num_classes, dtype=ids.dtype), device=ids.device)
    return astype(expand_dims(ids, axis=-1) == classes, dtype)
