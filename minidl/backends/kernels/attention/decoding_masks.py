"""Which keys the rows of `attention.decoding` see: their masks, and where the values lie.

A row is a query of a head.  Those of all heads that share a head of keys are numbered through.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.runtime.kernel import carray, inlined, inner
from minidl.backends.kernels.simd.intrinsics import LANES, address_of, pointer

_ZERO, _NEVER = np.float32(0), np.float32(-np.inf)


class Problem(NamedTuple):
    """The operands, (batch, heads, length, size) with any strides, and the settings."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    visible: np.ndarray  # the mask, if it is one of bools, as bytes: (batch, heads, L, S)
    bias: np.ndarray  # the mask, if it is one of floats; either may be empty
    is_causal: bool
    scale: np.float32


class Rows(NamedTuple):
    """Queries that share keys: so many, from `first` on, of the heads of one head of keys."""

    batch: int
    group: int
    first: int
    length: int


class Keys(NamedTuple):
    """The keys of a span that some row sees, and how many were left out before them."""

    first: int
    length: int
    skipped: int


OPERANDS = "(f32[~b,h,l,e] f32[~b,h,s,e] f32[~b,h,s,v] u8[~b,h,l,s] f32[~b,h,l,s] bool f32)"


@inner
def named(problem):
    """The tuple with its names again."""
    query, key, value, visible, bias, is_causal, scale = problem
    return Problem(query, key, value, visible, bias, is_causal, scale)


@inner
def seen_keys(problem, rows, begin, end, own, offsets, masked):
    """The keys without those at both ends that no row sees; the masks and offsets are filled.

    offsets    of each value of the span, or of the zeros, and those again for a full vector
    """
    count, stride = end - begin, problem.value.strides[2] // 4
    no_value = (address_of(own.zeros) - address_of(problem.value[rows.batch, rows.group])) // 4
    for k in range(count):
        offsets[k] = no_value if masked else (begin + k) * stride
    if masked:
        for row in range(rows.length):
            mask = own.mask[row, :count]
            _fill_mask(problem, rows, row, begin, mask)
            for k in range(count):
                offsets[k] = offsets[k] if mask[k] == _NEVER else (begin + k) * stride
    first, last = 0, count
    while first < last and offsets[first] == no_value:
        first += 1
    while first < last and offsets[last - 1] == no_value:
        last -= 1
    for lane in range(LANES):
        offsets[last + lane] = no_value
    return Keys(begin + first, last - first, first)


@inner
def _fill_mask(problem, rows, row, begin, mask):
    """What is added to the logits of a row, from key `begin` on."""
    head, query = place(problem, rows, row)
    count = mask.size
    if problem.visible.size:
        _fill_from_bools(problem.visible[rows.batch, head, query, begin : begin + count], mask)
    elif problem.bias.size:
        bias = problem.bias[rows.batch, head, query]
        for k in range(count):
            mask[k] = bias[begin + k]
    else:
        mask[:] = 0
    if problem.is_causal:
        mask[max(0, query + 1 - begin) :] = _NEVER


@inner
def _fill_from_bools(visible, mask):
    """0 where the mask is True, −inf elsewhere; LLVM needs to know that bytes are contiguous."""
    if visible.strides[0] == 1:
        line = carray(pointer(visible, 0), visible.size)
        for k in range(mask.size):
            mask[k] = _ZERO if line[k] else _NEVER
    else:
        mask[:] = _ZERO if visible[0] else _NEVER


@inlined
def place(problem, rows, row):
    """The head and the number of a query."""
    length = problem.query.shape[2]
    index = rows.first + row
    heads = problem.query.shape[1] // problem.key.shape[1]
    return rows.group * heads + index // length, index % length
