"""Fused multi-tensor optimisers: SGD, Adam and AdamW in one pass over all parameters.

*Fused*: whole-array arithmetic reads and writes memory once for every operation of the formula.
Here each element is loaded once, goes through the whole formula in registers, vectorised, and is
stored once.

*Multi-tensor*: one call updates all large parameters.  Their elements form one sequence, split
evenly among the threads, whichever parameter they belong to.

    D. Kingma, J. Ba.  Adam: A method for stochastic optimization.  ICLR 2015.
    I. Loshchilov, F. Hutter.  Decoupled weight decay regularization (AdamW).  ICLR 2019.
    S. Reddi, S. Kale, S. Kumar.  On the convergence of Adam and beyond (AMSGrad).  ICLR 2018.
    I. Sutskever, J. Martens, G. Dahl, G. Hinton.  On the importance of initialization and momentum
    in deep learning (Nesterov momentum as here).  ICML 2013.

Cost, in float32: 28 bytes an element for Adam (read g, θ, m, v; write θ, m, v), 12 for SGD, 20 with
momentum.

`adam(settings, step, dtype)`, `adamw` and `sgd` prepare one step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.compile import (
    as_contiguous,
    carray,
    chunk_bounds,
    compiled,
    inner,
    parallel,
    prange,
)
from minidl.backends.kernels.simd.intrinsics import pointer_from_address

_ADAM_TIME, _SGD_TIME = 1.0, 0.4  # nanoseconds an element on one thread, from memory
_LARGE = 5000  # elements of a parameter; smaller ones are not worth splitting


class Step:
    """One step of an update rule: parameters are added to it, then all are updated at once.

    loop            the rule for one parameter: loop(gradient, value, *state, *rest)
    over_all        the rule for all parameters of a table
    element_time    nanoseconds an element
    state           the names of the optimiser's state that the loop updates
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
        """Add a parameter; False unless it is contiguous, writeable, and float32 or float64."""
        flags, dtype = value.flags, value.dtype
        # Not the guard of the other kernels: this is asked for each parameter in each step.
        if (
            not flags.c_contiguous
            or not flags.writeable
            or dtype.char not in "fd"
            or gradient.dtype != dtype
        ):
            return False
        arrays = [as_contiguous(gradient), value, *[state[name] for name in self._state]]
        self._rows.append(arrays if value.ndim == 1 else [x.ravel() for x in arrays])
        self._size += value.size
        return True

    def run(self) -> None:
        """Update all parameters and their state."""
        chunks = threads.chunks(self._size * self._element_time)
        large = [row for row in self._rows if row[0].size >= _LARGE] if chunks > 1 else []
        if large:
            self._over_all(_table(large), *self._rest, chunks)
        for row in self._rows:
            if not large or row[0].size < _LARGE:
                self._loop(*row, *self._rest)


