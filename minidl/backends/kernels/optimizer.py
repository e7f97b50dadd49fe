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
from minidl.backends.kernels.prefetch import AHEAD, fetch_for_writing
from minidl.backends.kernels.runtime.guard import are_arrays
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
    pointer_from_address,
)

_ADAM_TIME, _SGD_TIME = 1.0, 0.4  # nanoseconds an element on one thread, from memory
_ARRAYS = 5  # that an update loop takes of each parameter: gradient, value, and three of state


class Step:
    """One step of an update rule: parameters are added to it, then all are updated at once.

    loops           those of an update rule
    element_time    nanoseconds an element
    state           the names of the optimiser's state that the rule updates
    rest            the numbers in the rule, and a flag
    """

    def __init__(
        self, loops: "_Loops", element_time: float, state: Sequence[str], *rest: Any
    ) -> None:
        self._loops, self._element_time, self._state, self._rest = loops, element_time, state, rest
        self._rows: list[list[np.ndarray]] = []
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

    def update_rows(
        self,
        value: np.ndarray,
        indices: np.ndarray,
        gradient: np.ndarray,
        state: Mapping[str, Any],
    ) -> bool:
        """Update distinct rows of a parameter, and of its state; False as in `add`."""
        loop = self._loops.over_rows
        if loop is None or not value.flags.carray or not are_arrays("fd", value, gradient):
            return False
        size = value.shape[0]
        width = value.size // max(size, 1)
        tables = [x.reshape(size, width) for x in (value, *[state[name] for name in self._state])]
        arrays = _padded([as_contiguous(gradient).reshape(indices.size, width), *tables])
        chunks = threads.chunks(gradient.size * self._element_time)
        loop(indices, *arrays, *self._rest, chunks)
        return True

    def run(self) -> None:
        """Update all parameters and their state."""
        chunks = threads.chunks(self._size * self._element_time)
        if chunks > 1:
            self._loops.over_all(_table(self._rows), self._size, *self._rest, chunks)
            return
        alone, rest = self._loops.alone, self._rest
        for arrays in self._rows:
            alone(*arrays, *rest)


def _padded(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """As many arrays as loops take; a rule that has fewer does not look at the last ones."""
    return arrays + arrays[-1:] * (_ARRAYS - len(arrays))


def _table(rows: Sequence[list[np.ndarray]]) -> np.ndarray:
    """A row for each parameter: its size, and the addresses of its arrays."""
    table = np.empty((len(rows), 1 + _ARRAYS), np.int64)
    for i, arrays in enumerate(rows):
        _fill_row(table, i, *_padded(arrays))
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
    return Step(_adam_loops, _ADAM_TIME, state, scalars, amsgrad)


def sgd(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Step:
    """One step of gradient descent, with momentum or without."""
    momentum, nesterov = settings["momentum"], settings["nesterov"]
    weight = 1 if step == 1 else 1 - settings["dampening"]
    decay, sign = settings["weight_decay"], _sign(settings) * settings.get("gradient_scale", 1)
    scalars = np.array([settings["lr"], decay, sign, momentum, weight], dtype)
    if not momentum:
        return Step(_descent_loops, _SGD_TIME, (), scalars, False)
    return Step(_momentum_loops, _SGD_TIME, ("momentum_buffer",), scalars, nesterov)


def _sign(settings: Mapping[str, Any]) -> int:
    return -1 if settings["maximize"] else 1


class _Loops:
    """The kernels of an update rule: a function (gradient, value, *state, scalars, flag).

    alone        for one parameter, with no more arrays than the rule needs
    over_all     for all of a table, and their size
    over_rows    for rows of a parameter, and of its state, at distinct indices; None for a rule
                 that moves other rows, too
    """

    def __init__(
        self, rule: Callable[..., None], alone: Callable[..., None], of_rows: bool = True
    ) -> None:
        def over_all(table, total, scalars, flag, chunk, chunks):
            # A chunk is the elements start … stop − 1, counted from the beginning of a parameter:
            # before the next one, the size of this is subtracted from both.
            start, stop = chunk_bounds(total, chunk, chunks)
            for row in table:
                first, last = max(start, 0), min(stop, row[0])
                if first < last:
                    gradient = _part(row[1], first, last, scalars)
                    value = _part(row[2], first, last, scalars)
                    state1 = _part(row[3], first, last, scalars)
                    state2 = _part(row[4], first, last, scalars)
                    state3 = _part(row[5], first, last, scalars)
                    rule(gradient, value, state1, state2, state3, scalars, flag)
                start, stop = start - row[0], stop - row[0]

        def over_rows(
            indices, gradient, value, state1, state2, state3, scalars, flag, chunk, chunks
        ):
            start, stop = chunk_bounds(indices.size, chunk, chunks)
            for i in range(start, stop):
                if i + AHEAD < stop:
                    later = indices[i + AHEAD]
                    fetch_for_writing(value[later])
                    fetch_for_writing(state1[later])
                    fetch_for_writing(state2[later])
                row = indices[i]
                rule(gradient[i], value[row], state1[row], state2[row], state3[row], scalars, flag)

        for loop in (over_all, over_rows):  # names by which machine code is found
            loop.__qualname__ = f"{rule.__name__}.{loop.__name__}"
        self.alone, self.over_rows = alone, None
        self.over_all = parallel("i64[parameters,columns] i64 F[numbers] bool")(over_all)
        if of_rows:
            tables = "F[rows,width] " * (_ARRAYS - 1)
            self.over_rows = parallel(f"i64[used] F[used,width] {tables}F[numbers] bool")(over_rows)


@inner
def _adam_rule(gradient, value, m, v, largest, scalars, amsgrad):
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


@inner
def _descent_rule(gradient, value, _state1, _state2, _state3, scalars, _flag):
    """θ ← θ − lr·g."""
    lr, decay, sign = scalars[0], scalars[1], scalars[2]
    for i in range(value.size):
        value[i] -= lr * (sign * gradient[i] + decay * value[i])


@inner
def _momentum_rule(gradient, value, velocity, _state2, _state3, scalars, nesterov):
    """v ← μ·v + (1 − dampening)·g;   θ ← θ − lr·v, or θ − lr·(g + μ·v) with nesterov."""
    lr, decay, sign = scalars[0], scalars[1], scalars[2]
    momentum, weight = scalars[3], scalars[4]
    for i in range(value.size):
        g = sign * gradient[i] + decay * value[i]
        v = momentum * velocity[i] + weight * g
        velocity[i] = v
        value[i] -= lr * (g + momentum * v if nesterov else v)


@compiled("F[n] F[n] F[n] F[n] F[n] F[numbers] bool")
def _adam(gradient, value, m, v, largest, scalars, amsgrad):
    _adam_rule(gradient, value, m, v, largest, scalars, amsgrad)


@compiled("F[n] F[n] F[numbers] bool")
def _descent(gradient, value, scalars, flag):
    _descent_rule(gradient, value, value, value, value, scalars, flag)


@compiled("F[n] F[n] F[n] F[numbers] bool")
def _momentum(gradient, value, velocity, scalars, nesterov):
    _momentum_rule(gradient, value, velocity, velocity, velocity, scalars, nesterov)


_adam_loops = _Loops(_adam_rule, _adam)
_descent_loops = _Loops(_descent_rule, _descent)
_momentum_loops = _Loops(_momentum_rule, _momentum, of_rows=False)
