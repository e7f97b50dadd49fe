"""The rules of optimisers, in one pass over a parameter.

Whole-array arithmetic reads and writes memory once for every operation of the formula.  Here each
element is loaded once, goes through the whole formula in registers, and is stored once; LLVM makes
vector instructions of the loop.

`adam(settings, step, dtype)` and `sgd(…)` prepare one step, and return the function that takes it:
`update(value, gradient, state)` changes a parameter and its state in place, and says whether it
could; it needs contiguous memory of float32 or float64.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numba import njit

from minidl.errors import ArgumentError

Update = Callable[[np.ndarray, np.ndarray, Mapping[str, Any]], bool]


def adam(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Update:
    """One step of Adam."""
    beta1, beta2 = settings["betas"]
    rate, correction = settings["lr"] / (1 - beta1**step), (1 - beta2**step) ** 0.5
    numbers = beta1, 1 - beta1, beta2, 1 - beta2, rate, correction, settings["eps"]
    numbers = tuple(dtype.type(x) for x in (*numbers, *_decay_and_sign(settings)))
    amsgrad = settings["amsgrad"]

    def update(value: np.ndarray, gradient: np.ndarray, state: Mapping[str, Any]) -> bool:
        m, v = state["exp_avg"], state["exp_avg_sq"]
        largest = state["max_exp_avg_sq"] if amsgrad else v
        return _run(_adam, (value, m, v, largest), gradient, (*numbers, amsgrad))

    return update


def sgd(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Update:
    """One step of gradient descent, with momentum or without."""
    momentum = settings["momentum"]
    share = 1 if step == 1 else 1 - settings["dampening"]
    numbers = (momentum, share) if momentum else ()
    numbers = (settings["lr"], *numbers, *_decay_and_sign(settings))
    numbers = tuple(dtype.type(x) for x in numbers)
    nesterov = settings["nesterov"]

    def update(value: np.ndarray, gradient: np.ndarray, state: Mapping[str, Any]) -> bool:
        if not momentum:
            return _run(_descend, (value,), gradient, numbers)
        arrays = value, state["momentum_buffer"]
        return _run(_descend_with_momentum, arrays, gradient, (*numbers, nesterov))

    return update


def _decay_and_sign(settings: Mapping[str, Any]) -> tuple[float, int]:
    return settings["weight_decay"], -1 if settings["maximize"] else 1


def _run(loop: Any, arrays: tuple, gradient: np.ndarray, numbers: tuple) -> bool:
    """Run a loop over arrays that it changes, if it can."""
    value = arrays[0]
    if not value.flags.writeable:
        raise ArgumentError(
            f"a parameter of shape {value.shape} lies in read-only memory; make it of a copy"
        )
    if value.dtype.char not in "fd" or not all(a.flags.c_contiguous for a in arrays):
        return False
    loop(gradient.reshape(-1), *(a.reshape(-1) for a in arrays), *numbers)
    return True


@njit(cache=True, error_model="numpy", nogil=True)
def _adam(
    gradient, value, m, v, largest, beta1, rest1, beta2, rest2, rate, correction, eps, decay, sign,
    amsgrad,
):  # fmt: skip
    """θ ← θ − rate · m / (√v / correction + ε);   rate = lr/(1 − β₁ᵗ), correction = √(1 − β₂ᵗ)."""
    for i in range(value.size):
        g = sign * gradient[i] + decay * value[i]
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = beta2 * v[i] + rest2 * (g * g)
        top = v[i]
        if amsgrad:
            top = max(largest[i], top)
            largest[i] = top
        value[i] -= rate * m[i] / (np.sqrt(top) / correction + eps)


@njit(cache=True, error_model="numpy", nogil=True)
def _descend(gradient, value, lr, decay, sign):
    """θ ← θ − lr·g."""
    for i in range(value.size):
        value[i] -= lr * (sign * gradient[i] + decay * value[i])


@njit(cache=True, error_model="numpy", nogil=True)
def _descend_with_momentum(gradient, value, velocity, lr, momentum, share, decay, sign, nesterov):
    """v ← μ·v + share·g;   θ ← θ − lr·v, or θ − lr·(g + μ·v) with nesterov."""
    for i in range(value.size):
        g = sign * gradient[i] + decay * value[i]
        v = momentum * velocity[i] + share * g
        velocity[i] = v
        value[i] -= lr * (g + momentum * v if nesterov else v)