def _table(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """A row for each parameter: the addresses of its arrays, its offset and its size.

    The offset is that of its first element in the sequence of all elements.
    """
    table = np.empty((len(rows), len(rows[0]) + 2), np.int64)
    offset = 0
    for i, arrays in enumerate(rows):
        _fill_row(table, i, offset, tuple(arrays))
        offset += arrays[0].size
    return table


@compiled
def _fill_row(table, row, offset, arrays):
    for i in range(len(arrays)):
        table[row, i] = arrays[i].ctypes.data
    table[row, -2], table[row, -1] = offset, arrays[0].size


@inner
def _part(table, row, column, chunk, chunks, like):
    """The elements of an array in a chunk of the sequence; they have the dtype of `like`."""
    offset, size = table[row, -2], table[row, -1]
    start, stop = chunk_bounds(table[-1, -2] + table[-1, -1], chunk, chunks)
    whole = carray(pointer_from_address(table[row, column], like), size)
    return whole[min(max(start - offset, 0), size) : min(max(stop - offset, 0), size)]


def adam(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Step:
    """One step of Adam; the weight decay is part of the gradient (L2 regularisation)."""
    return _by_moments(settings, step, dtype, decay=settings["weight_decay"], shrink=0)


def adamw(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Step:
    """One step of AdamW; the weight decay is decoupled from the gradient."""
    return _by_moments(
        settings, step, dtype, decay=0, shrink=settings["lr"] * settings["weight_decay"]
    )


def _by_moments(
    settings: Mapping[str, Any], step: int, dtype: np.dtype, *, decay: float, shrink: float
) -> Step:
    beta1, beta2 = settings["betas"]
    rate, correction = settings["lr"] / (1 - beta1**step), (1 - beta2**step) ** 0.5
    betas = beta1, 1 - beta1, beta2, 1 - beta2
    scalars = np.array(
        [*betas, rate, correction, settings["eps"], decay, shrink, _sign(settings)], dtype
    )
    amsgrad = settings["amsgrad"]
    largest = "max_exp_avg_sq" if amsgrad else "exp_avg_sq"
    state = "exp_avg", "exp_avg_sq", largest
    return Step(_adam, _adam_over_all, _ADAM_TIME, state, scalars, amsgrad)


def sgd(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Step:
    """One step of gradient descent, with momentum or without."""
    momentum, nesterov = settings["momentum"], settings["nesterov"]
    weight = 1 if step == 1 else 1 - settings["dampening"]
    decay, sign = settings["weight_decay"], _sign(settings) * settings.get("gradient_scale", 1)
    scalars = np.array([settings["lr"], decay, sign, momentum, weight], dtype)
    if not momentum:
        return Step(_descend, _descend_over_all, _SGD_TIME, (), scalars)
    state = ("momentum_buffer",)
    return Step(_momentum, _momentum_over_all, _SGD_TIME, state, scalars, nesterov)


def _sign(settings: Mapping[str, Any]) -> int:
    return -1 if settings["maximize"] else 1


@compiled
def _adam(gradient, value, m, v, largest, scalars, amsgrad):
    """θ ← θ − (rate · m / (√v / correction + ε) + shrink · θ).

    The moments are m ← β₁·m + (1 − β₁)·g and v ← β₂·v + (1 − β₂)·g², the rate is lr/(1 − β₁ᵗ), the
    correction √(1 − β₂ᵗ).

    While the gradient is 0, m and v decay to denormal numbers, and stay there, rounded up again and
    again; a processor takes a hundred times as long for them.  So they are flushed to 0.
    """
    beta1, rest1, beta2, rest2 = scalars[0], scalars[1], scalars[2], scalars[3]
    rate, correction, eps = scalars[4], scalars[5], scalars[6]
    decay, shrink, sign = scalars[7], scalars[8], scalars[9]
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
def _adam_over_all(table, scalars, amsgrad, chunks):
    for chunk in prange(chunks):
        for row in range(table.shape[0]):
            gradient = _part(table, row, 0, chunk, chunks, scalars)
            value = _part(table, row, 1, chunk, chunks, scalars)
            m = _part(table, row, 2, chunk, chunks, scalars)
            v = _part(table, row, 3, chunk, chunks, scalars)
            largest = _part(table, row, 4, chunk, chunks, scalars)
            _adam(gradient, value, m, v, largest, scalars, amsgrad)


@compiled
def _descend(gradient, value, scalars):
    """θ ← θ − lr·g."""
    lr, decay, sign = scalars[0], scalars[1], scalars[2]
    for i in range(value.size):
        value[i] -= lr * (sign * gradient[i] + decay * value[i])


@parallel
def _descend_over_all(table, scalars, chunks):
    for chunk in prange(chunks):
        for row in range(table.shape[0]):
            gradient = _part(table, row, 0, chunk, chunks, scalars)
            value = _part(table, row, 1, chunk, chunks, scalars)
            _descend(gradient, value, scalars)


@compiled
def _momentum(gradient, value, velocity, scalars, nesterov):
    """v ← μ·v + (1 − dampening)·g;   θ ← θ − lr·v, or θ − lr·(g + μ·v) with nesterov."""
    lr, decay, sign = scalars[0], scalars[1], scalars[2]
    momentum, weight = scalars[3], scalars[4]
    for i in range(value.size):
        g = sign * gradient[i] + decay * value[i]
        v = momentum * velocity[i] + weight * g
        velocity[i] = v
        value[i] -= lr * (g + momentum * v if nesterov else v)


@parallel
def _momentum_over_all(table, scalars, nesterov, chunks):
    for chunk in prange(chunks):
        for row in range(table.shape[0]):
            gradient = _part(table, row, 0, chunk, chunks, scalars)
            value = _part(table, row, 1, chunk, chunks, scalars)
            velocity = _part(table, row, 2, chunk, chunks, scalars)
            _momentum(gradient, value, velocity, scalars, nesterov)
