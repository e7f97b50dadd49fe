"""The rules of optimisers, in one pass over a parameter.

Whole-array arithmetic reads and writes memory once for every operation of the formula.  Here each
element is loaded once, goes through the whole formula in registers, and is stored once; LLVM makes
vector instructions of the loop.  Large parameters are split among the threads.

`adam(settings, step, dtype)` and its kin prepare one step, and return the function that takes it:
`update(value, gradient, state)` changes a parameter and its state in place, and says whether it
could; it needs contiguous memory of float32 or float64.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numba import prange

from minidl.backends import threads
from minidl.backends.kernels.compile import compiled, parallel, share
from minidl.errors import ArgumentError

Update = Callable[[np.ndarray, np.ndarray, Mapping[str, Any]], bool]

# Nanoseconds that an element takes one thread, out of the caches.
_ADAM_TIME, _SGD_TIME = 1.0, 0.4
_SMALL = 20_000  # elements; for fewer, even the question how to split them takes too long


def adam(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Update:
    """One step of Adam, where the decay of weights is a part of their gradient."""
    return _by_moments(settings, step, dtype, decay=settings["weight_decay"], shrink=0)


def adamw(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Update:
    """One step of AdamW, where weights decay by themselves."""
    return _by_moments(
        settings, step, dtype, decay=0, shrink=settings["lr"] * settings["weight_decay"]
    )


def _by_moments(
    settings: Mapping[str, Any], step: int, dtype: np.dtype, *, decay: float, shrink: float
) -> Update:
    beta1, beta2 = settings["betas"]
    rate, correction = settings["lr"] / (1 - beta1**step), (1 - beta2**step) ** 0.5
    betas = beta1, 1 - beta1, beta2, 1 - beta2
    numbers = np.array(
        [*betas, rate, correction, settings["eps"], decay, shrink, _sign(settings)], dtype
    )
    amsgrad = settings["amsgrad"]

    def update(value: np.ndarray, gradient: np.ndarray, state: Mapping[str, Any]) -> bool:
        m, v = state["exp_avg"], state["exp_avg_sq"]
        arrays = gradient, value, m, v, state["max_exp_avg_sq"] if amsgrad else v
        return _run(_adam, _adam_in_pieces, _ADAM_TIME, arrays, numbers, amsgrad)

    return update


def sgd(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Update:
    """One step of gradient descent, with momentum or without."""
    momentum, nesterov = settings["momentum"], settings["nesterov"]
    share = 1 if step == 1 else 1 - settings["dampening"]
    decay, sign = settings["weight_decay"], _sign(settings)
    numbers = np.array([settings["lr"], decay, sign, momentum, share], dtype)

    def update(value: np.ndarray, gradient: np.ndarray, state: Mapping[str, Any]) -> bool:
        if not momentum:
            return _run(_descend, _descend_in_pieces, _SGD_TIME, (gradient, value), numbers)
        arrays = gradient, value, state["momentum_buffer"]
        return _run(_follow, _follow_in_pieces, _SGD_TIME, arrays, numbers, nesterov)

    return update


def _sign(settings: Mapping[str, Any]) -> int:
    return -1 if settings["maximize"] else 1


def _run(
    loop: Any, in_pieces: Any, element_time: float, arrays: Sequence[np.ndarray], *rest: Any
) -> bool:
    """Run a loop over the elements of a gradient, a parameter and its state, if it can."""
    gradient, value = arrays[:2]
    size, flags = value.size, value.flags
    if not flags.writeable:
        raise ArgumentError(
            f"a parameter of shape {value.shape} lies in read-only memory; make it of a copy"
        )
    if not flags.c_contiguous or value.dtype.char not in "fd":
        return False
    if value.ndim != 1 or not gradient.flags.c_contiguous:
        arrays = [x.ravel() for x in arrays]
    pieces = 1 if size < _SMALL else threads.pieces(size * element_time)
    if pieces == 1:
        loop(*arrays, *rest)
    else:
        in_pieces(*arrays, *rest, pieces)
    return True


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
def _adam_in_pieces(gradient, value, m, v, largest, numbers, amsgrad, pieces):
    for piece in prange(pieces):
        a, b = share(value.size, piece, pieces)
        _adam(gradient[a:b], value[a:b], m[a:b], v[a:b], largest[a:b], numbers, amsgrad)


@compiled
def _descend(gradient, value, numbers):
    """θ ← θ − lr·g."""
    lr, decay, sign = numbers[0], numbers[1], numbers[2]
    for i in range(value.size):
        value[i] -= lr * (sign * gradient[i] + decay * value[i])


@parallel
def _descend_in_pieces(gradient, value, numbers, pieces):
    for piece in prange(pieces):
        a, b = share(value.size, piece, pieces)
        _descend(gradient[a:b], value[a:b], numbers)


@compiled
def _follow(gradient, value, velocity, numbers, nesterov):
    """v ← μ·v + share·g;   θ ← θ − lr·v, or θ − lr·(g + μ·v) with nesterov."""
    lr, decay, sign = numbers[0], numbers[1], numbers[2]
    momentum, share = numbers[3], numbers[4]
    for i in range(value.size):
        g = sign * gradient[i] + decay * value[i]
        v = momentum * velocity[i] + share * g
        velocity[i] = v
        value[i] -= lr * (g + momentum * v if nesterov else v)


@parallel
def _follow_in_pieces(gradient, value, velocity, numbers, nesterov, pieces):
    for piece in prange(pieces):
        a, b = share(value.size, piece, pieces)
        _follow(gradient[a:b], value[a:b], velocity[a:b], numbers, nesterov)
