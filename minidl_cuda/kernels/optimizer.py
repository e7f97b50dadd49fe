"""Multi-tensor optimisers: SGD, Adam and AdamW in one launch for up to 75 … 139 parameters.

`adam(settings, step, dtype)`, `adamw` and `sgd` prepare one step, as on the CPU.  Learning rates
and bias corrections travel as arguments of the kernels: nothing is uploaded, and nobody waits.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from minidl_cuda.array import Array
from minidl_cuda.kernels.guard import are_arrays, contiguous, split
from minidl_cuda.kernels.multi_tensor import THREADS, launches
from minidl_cuda.launch import Kernel, Module

_module = Module("optimizer.cu")
_SUFFIX = {"f": "f32", "d": "f64"}


@cache
def _kernel(name: str, char: str) -> Kernel:
    return _module.kernel(f"{name}_{_SUFFIX[char]}")


@cache
def _numbers(count: int, char: str) -> np.dtype:
    """The struct of the numbers in a rule."""
    return np.dtype([(f"number{i}", char) for i in range(count)])


class Step:
    """One step of an update rule: parameters are added to it, then all are updated at once.

    rule       the name of its kernels
    state      the names of the optimiser's state that the rule updates
    numbers    those in the rule
    """

    def __init__(
        self, rule: str, dtype: np.dtype, state: Sequence[str], numbers: Sequence[float]
    ) -> None:
        self._rule, self._char, self._state = rule, dtype.char, state
        self._numbers = numbers
        self._skip: Array | None = None
        self._tensors: list[list[Array]] = []

    def skip_if(self, flag: Array) -> None:
        """Update nothing if this number on the device is not 0."""
        self._skip = flag if flag.dtype.char == self._char else flag.astype(self._char)

    def add(self, value: Array, gradient: Array, state: Mapping[str, Any]) -> bool:
        """Add a parameter; False unless it is contiguous, and float32 or float64."""
        if self._char not in _SUFFIX or not are_arrays(self._char, value, gradient):
            return False
        if not value.flags.c_contiguous:
            return False
        own = [state[name] for name in self._state]
        self._tensors.append([contiguous(gradient), value, *own])
        return True

    def run(self) -> None:
        """Update all parameters and their state."""
        if not self._tensors:
            return
        kernel, rule = _kernel(self._rule, self._char), self._struct()
        for tensors, chunks in launches(self._tensors):
            kernel(chunks, THREADS, (tensors, rule, self._skip))

    def update_rows(
        self, value: Array, indices: Array, gradient: Array, state: Mapping[str, Any]
    ) -> bool:
        """Update distinct rows of a parameter, and of its state; False as in `add`."""
        if self._rule == "momentum" or not value.flags.c_contiguous:
            return False
        if self._char not in _SUFFIX or not are_arrays(self._char, value, gradient):
            return False
        if not gradient.size:
            return True
        rows, width = indices.astype("int64", copy=False), gradient.size // indices.size
        threads, own = split(width)
        table = value, *[state[name] for name in self._state]
        sizes = np.int64(width), np.int32(own)
        arguments = contiguous(rows), contiguous(gradient), *table, *sizes, self._struct()
        kernel = _kernel(f"{self._rule}_rows", self._char)
        kernel(indices.size * own, threads, (*arguments, self._skip))
        return True

    def _struct(self) -> Any:
        dtype = _numbers(len(self._numbers), self._char)
        numbers = np.array(tuple(self._numbers), dtype)[()]
        return numbers


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
    numbers = *betas, rate, correction, settings["eps"], decay, shrink, _sign(settings)
    largest = ("max_exp_avg_sq",) if settings["amsgrad"] else ()
    rule = "amsgrad" if largest else "adam"
    return Step(rule, dtype, ("exp_avg", "exp_avg_sq", *largest), numbers)


def sgd(settings: Mapping[str, Any], step: int, dtype: np.dtype) -> Step:
    """One step of gradient descent, with momentum or without."""
    momentum, nesterov = settings["momentum"], settings["nesterov"]
    weight = 1 if step == 1 else 1 - settings["dampening"]
    sign = _sign(settings) * settings.get("gradient_scale", 1)
    numbers = settings["lr"], settings["weight_decay"], sign
    if not momentum:
        return Step("descent", dtype, (), numbers)
    return Step("momentum", dtype, ("momentum_buffer",), (*numbers, momentum, weight, nesterov))


def _sign(settings: Mapping[str, Any]) -> int:
    return -1 if settings["maximize"] else 1
