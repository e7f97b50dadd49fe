"""What the recurrent kernels share in Python: which arguments they take, what is saved, blocks."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.recurrent import panels
from minidl.backends.kernels.recurrent.panels import padded, panel_count
from minidl.backends.kernels.recurrent.steps import Block, Steps, Tables, Weights
from minidl.backends.kernels.recurrent.weight_gradient import BLOCK, WeightGradient
from minidl.backends.kernels.runtime.guard import are_arrays
from minidl.backends.kernels.runtime.kernel import as_contiguous
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    pad_to_tiles,
)
from minidl.backends.mode import current
from minidl.backends.recurrent import shapes_fit

_NO_MASK = np.empty((0, 0), np.bool_)
_NO_MATRIX = np.empty((0, 0), np.float32)
_NO_PANELS = np.empty(0, np.float32)
NO_STACK = np.empty((0, 0, 0), np.float32)
_FEW_ROWS = 6  # rows of all steps together that are not worth packing for


def suits(
    gates: int,
    x: Any,
    h: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    mask: Any,
    reverse: Any,
    c: Any = None,
    weight_hr: Any = None,
) -> bool:
    """Whether the kernels are for these arguments; the composite judges any others."""
    optional = bias_ih, bias_hh, c, weight_hr
    if not are_arrays("f", x, h, weight_ih, weight_hh, optional=optional):
        return False
    if type(reverse) is not bool or mask is not None and not _is_mask(mask):
        return False
    return shapes_fit(gates, x, h, weight_ih, weight_hh, bias_ih, bias_hh, mask, c, weight_hr)


def _is_mask(mask: Any) -> bool:
    return type(mask) is np.ndarray and mask.dtype.char == "?"


class Sequence(NamedTuple):
    """A call: its arguments in the layout of the kernels, and what is saved for backward.

    length, rows       T and N
    inputs, outputs    the elements of an x, and of an h
    """

    length: int
    rows: int
    inputs: int
    outputs: int
    steps: Steps
    weight_ih: np.ndarray
    weight_hh: np.ndarray
    weight_hr: np.ndarray  # or empty
    y: np.ndarray
    recorded: bool

    @property
    def few(self) -> bool:
        """Whether packing the weights would take longer than multiplying by them."""
        return self.rows <= panels.FEW or self.rows * self.length <= _FEW_ROWS

    def last(self, states: np.ndarray, owned: bool = False) -> np.ndarray:
        """The state after the last step: a copy, unless nobody else has these states."""
        state = states[(0 if self.steps.reverse else self.length) % len(states)]
        return state if owned else state.copy()

    def saved_gates(self, count: int) -> np.ndarray:
        """Memory for so many numbers of each step, or, if nothing is recorded, of one."""
        return np.empty((self.length if self.recorded else 1, self.rows, count), np.float32)

    def weights(self, split: int) -> Weights:
        """The weights of a step.

        split    the gates before it have factors x and h in one product; the others are apart
        """
        matrices = self.weight_ih, self.weight_hh
        if self.few:
            return Weights(*matrices, self.weight_hr, _NO_PANELS, _NO_PANELS)
        packed = _packed_transposed(*matrices, split)
        hr = _NO_PANELS
        if self.weight_hr.size:
            nothing = np.empty((self.outputs, 0), np.float32)
            hr = _packed_transposed(self.weight_hr, nothing, self.outputs)
        return Weights(*matrices, self.weight_hr, packed, hr)

    def weights_back(self, begin: int, split: int) -> Weights:
        """The weights of a step backward, without columns of x before `begin`.

        split    the columns of [x | h] before it are in one product; the others are apart
        """
        matrices = self.weight_ih, self.weight_hh
        if self.few:
            return Weights(*matrices, self.weight_hr, _NO_PANELS, _NO_PANELS)
        packed, hr = _packed(*matrices, begin, split), _NO_PANELS
        if self.weight_hr.size:
            nothing, hidden = np.empty((self.outputs, 0), np.float32), self.weight_hr.shape[1]
            hr = _packed(self.weight_hr, nothing, 0, hidden)
        return Weights(*matrices, self.weight_hr, packed, hr)

    def workspace(self, length: int, row: int) -> tuple[np.ndarray, int]:
        """Memory for chunks of whole tiles, so many numbers a row; and the number of chunks."""
        if self.rows <= MR:
            return scratch(1, MR * row), 1
        tiles, multiply_adds = -(-self.rows // MR), self.weight_ih.size + self.weight_hh.size
        work = length * self.rows * multiply_adds / MULTIPLY_ADDS_PER_NS
        chunks = min(threads.chunks(work), tiles)
        return scratch(chunks, -(-tiles // chunks) * MR * row), chunks

    def block_length(self) -> int:
        """The most steps of a block: of some blocks of nearly the same length."""
        count = -(-self.length // max(1, BLOCK // self.rows))
        return -(-self.length // count)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Blocks of steps, from those that were computed last."""
        size = self.block_length()
        for first in range(0, self.length, size):
            last = min(first + size, self.length)
            yield (first, last) if self.steps.reverse else (self.length - last, self.length - first)

    def factors(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, h and the mask of a block, its steps and sequences as rows; h before each step."""
        x, mask, states, _, reverse = self.steps
        h = states[first + reverse : last + reverse]
        return (
            x[first:last].reshape(-1, x.shape[2]),
            h.reshape(-1, h.shape[2]),
            mask[first:last].reshape(-1),
        )


def sequence(
    x: np.ndarray,
    h: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    weight_hr: np.ndarray | None,
    mask: np.ndarray | None,
    reverse: bool,
) -> Sequence:
    """The call with these arguments, before it runs."""
    recorded = current.get().record
    (length, rows, inputs), outputs = x.shape, h.shape[1]
    if mask is None:  # y is the states after the steps
        states = saved_states(h, length, reverse, True)
        y, own_y = states[:-1] if reverse else states[1:], NO_STACK
        mask = _NO_MASK
    else:
        states = saved_states(h, length, reverse, recorded)
        y = own_y = np.empty((length, rows, outputs), np.float32)
        mask = as_contiguous(mask)
    return Sequence(
        length,
        rows,
        inputs,
        outputs,
        Steps(as_contiguous(x), mask, states, own_y, reverse),
        as_contiguous(weight_ih),
        as_contiguous(weight_hh),
        _NO_MATRIX if weight_hr is None else as_contiguous(weight_hr),
        y,
        recorded,
    )


def backward(
    at: Sequence,
    needed: tuple[bool, ...],
    dy: np.ndarray | None,
    dh: np.ndarray,
    shared: int,
    row: int,
    step: Callable[[Block, Weights, Tables, np.ndarray, int], None],
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, np.ndarray]:
    """dx, dW_ih, dW_hh, and the db of all gates; dh becomes that of the state before all steps.

    shared    so many gates have both factors x and h, the others one of them
    row       the numbers that a step needs for each row beside those of dgates and [dx | dh]
    step      goes back through a block of steps
    """
    (length, rows, inputs), outputs = at.steps.x.shape, at.outputs
    products = len(at.weight_ih)
    gates = 2 * products - shared  # those that have one of the factors, twice
    column = inputs if needed[0] else 0
    dx = np.empty(at.steps.x.shape, np.float32) if column else NO_STACK
    weights = at.weights_back(inputs - column, inputs if gates > shared else inputs + outputs)
    stride = padded(gates) + LANES  # rows in different sets of the cache
    depths = offsets(max(gates, outputs), 1)
    depths_h = depths if gates == shared else _depths_h(shared, products)
    tables = Tables(
        repeated_offsets(rows, stride), repeated_offsets(rows, outputs), depths, depths_h
    )
    size = at.block_length()
    dgates = np.empty((size, rows, stride), np.float32)
    sums = WeightGradient(inputs, outputs, gates, shared, length * rows)
    row += padded(column) + padded(outputs) + LANES
    dy, mask = NO_STACK if dy is None else as_contiguous(dy), at.steps.mask
    for first, last in at.blocks():
        block = Block(dy, mask, dgates, dh, dx, first, last, at.steps.reverse)
        step(block, weights, tables, *at.workspace(size, row))
        x, h, own_mask = at.factors(first, last)
        sums.add(dgates.reshape(-1, stride), x, h, own_mask)
    return (dx if column else None), *sums.weights(), sums.biases.astype(np.float32)


@planned
def _depths_h(shared: int, products: int) -> np.ndarray:
    """Where the gates with a factor h are among all of them."""
    k = np.arange(products, dtype=np.int64)
    return np.where(k < shared, k, k + products - shared)


def saved_states(initial: np.ndarray, length: int, reverse: bool, recorded: bool) -> np.ndarray:
    """Memory for the states before and after all steps, with the one before the first.

    If nothing is recorded, for two of them, which take turns.
    """
    slots = length + 1 if recorded else 2
    states = np.empty((slots, *initial.shape), np.float32)
    states[(length if reverse else 0) % slots] = initial
    return states


def summed_bias(bias_ih: np.ndarray | None, bias_hh: np.ndarray | None, size: int) -> np.ndarray:
    """b_ih + b_hh; zeros if there are none."""
    if bias_ih is None or bias_hh is None:
        bias = bias_ih if bias_hh is None else bias_hh
        return np.zeros(size, np.float32) if bias is None else as_contiguous(bias)
    return bias_ih + bias_hh


def _packed_transposed(first: np.ndarray, second: np.ndarray, split: int) -> np.ndarray:
    depth = first.shape[1] + second.shape[1]
    size = (panel_count(split) + panel_count(len(first) - split)) * depth * NR
    packed = np.empty(size, np.float32)
    panels.pack_transposed(first, second, split, packed, threads.chunks(size / 4))
    return packed


def _packed(first: np.ndarray, second: np.ndarray, begin: int, split: int) -> np.ndarray:
    end = first.shape[1] + second.shape[1]
    size = (panel_count(split - begin) + panel_count(end - split)) * len(first) * NR
    packed, rows = np.empty(size, np.float32), offsets(len(first), 1)[: len(first)]
    panels.pack(first, second, begin, split, rows, packed, threads.chunks(size / 4))
    return packed


@planned
def forward_tables(rows: int, inputs: int, outputs: int, hidden: int) -> Tables:
    """Of the rows of [x | h], and of what is projected, which are both padded to vectors."""
    depths = offsets(max(inputs + outputs, hidden), 1)
    width = inputs + padded(outputs)
    return Tables(offsets(rows, width), offsets(rows, padded(hidden)), depths, depths)


@planned
def offsets(count: int, stride: int) -> np.ndarray:
    """0, stride, 2·stride, … of as many rows as fill tiles."""
    return np.arange(padded(count, MR), dtype=np.int64) * stride


@planned
def repeated_offsets(count: int, stride: int) -> np.ndarray:
    """The same, of which the last repeats to fill a tile."""
    return pad_to_tiles(count) * stride
