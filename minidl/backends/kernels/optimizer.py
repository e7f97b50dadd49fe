"""The rules of optimisers, in one pass over all parameters.

Whole-array arithmetic reads and writes memory once for every operation of the formula.  Here each
element is loaded once, goes through the whole formula in registers, and is stored once; LLVM makes
vector instructions of the loop.  Among threads the elements of all large parameters are shared
evenly, whichever they belong to.

`adam(settings, step, dtype)` and its kin prepare one step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numba import carray, prange

from minidl.backends import threads
from minidl.backends.kernels.runtime.compile import (
    as_contiguous,
    chunk_bounds,
    compiled,
    inner,
    parallel,
)
from minidl.backends.kernels.simd.intrinsics import pointer_from_address
from minidl.errors import ArgumentError

# Nanoseconds that an element takes one thread, out of the caches.
_ADAM_TIME, _SGD_TIME = 1.0, 0.4
_LARGE = 5000  # elements; fewer are not worth sharing


class Step:
    """One step of a rule: parameters are added to it, then all are changed at once.

    loop            the rule for one parameter: loop(gradient, value, *state, *rest)
    over_all        the same for all parameters of a table
    element_time    the nanoseconds that an element takes
    state           the names of the arrays of state that the loop goes through
    """

    def __init__(
        self,
        loop: Callable[..., None],
        over_all: Callable[..., None],
        element_time: float,
        state: Sequence[str],
        *rest: Any,
    ) -> None:
        self._loop, self._over_all, self._element_time = loop, over_all, element_time
        self._state, self._rest = state, rest
        self._rows: list[Sequence[np.ndarray]] = []
        self._size = 0

    def add(self, value: np.ndarray, gradient: np.ndarray, state: Mapping[str, Any]) -> bool:
        """Take in a parameter, if the loop is made for it: contiguous float32 or float64."""
        flags, dtype = value.flags, value.dtype
        if not flags.writeable:
            raise ArgumentError(
                f"a parameter of shape {value.shape} lies in read-only memory; make it of a copy"
            )
        if not flags.c_contiguous or dtype.char not in "fd" or gradient.dtype != dtype:
            return False
        arrays = [as_contiguous(gradient), value, *[state[name] for name in self._state]]
        self._rows.append(arrays if value.ndim == 1 else [x.ravel() for x in arrays])
        self._size += value.size
        return True

    def run(self) -> None:
        """Change all parameters and their state."""
        pieces = threads.pieces(self._size * self._element_time)
        large = [row for row in self._rows if row[0].size >= _LARGE] if pieces > 1 else []
        if large:
            self._over_all(_table(large), *self._rest, pieces)
        for row in self._rows:
            if not large or row[0].size < _LARGE:
                self._loop(*row, *self._rest)


def _table(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """For each row, where its arrays lie, how many elements lie in the rows before, and in it."""
    table = np.empty((len(rows), len(rows[0]) + 2), np.int64)
    before = 0
    for i, arrays in enumerate(rows):
        _note(table, i, before, tuple(arrays))
        before += arrays[0].size
    return table


@compiled
def _note(table, row, before, arrays):
    for i in range(len(arrays)):
        table[row, i] = arrays[i].ctypes.data
    table[row, -2], table[row, -1] = before, arrays[0].size


@inner
def _part(table, row, column, piece, pieces, like):
    """The elements of an array that belong to a piece of all elements; they are like another's."""
    before, size = table[row, -2], table[row, -1]
    start, stop = chunk_bounds(table[-1, -2] + table[-1, -1], piece, pieces)
    whole = carray(pointer_from_address(table[row, column], like), size)
    return whole[min(max(start - before, 0), size) : min(max(stop - before, 0), size)]


