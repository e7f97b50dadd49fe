"""How parameters begin."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, ShapeError
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


def uniform_(x: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in [a, b)."""
    if a == b:
        return fill(x, a)
    return fill(
        x, random.uniform(x.shape, a, b, dtype=x.dtype, generator=generator, device=x.device)
    )


def normal_(x: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with this mean and standard deviation."""
    return fill(
        x, random.normal(x.shape, mean, std, dtype=x.dtype, generator=generator, device=x.device)
    )


def trunc_normal_(
    x: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Normal with this mean and deviation before what is outside [a, b] is drawn again."""
    if not (a < b and std > 0):
        raise ArgumentError(
            f"trunc_normal_: needs a < b and std above 0; got a={a}, b={b}, std={std}"
        )
    settings = {"dtype": x.dtype, "generator": generator, "device": x.device}
    inside = (math.erf((z - mean) / (std * math.sqrt(2))) / 2 for z in (b, a))
    if next(inside) - next(inside) > 0.3:
        draw = partial(random.normal, x.shape, mean, std, **settings)
        return fill(x, _redrawn(draw, lambda y: ops.logical_or(y < a, y > b)))
    draw = partial(random.uniform, x.shape, a, b, **settings)
    highest = (min(max(mean, a), b) - mean) / std

    def rejected(y: Tensor) -> Tensor:
        z = (y - mean) / std
        return random.uniform(x.shape, **settings) > ops.exp((highest * highest - z * z) / 2)

    return fill(x, _redrawn(draw, rejected))


def _redrawn(draw: Callable[[], Tensor], rejected: Callable[[Tensor], Tensor]) -> Tensor:
    """Numbers that are drawn again for as long as they are rejected."""
    y = draw()
    wrong = rejected(y)
    while bool(ops.any(wrong)):
        another = draw()
        y = ops.where(wrong, another, y)
        wrong = ops.logical_and(wrong, rejected(another))
    return y


def constant_(x: Tensor, val: float) -> Tensor:
    """One number everywhere."""
    return fill(x, val)


def ones_(x: Tensor) -> Tensor:
    """1 everywhere."""
    return fill(x, 1)


def zeros_(x: Tensor) -> Tensor:
    """0 everywhere."""
    return fill(x, 0)


def eye_(x: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, 0 elsewhere."""
    if x.ndim != 2:
        raise ShapeError(f"eye_: needs a matrix; got shape {x.shape}")
    return fill(x, ops.eye(*x.shape, dtype=x.dtype, device=x.device))


def dirac_(x: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight (out, in, …) that passes channels on: 1 in the middle of window i, i.

    Of each of the groups of outputs, for as many channels as there are inputs.
    """
    if x.ndim not in (3, 4, 5) or groups < 1 or x.shape[0] % groups:
        raise ShapeError(
            f"dirac_: needs a weight of three to five axes, whose first {groups} groups divide; "
            f"got shape {x.shape}"
        )
    out, middle = x.shape[0] // groups, tuple(n // 2 for n in x.shape[2:])
    with no_grad():
        x[...] = 0
        for group in range(groups):
            for i in range(min(out, x.shape[1])):
                x[(group * out + i, i, *middle)] = 1
    return x


def xavier_uniform_(x: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in ±gain·√(6 / (fan in + fan out)).  Glorot, Bengio 2010."""
    bound = gain * math.sqrt(6 / sum(fans(x)))
    return uniform_(x, -bound, bound, generator)


def xavier_normal_(x: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with deviation gain·√(2 / (fan in + fan out)).  Glorot, Bengio 2010."""
    return normal_(x, 0, gain * math.sqrt(2 / sum(fans(x))), generator)


def kaiming_uniform_(
    x: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Uniform in ±gain·√(3 / fan), for what comes after the layer.  He et al. 2015.

    a               the slope of a leaky ReLU: gain² = 2 / (1 + a²)
    mode            "fan_in" or "fan_out": which fan
    nonlinearity    what `calculate_gain` is asked for
    """
    bound = math.sqrt(3) * _kaiming("kaiming_uniform_", x, a, mode, nonlinearity)
    return uniform_(x, -bound, bound, generator)


def kaiming_normal_(
    x: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Normal with deviation gain / √fan; the arguments are those of `kaiming_uniform_`."""
    return normal_(x, 0, _kaiming("kaiming_normal_", x, a, mode, nonlinearity), generator)


def _kaiming(name: str, x: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """gain / √fan."""
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f'{name}: mode is "fan_in" or "fan_out"; got {mode!r}')
    fan = fans(x)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much larger weights before this function are to be, so that variances stay.

    param    the slope of "leaky_relu"; 0.01 if left out
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ArgumentError(f"calculate_gain: a slope is a number; got {slope!r}")
        return math.sqrt(2 / (1 + slope * slope))
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"calculate_gain: knows {', '.join(['leaky_relu', *_GAINS])}; got {nonlinearity!r}"
        )
    return _GAINS[nonlinearity]


_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
_GAINS |= {f"conv{kind}{n}d": 1.0 for kind in ("", "_transpose") for n in (1, 2, 3)}


def orthogonal_(x: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """gain times a random matrix with orthogonal rows, or columns where those are fewer.

    Of a weight of more axes, all but the first count as one.  Saxe, McClelland, Ganguli 2014.
    """
    if x.ndim < 2:
        raise ShapeError(f"orthogonal_: needs at least two axes; got shape {x.shape}")
    if not x.size:
        return x
    rows, columns = x.shape[0], x.size // x.shape[0]
    shape = max(rows, columns), min(rows, columns)
    q, r = np.linalg.qr(random.normal(shape, dtype="float64", generator=generator).numpy())
    q = q * np.sign(np.diag(r))  # makes the distribution uniform
    q = (q if rows >= columns else q.T).reshape(x.shape)
    return fill(x, ops.asarray(gain * q, dtype=x.dtype, device=x.device))


def sparse_(x: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal, but for a share of the rows of each column of a matrix, which is 0.  Martens 2010."""
    if x.ndim != 2:
        raise ShapeError(f"sparse_: needs a matrix; got shape {x.shape}")
    if not 0 <= sparsity <= 1:
        raise ArgumentError(f"sparse_: sparsity is a share, from 0 to 1; got {sparsity}")
    normal_(x, 0, std, generator)
    order = random.uniform(x.shape, dtype="float64", generator=generator, device=x.device)
    rank = ops.argsort(ops.argsort(order, axis=0), axis=0)
    return fill(x, ops.where(rank < math.ceil(sparsity * x.shape[0]), 0, x.detach()))
