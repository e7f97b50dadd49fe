"""Checking gradients against differences."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.functional import gradients
from minidl.autograd.mode import higher_order
from minidl.autograd.tensor import Tensor
from minidl.errors import DTypeError


def gradcheck(
    function: Callable[..., Tensor],
    *inputs: Any,
    order: int = 2,
    step: float = 1e-6,
    tolerance: float = 1e-6,
) -> bool:
    """Whether the gradients of a function are those that differences of its values show.

    The slope of φ(x) = Σ c·f(x) in a random direction d is compared with the central difference

        (φ(x + h·d) − φ(x − h·d)) / 2h  ≈  ∇φ(x)·d

    and then, up to `order`, the same is done with ∇φ·d in the place of f.  True, or AssertionError
    with both numbers.

    inputs       float64 tensors or arrays, away from points where f has no derivative
    step         h
    tolerance    how far the two may differ, relative to the larger of them and 1
    """
    arrays = [ops.asarray(x).numpy() for x in inputs]
    if any(a.dtype != np.float64 for a in arrays):
        raise DTypeError("gradcheck: needs float64 inputs: rounding would hide the differences")
    rng = np.random.default_rng(0)
    weights = rng.normal(size=function(*map(ops.asarray, arrays)).shape)
    value = lambda *xs: (function(*xs) * weights).sum()
    for level in range(1, order + 1):
        directions = [rng.normal(size=a.shape) for a in arrays]
        slope = _slope(value, directions)
        exact = slope(*map(ops.tensor, arrays)).item()
        ahead, behind = (
            value(
                *(ops.tensor(a + sign * step * d) for a, d in zip(arrays, directions, strict=True))
            )
            for sign in (1, -1)
        )
        difference = (ahead.item() - behind.item()) / (2 * step)
        error = abs(exact - difference) / max(abs(exact), abs(difference), 1)
        if not error <= tolerance:
            raise AssertionError(
                f"derivative {level} of {getattr(function, '__name__', 'the function')}: the "
                f"gradient says {exact:.10g}, differences say {difference:.10g}"
            )
        value = slope
    return True


def _slope(value: Callable[..., Tensor], directions: list[np.ndarray]) -> Callable[..., Tensor]:
    """∇value·directions, as a function that can be differentiated again."""

    def slope(*inputs: Tensor) -> Tensor:
        with higher_order():
            leaves = [x if x.requires_grad else x.detach().requires_grad_() for x in inputs]
            found = gradients(value(*leaves), leaves, create_graph=True, allow_unused=True)
            parts = [(g * d).sum() for g, d in zip(found, directions, strict=True) if g is not None]
            return sum(parts, start=sum((x * 0).sum() for x in leaves))

    return slope
