"""How parameters begin."""

import math
from typing import Any

from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.errors import ShapeError
from minidl.ops import random


def fans(weight: Tensor) -> tuple[int, int]:
    """How many inputs reach one output of a weight (out, in, …), and the other way round."""
    if weight.ndim < 2:
        raise ShapeError(f"fans: needs a weight of at least two axes; got shape {weight.shape}")
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def fill(x: Tensor, value: Any) -> Tensor:
    """Write a number, or a tensor, into x."""
    with no_grad():
        x[...] = value
    return x


def uniform_by_fan_in(weight: Tensor, bias: Tensor | None = None) -> None:
    """Uniform in ±1/√(fan in): how PyTorch's layers with a weight and a bias begin."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(max(fans(weight)[0], 1))
        uniform_(bias, -bound, bound)


def uniform_(x: Tensor, low: float = 0.0, high: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in [low, high)."""
    if low == high:
        return fill(x, low)
    return fill(
        x, random.uniform(x.shape, low, high, dtype=x.dtype, generator=generator, device=x.device)
    )


def normal_(x: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with this mean and standard deviation."""
    return fill(
        x, random.normal(x.shape, mean, std, dtype=x.dtype, generator=generator, device=x.device)
    )


def xavier_uniform_(x: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in ±gain·√(6 / (fan in + fan out)).  Glorot, Bengio 2010."""
    bound = gain * math.sqrt(6 / sum(fans(x)))
    return uniform_(x, -bound, bound, generator)


def kaiming_uniform_(x: Tensor, a: float = 0.0, generator: Any = None) -> Tensor:
    """Uniform in ±√(6 / ((1 + a²)·fan in)), for leaky ReLUs of slope a.  He et al. 2015."""
    bound = math.sqrt(6 / ((1 + a * a) * max(fans(x)[0], 1)))
    return uniform_(x, -bound, bound, generator)
