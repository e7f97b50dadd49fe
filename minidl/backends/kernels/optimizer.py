"""Fused multi-tensor optimisers: SGD, Adam and AdamW in one pass over all parameters.

*Fused*: whole-array arithmetic reads and writes memory once for every operation of the formula.
Here each element is loaded once, goes through the whole formula in registers, vectorised, and is
stored once.

*Multi-tensor*: where there is work for several threads, one call updates all parameters.  Their
elements form one sequence, split evenly among the threads, whichever parameter they belong to.

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
from minidl.backends.kernels.runtime.kernel import (
    as_contiguous,
    carray,
    chunk_bounds,
    compiled,
    inner,
    parallel,
)
from minidl.backends.kernels.simd.intrinsics import (
    address_of,
    advance,
    pointer,
    pointer_from_address,
    prefetch_for_writing,
)

_ADAM_TIME, _SGD_TIME = 1.0, 0.4  # nanoseconds an element on one thread, from memory
_AHEAD, _CACHE_LINE = 4, 64  # rows to fetch in advance; bytes
_ARRAYS = 5  # the most that a rule takes of each parameter


class Step:
    """One step of an update rule: parameters are added to it, then all are updated at once.

    rule            the kernel for one parameter: rule(gradient, value, *state, *rest)
    over_all        the one for all of a table: over_all(table, their size, *rest, chunks)
    over_rows       the one for some rows: over_rows(indices, rows, value, *state, *rest, chunks)
    element_time    nanoseconds an element
    state           the names of the optimiser's state that the rule updates
    """

    def __init__(
        self,
        rule: Callable[..., None],
        over_all: Callable[..., None],
        over_rows: Callable[..., None] | None,
        element_time: float,
        state: Sequence[str],
        *rest: Any,
    ) -> None:
        self._rule, self._over_all, self._over_rows = rule, over_all, over_rows
        self._element_time = element_time
        self._state, self._rest = state, rest
        self._rows: list[list[np.ndarray]] = []
        self._size = 0

    def add(self, value: np.ndarray, gradient: np.ndarray, state: Mapping[str, Any]) -> bool:
        """Add a parameter; False unless it is contiguous, writeable, and float32 or float64."""
        if not _suits(value, gradient):
            return False
        arrays = [as_contiguous(gradient), value, *[state[name] for name in self._state]]
        self._rows.append(arrays if value.ndim == 1 else [x.ravel() for x in arrays])
        self._size += value.size
        return True

    def update_rows(
        self,
        value: np.ndarray,
        indices: np.ndarray,
        gradient: np.ndarray,
        state: Mapping[str, Any],
    ) -> bool:
        """Update distinct rows of a parameter, and of its state, by the rows of a gradient.

        False, and nothing is done, for a rule or a parameter that this is not made for.
        """
        if self._over_rows is None or not _suits(value, gradient):
            return False
        size, rest = value.shape[0], value.size // max(value.shape[0], 1)
        tables = [x.reshape(size, rest) for x in (value, *[state[name] for name in self._state])]
        rows = as_contiguous(gradient).reshape(indices.size, rest)
        chunks = threads.chunks(rows.size * self._element_time)
        self._over_rows(indices, rows, *tables, *self._rest, chunks)
        return True

    def run(self) -> None:
        """Update all parameters and their state."""
        chunks = threads.chunks(self._size * self._element_time)
        if chunks > 1:
            self._over_all(_table(self._rows), self._size, *self._rest, chunks)
            return
        rule, rest = self._rule, self._rest
        for arrays in self._rows:
            rule(*arrays, *rest)


def _suits(value: np.ndarray, gradient: np.ndarray) -> bool:
    """Whether a parameter is contiguous, writeable, and like its gradient float32 or float64.

    Not the guard of the other kernels: this is asked for each parameter in each step.
    """
    flags, dtype = value.flags, value.dtype
    return flags.c_contiguous and flags.writeable and dtype.char in "fd" and gradient.dtype == dtype


def _table(rows: Sequence[list[np.ndarray]]) -> np.ndarray:
    """A row for each parameter: its size, and the addresses of its arrays.

    Rules that have fewer of them do not look at the last ones.
    """
    table = np.empty((len(rows), 1 + _ARRAYS), np.int64)
    for i, arrays in enumerate(rows):
        _fill_row(table, i, *arrays, *arrays[-1:] * (_ARRAYS - len(arrays)))
    return table


@compiled("i64[parameters,columns] i64 F[n] F[n] F[n] F[n] F[n]")
def _fill_row(table, i, gradient, value, state1, state2, state3):
    table[i, 0] = value.size
    table[i, 1] = address_of(gradient)
    table[i, 2] = address_of(value)
    table[i, 3] = address_of(state1)
    table[i, 4] = address_of(state2)
    table[i, 5] = address_of(state3)


@inner
def _part(address, first, last, like):
    """Elements of the array at an address; they have the dtype of `like`."""
    return carray(advance(pointer_from_address(address, like), first), last - first)


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
    return Step(_adam, _adam_over_all, _adam_over_rows, _ADAM_TIME, state, scalars, amsgrad)


def sgd(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Step:
    """One step of gradient descent, with momentum or without."""
    momentum, nesterov = settings["momentum"], settings["nesterov"]
    weight = 1 if step == 1 else 1 - settings["dampening"]
    decay, sign = settings["weight_decay"], _sign(settings) * settings.get("gradient_scale", 1)
    scalars = np.array([settings["lr"], decay, sign, momentum, weight], dtype)
    if not momentum:
        return Step(_descend, _descend_over_all, _descend_over_rows, _SGD_TIME, (), scalars)
    state = ("momentum_buffer",)
    return Step(_momentum, _momentum_over_all, None, _SGD_TIME, state, scalars, nesterov)


def _sign(settings: Mapping[str, Any]) -> int:
    return -1 if settings["maximize"] else 1


# In a table, a chunk is the elements start … stop − 1, counted from the beginning of a parameter:
# before the next one, the size of this is subtracted from both.


@compiled("F[n] F[n] F[n] F[n] F[n] F[numbers] bool")
def _adam(gradient, value, m, v, largest, scalars, amsgrad):
    _adam_part(gradient, value, m, v, largest, scalars, amsgrad)


@parallel("i64[parameters,columns] i64 F[numbers] bool")
def _adam_over_all(table, total, scalars, amsgrad, chunk, chunks):
    start, stop = chunk_bounds(total, chunk, chunks)
    for row in table:
        first, last = max(start, 0), min(stop, row[0])
        if first < last:
            gradient = _part(row[1], first, last, scalars)
            value = _part(row[2], first, last, scalars)
            m = _part(row[3], first, last, scalars)
            v = _part(row[4], first, last, scalars)
            largest = _part(row[5], first, last, scalars)
            _adam_part(gradient, value, m, v, largest, scalars, amsgrad)
        start, stop = start - row[0], stop - row[0]


@parallel(
    "i64[used] F[used,width] F[rows,width] F[rows,width] F[rows,width] F[rows,width] F[numbers]"
    " bool"
)
def _adam_over_rows(indices, gradient, value, m, v, largest, scalars, amsgrad, chunk, chunks):
    start, stop = chunk_bounds(indices.size, chunk, chunks)
    for i in range(start, stop):
        if i + _AHEAD < stop:
            later = indices[i + _AHEAD]
            _prefetch(value[later])
            _prefetch(m[later])
            _prefetch(v[later])
            if amsgrad:
                _prefetch(largest[later])
        row = indices[i]
        _adam_part(gradient[i], value[row], m[row], v[row], largest[row], scalars, amsgrad)


@inner
def _prefetch(row):
    """Have a row fetched into the cache: of random rows, no processor knows which come next."""
    for j in range(0, row.size, _CACHE_LINE // row.itemsize):
        prefetch_for_writing(pointer(row, j))


@inner
def _adam_part(gradient, value, m, v, largest, scalars, amsgrad):
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


@compiled("F[n] F[n] F[numbers]")
def _descend(gradient, value, scalars):
    _descend_part(gradient, value, scalars)


@parallel("i64[parameters,columns] i64 F[numbers]")
def _descend_over_all(table, total, scalars, chunk, chunks):
    start, stop = chunk_bounds(total, chunk, chunks)
    for row in table:
        first, last = max(start, 0), min(stop, row[0])
        if first < last:
            gradient = _part(row[1], first, last, scalars)
            value = _part(row[2], first, last, scalars)
            _descend_part(gradient, value, scalars)
        start, stop = start - row[0], stop - row[0]


@parallel("i64[used] F[used,width] F[rows,width] F[numbers]")
def _descend_over_rows(indices, gradient, value, scalars, chunk, chunks):
    start, stop = chunk_bounds(indices.size, chunk, chunks)
    for i in range(start, stop):
        _descend_part(gradient[i], value[indices[i]], scalars)


@inner
def _descend_part(gradient, value, scalars):
    """θ ← θ − lr·g."""
    lr, decay, sign = scalars[0], scalars[1], scalars[2]
    for i in range(value.size):
        value[i] -= lr * (sign * gradient[i] + decay * value[i])


@compiled("F[n] F[n] F[n] F[numbers] bool")
def _momentum(gradient, value, velocity, scalars, nesterov):
    _momentum_part(gradient, value, velocity, scalars, nesterov)


@parallel("i64[parameters,columns] i64 F[numbers] bool")
def _momentum_over_all(table, total, scalars, nesterov, chunk, chunks):
    start, stop = chunk_bounds(total, chunk, chunks)
    for row in table:
        first, last = max(start, 0), min(stop, row[0])
        if first < last:
            gradient = _part(row[1], first, last, scalars)
            value = _part(row[2], first, last, scalars)
            velocity = _part(row[3], first, last, scalars)
            _momentum_part(gradient, value, velocity, scalars, nesterov)
        start, stop = start - row[0], stop - row[0]


@inner
def _momentum_part(gradient, value, velocity, scalars, nesterov):
    """v ← μ·v + (1 − dampening)·g;   θ ← θ − lr·v, or θ − lr·(g + μ·v) with nesterov."""
    lr, decay, sign = scalars[0], scalars[1], scalars[2]
    momentum, weight = scalars[3], scalars[4]
    for i in range(value.size):
        g = sign * gradient[i] + decay * value[i]
        v = momentum * velocity[i] + weight * g
        velocity[i] = v
        value[i] -= lr * (g + momentum * v if nesterov else v)
