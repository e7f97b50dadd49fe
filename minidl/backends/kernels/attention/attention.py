"""Scaled dot-product attention: the entry point of its kernels, forward and backward.

They take queries, keys and values with any strides, as the heads of a Transformer have them: views
of (batch, length, heads·size), reshaped and transposed.  The results lie in memory as the operands
do, so that the transposition and the reshape that follow are views, too.
"""

import math
from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.joint import Joint
from minidl.backends.kernels.attention import backward, decoding, forward
from minidl.backends.kernels.attention.blocks import (
    FLUSH,
    QUERIES,
    Problem,
    chunk_offsets,
    like,
    masking_size,
    query_blocks,
    tables,
)
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.micro_kernel import MULTIPLY_ADDS_PER_NS
from minidl.backends.mode import current

_F, _U = np.float32, np.uint64
_NO_DROPOUT = _F(0), _F(1), _U(0), _U(0)
_NO_BYTES, _NO_FLOATS = np.empty((0, 0, 0, 0), np.uint8), np.empty((0, 0, 0, 0), _F)


def scaled_dot_product_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    attn_mask: np.ndarray | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    dropout_key: tuple[int, int] | None = None,
) -> Any:
    """y = softmax(q·kᵀ·scale + mask)·v."""
    if not _suit(query, key, value, enable_gqa):
        return NotImplemented
    masks = _mask(attn_mask, (*query.shape[:-1], key.shape[-2]))
    dropout = _dropout(dropout_p, dropout_key, query, key)
    if masks is None or dropout is None or type(is_causal) is not bool:
        return NotImplemented
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1])
    elif type(scale) not in (int, float) or not math.isfinite(scale):
        return NotImplemented
    heads = _heads(query), _heads(key), _heads(value)
    few = query.shape[-2] <= decoding.MOST_QUERIES
    if few and not dropout_p and not current.get().record:
        return _as_given(decoding.attend(*heads, masks, is_causal, scale), query), None
    problem = _problem(heads, masks, is_causal, scale, dropout)
    y = like(heads[0], value.shape[-1])
    statistics = _attend(problem, y)

    def pullback(needed: tuple[bool, ...], dy: np.ndarray) -> tuple[np.ndarray | None, ...]:
        mask_shape = () if attn_mask is None else attn_mask.shape
        four = (1,) * (4 - len(mask_shape)) + mask_shape
        gradients = backward.gradients(problem, y, statistics, _heads(dy), needed, four)
        shapes = query.shape, key.shape, value.shape, mask_shape
        return tuple(
            dx if dx is None or dx.shape == shape else dx.reshape(shape)  # a view is copied later
            for dx, shape in zip(gradients, shapes, strict=True)
        )

    return _as_given(y, query), Joint(pullback)


def _suit(query: Any, key: Any, value: Any, enable_gqa: bool) -> bool:
    """Whether the kernels are for these operands, whose heads match without broadcasting."""
    if not are_arrays("f", query, key, value) or type(enable_gqa) is not bool:
        return False
    of_query, of_key, of_value = query.shape, key.shape, value.shape
    if len(of_query) < 2 or 0 in of_query or 0 in of_key or 0 in of_value:
        return False
    if len(of_query) != len(of_key) or of_key[:-1] != of_value[:-1] or of_query[-1] != of_key[-1]:
        return False
    if of_query[:-2] == of_key[:-2]:
        return True
    if of_query[:-3] != of_key[:-3]:
        return False
    return of_query[-3] % of_key[-3] == 0 and (enable_gqa or of_key[-3] == 1)


def _heads(x: np.ndarray) -> np.ndarray:
    """x as (batch, heads, length, size), with contiguous rows, one behind the other."""
    if x.ndim != 4:
        x = x[(None,) * (4 - x.ndim)] if x.ndim < 4 else x.reshape(-1, *x.shape[-3:])
    strides = x.strides
    whole = strides[3] == x.itemsize and strides[2] >= 0 and x.flags.aligned
    return x if whole else np.array(x, order="C")


def _as_given(y: np.ndarray, query: np.ndarray) -> np.ndarray:
    """y with the axes that the query was given with."""
    return y if query.ndim == 4 else y.reshape(*query.shape[:-1], y.shape[-1])


def _mask(mask: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """The mask as bytes or floats, broadcast to four axes; None: not for kernels."""
    if mask is None:
        return _NO_BYTES, _NO_FLOATS
    if type(mask) is not np.ndarray or mask.dtype.char not in "?f" or not mask.dtype.isnative:
        return None
    if mask.ndim > len(shape) or mask.ndim > 4 or len(shape) > 4 and mask.ndim > 3:
        return None
    if any(n not in (1, full) for n, full in zip(mask.shape[::-1], shape[::-1], strict=False)):
        return None
    whole = mask.ndim == 0 or mask.shape[-1] == 1 or mask.strides[-1] == mask.itemsize
    if not whole or any(stride % mask.itemsize for stride in mask.strides):
        mask = np.array(mask, order="C")
    four = (1, 1, *shape) if len(shape) < 4 else (math.prod(shape[:-3]), *shape[-3:])
    mask = np.broadcast_to(mask, four[-4:])
    return (mask.view(np.uint8), _NO_FLOATS) if mask.dtype.char == "?" else (_NO_BYTES, mask)


def _dropout(
    p: Any, dropout_key: Any, query: np.ndarray, key: np.ndarray
) -> tuple[np.float32, np.float32, np.uint64, np.uint64] | None:
    """The probability, the factor of what is kept, seed and offset; None: not for kernels."""
    if type(p) not in (int, float) or not 0 <= p < 1:
        return None
    if p == 0:
        return _NO_DROPOUT
    count = query.size // query.shape[-1] * key.shape[-2]  # of the weights
    if dropout_key is None:
        return None
    seed, offset = dropout_key
    if not (0 <= seed < 2**64 and 0 <= offset < 2**64 - count):
        return None
    return _F(p), _F(1 / (1 - p)), _U(seed), _U(offset)


def _problem(
    heads: tuple[np.ndarray, np.ndarray, np.ndarray],
    masks: tuple[np.ndarray, np.ndarray],
    is_causal: bool,
    scale: float,
    dropout: tuple[np.float32, np.float32, np.uint64, np.uint64],
) -> Problem:
    query, key, value = heads
    strides = key.strides[2] // key.itemsize, value.strides[2] // value.itemsize
    offsets = tables(key.shape[2], (key.shape[3], value.shape[3]), strides)
    dropped, kept, seed, offset = dropout
    return Problem(
        *(query, key, value, *masks, is_causal, _F(scale), dropped, kept, seed, offset, offsets)
    )


def _attend(problem: Problem, y: np.ndarray) -> np.ndarray:
    """Write y; returned are the statistics that the gradients need."""
    batch, heads, length, value_size = y.shape
    sizes = problem.query.shape[3], value_size
    work = y.size * problem.key.shape[2] * sum(sizes) / value_size
    if problem.is_causal:
        work /= 2
    units = batch * heads * query_blocks(length)
    chunks = min(threads.chunks(work / MULTIPLY_ADDS_PER_NS), units)
    offsets = chunk_offsets(problem, chunks)
    size = forward.workspace_size(sizes) + (masking_size(sizes) if offsets.size else 0)
    statistics = np.empty((batch, heads, 2, length), _F)
    forward._forward(
        problem,
        y,
        statistics,
        scratch(chunks, size),
        np.empty((chunks, QUERIES)),
        np.empty((chunks, value_size if problem.key.shape[2] > FLUSH else 0, QUERIES)),
        offsets,
        chunks,
    )
    return statistics
