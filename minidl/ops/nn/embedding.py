"""Embeddings and one-hot vectors."""

from typing import Any

from minidl.autograd.mode import no_grad
from minidl.autograd.primitive import primitive
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_numbers, is_integer
from minidl.dtypes import dtype_of
from minidl.errors import ArgumentError, BoundsError, DTypeError, describe
from minidl.ops.counting import integer_tensor
from minidl.ops.creation import arange, asarray
from minidl.ops.elementwise import where
from minidl.ops.indexing import check_indices
from minidl.ops.linear_algebra.norms import vector_norm
from minidl.ops.manipulation import astype, expand_dims
from minidl.ops.options import extends
from minidl.ops.sets import unique_all


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
        check_flags("embedding", scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
        if padding_idx is not None:
            padding_idx = padding_row("embedding", padding_idx, asarray(weight).shape[0])
        if max_norm is not None:
            limit_norms("embedding", weight, ids, max_norm, norm_type)
        y = operation(weight, ids, padding_idx=padding_idx, sparse=sparse)
        if scale_grad_by_freq and y.requires_grad:
            counts = counts_of_ids(asarray(ids))
            y.register_hook(lambda dy: dy / counts)
        return y

    return embedding


@_with_options
@primitive(None, of_complex=True)
def embedding(xp, weight, ids, /, *, padding_idx=None, sparse=False):
    """Row ids[…] of the table for each id;   dweight: dy added to each row.

    weight                (n, d), and the result has shape (*ids.shape, d)
    padding_idx           the id of padding, whose row gets no gradient; negative: from the end
    max_norm              used rows of a larger norm (Σ |w|ᵖ)^(1/p), p = norm_type, are first
                          rescaled to it, in place
    scale_grad_by_freq    divide a row's gradient by the count of its id among the ids
    sparse                let the gradient be a RowGradient, which holds the used rows only; it is
                          dense nevertheless in higher derivatives (`create_graph`).  A GPU is
                          waited for, as the host has to know how many rows there are; for
                          scale_grad_by_freq, too
    raises                BoundsError for an id outside 0 … n − 1

    >>> table = minidl.tensor([[0.0, 0.0], [1.0, 1.5], [2.0, 2.5]])
    >>> minidl.embedding(table, minidl.tensor([2, 1, 2]))
    Tensor([[2. , 2.5],
            [1. , 1.5],
            [2. , 2.5]], shape=(3, 2), float32)
    """
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"ids are integers; got {describe(ids)}")
    ids, shape = xp.check_indices(ids, weight.shape[0]), weight.shape

    def dweight(dy):
        used, rows, by_rows = ids, dy, sparse and weight.dtype.kind == "f"
        if padding_idx is not None:
            kept = ids != padding_idx
            if by_rows:
                used, rows = ids[kept], dy[kept]
            else:  # the same, but a GPU need not count the rows
                rows = xp.where(xp.expand_dims(kept, axis=-1), dy, 0)
        rows = xp.reshape(rows, (used.size, *shape[1:]))
        place = xp.row_gradient if by_rows else xp.scatter_at
        return place(rows, (xp.reshape(used, (used.size,)),), shape)

    return weight[ids], (dweight, None)


def limit_norms(name: str, weight: Any, ids: Any, max_norm: float, norm_type: float) -> None:
    """Rescale the used rows of a larger norm to max_norm, in place."""
    check_numbers(name, above=0, max_norm=max_norm, norm_type=norm_type)
    with no_grad():
        table = asarray(weight)
        rows = embedding(table, ids)
        norms = vector_norm(rows, axis=-1, keepdims=True, ord=norm_type)
        rescaled = rows * (max_norm / (norms + 1e-7))  # PyTorch's guard against 0 / 0
        table[ids] = where(norms > max_norm, rescaled, rows)


def counts_of_ids(ids: Tensor) -> Tensor:
    """The count of each id among all: (…, 1)."""
    found = unique_all(ids)
    return expand_dims(found.counts[found.inverse_indices], axis=-1)


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
    classes = arange(num_classes, device=ids.device)
    return astype(expand_dims(astype(ids, "int64"), axis=-1) == classes, dtype)
