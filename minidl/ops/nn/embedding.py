"""Embeddings and one-hot vectors."""

from typing import Any

import numpy as np

from minidl.autograd.mode import no_grad
from minidl.autograd.primitive import composite
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_numbers, is_integer
from minidl.dtypes import dtype_of
from minidl.errors import ArgumentError, BoundsError, describe
from minidl.ops.counting import integer_tensor
from minidl.ops.creation import asarray, ones_like
from minidl.ops.elementwise import where
from minidl.ops.indexing import check_indices, take
from minidl.ops.linear_algebra.norms import vector_norm
from minidl.ops.manipulation import astype, expand_dims, flatten
from minidl.ops.options import extends
from minidl.ops.segments import segment_sum


def _with_options(operation: Any) -> Any:
    """Extend the look-up by what is done to the table before it, and to the gradient after it."""

    @extends(operation)
    def embedding(
        weight: Any,
        ids: Any,
        /,
        *,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Tensor:
        if max_norm is not None:
            limit_norms("embedding", weight, ids, max_norm, norm_type)
        y = operation(weight, ids, sparse=sparse)
        if scale_grad_by_freq is not False:
            check_flags("embedding", scale_grad_by_freq=scale_grad_by_freq)
            if y.requires_grad and scale_grad_by_freq:
                counts = counts_of_ids(asarray(ids), weight.shape[0])
                y.register_hook(lambda dy: dy / counts)
        if padding_idx is not None:
            row = padding_row("embedding", padding_idx, weight.shape[0])
            if y.requires_grad:
                is_padding = expand_dims(asarray(ids) == row, axis=-1)
                y.register_hook(lambda dy: where(is_padding, 0, dy))
        return y

    return embedding


@_with_options
@composite
def embedding(xp, weight, ids, /, *, sparse=False):
    """Row ids[…] of the table for each id;   dweight: dy added to each row.

    weight                (n, d), and the result has shape (*ids.shape, d)
    padding_idx           the id of padding, whose row gets no gradient; negative: from the end
    max_norm              used rows of a larger norm (Σ |w|ᵖ)^(1/p), p = norm_type, are first
                          rescaled to it, in place
    scale_grad_by_freq    divide a row's gradient by the count of its id among the ids
    sparse                let the gradient be a RowGradient, which holds the used rows only
    raises                BoundsError for an id outside 0 … n − 1

    >>> table = minidl.tensor([[0.0, 0.0], [1.0, 1.5], [2.0, 2.5]])
    >>> minidl.embedding(table, minidl.tensor([2, 1, 2]))
    Tensor([[2. , 2.5],
            [1. , 1.5],
            [2. , 2.5]], shape=(3, 2), float32)
    """
    check_flags("embedding", sparse=sparse)
    return xp.take(weight, xp.check_indices(ids, weight.shape[0]), axis=0)


def limit_norms(name: str, weight: Any, ids: Any, max_norm: float, norm_type: float) -> None:
    """Rescale the used rows of a larger norm to max_norm, in place."""
    check_numbers(name, above=0, max_norm=max_norm, norm_type=norm_type)
    with no_grad():
        table = asarray(weight)
        rows = embedding(table, ids)
        norms = vector_norm(rows, axis=-1, keepdims=True, ord=norm_type)
        rescaled = rows * (max_norm / (norms + 1e-7))  # PyTorch's guard against 0 / 0
        table[ids] = where(norms > max_norm, rescaled, rows)


def counts_of_ids(ids: Tensor, size: int) -> Tensor:
    """The count of each id among all: (…, 1)."""
    flat = flatten(ids)
    return expand_dims(take(segment_sum(ones_like(flat), flat, size), ids, axis=0), axis=-1)


def padding_row(name: str, padding_idx: Any, size: int) -> int:
    """The row of a padding_idx, which may be counted from the end."""
    if not is_integer(padding_idx) or not -size <= padding_idx < size:
        raise ArgumentError(
            f"{name}: padding_idx is a row of the {size}; got {describe(padding_idx)}"
        )
    return int(padding_idx) % size


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
    classes = asarray(np.arange(num_classes), device=ids.device)
    return astype(expand_dims(astype(ids, "int64"), axis=-1) == classes, dtype)
