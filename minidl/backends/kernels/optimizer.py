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

from minidl.backends.kernels.compile import compiled
from minidl.errors import ArgumentError

Update = Callable[[np.ndarray, np.ndarray, Mapping[str, Any]], bool]


def adam(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Update:
    """One step of Adam."""
    beta1, beta2 = settings["betas"]
    rate, correction = settings["lr"] / (1 - beta1**step), (1 - beta2**step) ** 0.5
    decay, sign = _decay_and_sign(settings)
    numbers = np.array(
        [beta1, 1 - beta1, beta2, 1 - beta2, rate, correction, settings["eps"], decay, sign], dtype
    )
    amsgrad = settings["amsgrad"]

    def update(value: np.ndarray, gradient: np.ndarray, state: Mapping[str, Any]) -> bool:
        m, v = state["exp_avg"], state["exp_avg_sq"]
        largest = state["max_exp_avg_sq"] if amsgrad else v
        return _run(_adam, gradient, value, m, v, largest, numbers, amsgrad)

    return update


def sgd(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Update:
    """One step of gradient descent, with momentum or without."""
    momentum, nesterov = settings["momentum"], settings["nesterov"]
    share = 1 if step == 1 else 1 - settings["dampening"]
    decay, sign = _decay_and_sign(settings)
    numbers = np.array([settings["lr"], decay, sign, momentum, share], dtype)

    def update(value: np.ndarray, gradient: np.ndarray, state: Mapping[str, Any]) -> bool:
        if not momentum:
            return _run(_descend, gradient, value, numbers)
        return _run(_follow, gradient, value, state["momentum_buffer"], numbers, nesterov)

    return update


def _decay_and_sign(settings: Mapping[str, Any]) -> tuple[float, int]:
    return settings["weight_decay"], -1 if settings["maximize"] else 1


def _run(loop: Any, gradient: np.ndarray, value: np.ndarray, *rest: Any) -> bool:
    """Run a loop over a parameter, if it can."""
    flags = value.flags
    if not flags.writeable:
        raise ArgumentError(
            f"a parameter of shape {value.shape} lies in read-only memory; make it of a copy"
        )
    if not flags.c_contiguous or value.dtype.char not in "fd":
        return False
    if value.ndim != 1:
        gradient, value = gradient.reshape(-1), value.reshape(-1)
        rest = [x.reshape(-1) if type(x) is np.ndarray else x for x in rest]
    loop(gradient, value, *rest)
    return True


@compiled
def _adam(gradient, value, m, v, largest, numbers, amsgrad):
    """θ ← θ − rate · m / (√v / correction + ε);   rate = lr/(1 − β₁ᵗ), correction = √(1 − β₂ᵗ).

    Without a gradient m and v shrink to the denormal numbers, and stay there, rounded up again and
    again; a processor takes a hundred times as long for them.  So they are made 0.
    """
    beta1, rest1, beta2, rest2 = numbers[0], numbers[1], numbers[2], numbers[3]
    rate, correction, eps = numbers[4], numbers[5], numbers[6]
    decay, sign = numbers[7], numbers[8]
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
        value[i] -= rate * new_m / (np.sqrt(new_v) / correction + eps)


@compiled
def _descend(gradient, value, numbers):
    """θ ← θ − lr·g."""
    lr, decay, sign = numbers[0], numbers[1], numbers[2]
    for i in range(value.size):
        value[i] -= lr * (sign * gradient[i] + decay * value[i])


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