def adam(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Step:
    """One step of Adam, where the decay of weights is a part of their gradient."""
    return _by_moments(settings, step, dtype, decay=settings["weight_decay"], shrink=0)


def adamw(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Step:
    """One step of AdamW, where weights decay by themselves."""
    return _by_moments(
        settings, step, dtype, decay=0, shrink=settings["lr"] * settings["weight_decay"]
    )


def _by_moments(
    settings: Mapping[str, Any], step: int, dtype: np.dtype, *, decay: float, shrink: float
) -> Step:
    beta1, beta2 = settings["betas"]
    rate, correction = settings["lr"] / (1 - beta1**step), (1 - beta2**step) ** 0.5
    betas = beta1, 1 - beta1, beta2, 1 - beta2
    numbers = np.array(
        [*betas, rate, correction, settings["eps"], decay, shrink, _sign(settings)], dtype
    )
    amsgrad = settings["amsgrad"]
    largest = "max_exp_avg_sq" if amsgrad else "exp_avg_sq"
    state = "exp_avg", "exp_avg_sq", largest
    return Step(_adam, _adam_over_all, _ADAM_TIME, state, numbers, amsgrad)


def sgd(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Step:
    """One step of gradient descent, with momentum or without."""
    momentum, nesterov = settings["momentum"], settings["nesterov"]
    chunk_bounds = 1 if step == 1 else 1 - settings["dampening"]
    decay, sign = settings["weight_decay"], _sign(settings)
    numbers = np.array([settings["lr"], decay, sign, momentum, chunk_bounds], dtype)
    if not momentum:
        return Step(_descend, _descend_over_all, _SGD_TIME, (), numbers)
    state = ("momentum_buffer",)
    return Step(_follow, _follow_over_all, _SGD_TIME, state, numbers, nesterov)


def _sign(settings: Mapping[str, Any]) -> int:
    return -1 if settings["maximize"] else 1


@compiled
def _adam(gradient, value, m, v, largest, numbers, amsgrad):
    """θ ← θ − (rate · m / (√v / correction + ε) + shrink · θ).

    The rate is lr/(1 − β₁ᵗ), the correction √(1 − β₂ᵗ).

    Without a gradient m and v shrink to the denormal numbers, and stay there, rounded up again and
    again; a processor takes a hundred times as long for them.  So they are made 0.
    """
    beta1, rest1, beta2, rest2 = numbers[0], numbers[1], numbers[2], numbers[3]
    rate, correction, eps = numbers[4], numbers[5], numbers[6]
    decay, shrink, sign = numbers[7], numbers[8], numbers[9]
    smallest = np.finfo(value.dtype).tiny
    zero = value.dtype.type(0)
    for i in range(value.size):
        g = sign * gradient[i] + decay * value[i]
        new_m = beta1 * m[i] + rest1 * g
        new_v = beta2 * v[i] + rest2 * (g * g)
        m[i] = new_m = zero if abs(new_m) < smallest else new_m
        v[i] = new_v = zero if new_v < smallest else new_v
        if amsgrad:
            largest[i] = new_v = max(largest[i], new_v)
        value[i] -= rate * new_m / (np.sqrt(new_v) / correction + eps) + shrink * value[i]


@parallel
def _adam_over_all(table, numbers, amsgrad, pieces):
    for piece in prange(pieces):
        for row in range(table.shape[0]):
            gradient = _part(table, row, 0, piece, pieces, numbers)
            value = _part(table, row, 1, piece, pieces, numbers)
            m = _part(table, row, 2, piece, pieces, numbers)
            v = _part(table, row, 3, piece, pieces, numbers)
            largest = _part(table, row, 4, piece, pieces, numbers)
            _adam(gradient, value, m, v, largest, numbers, amsgrad)


@compiled
def _descend(gradient, value, numbers):
    """θ ← θ − lr·g."""
    lr, decay, sign = numbers[0], numbers[1], numbers[2]
    for i in range(value.size):
        value[i] -= lr * (sign * gradient[i] + decay * value[i])


@parallel
def _descend_over_all(table, numbers, pieces):
    for piece in prange(pieces):
        for row in range(table.shape[0]):
            gradient = _part(table, row, 0, piece, pieces, numbers)
            value = _part(table, row, 1, piece, pieces, numbers)
            _descend(gradient, value, numbers)


@compiled
def _follow(gradient, value, velocity, numbers, nesterov):
    """v ← μ·v + share·g;   θ ← θ − lr·v, or θ − lr·(g + μ·v) with nesterov."""
    lr, decay, sign = numbers[0], numbers[1], numbers[2]
    momentum, chunk_bounds = numbers[3], numbers[4]
    for i in range(value.size):
        g = sign * gradient[i] + decay * value[i]
        v = momentum * velocity[i] + chunk_bounds * g
        velocity[i] = v
        value[i] -= lr * (g + momentum * v if nesterov else v)


@parallel
def _follow_over_all(table, numbers, nesterov, pieces):
    for piece in prange(pieces):
        for row in range(table.shape[0]):
            gradient = _part(table, row, 0, piece, pieces, numbers)
            value = _part(table, row, 1, piece, pieces, numbers)
            velocity = _part(table, row, 2, piece, pieces, numbers)
            _follow(gradient, value, velocity, numbers, nesterov)
