"""Initialisation of parameters."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minidl import dtypes, ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_integers, check_numbers
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops import random
from minidl.ops.random import check_generator

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "fans",
    "fill",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "uniform_by_fan_in",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def fans(weight: Tensor) -> tuple[int, int]:
    """Fan in and fan out of a weight (out, in, …): inputs per output, and outputs per input.

    >>> nn.init.fans(minidl.zeros((8, 3, 5, 5)))
    (75, 200)
    """
    return _fans("fans", weight)


def _fans(name: str, weight: Tensor) -> tuple[int, int]:
    """The same, with errors that name the function `name`."""
    _check_tensor(name, weight)
    if weight.ndim < 2:
        raise ShapeError(f"{name}: needs a weight of at least two axes; got shape {weight.shape}")
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def fill(x: Tensor, value: Any) -> Tensor:
    """Write a scalar, or a tensor, into x.

    >>> nn.init.fill(minidl.empty(3), 0.5)
    Tensor([0.5, 0.5, 0.5], float32)
    """
    _check_tensor("fill", x)
    if not isinstance(value, bool | int | float | complex | np.generic | Tensor):
        raise DTypeError(f"fill: needs a number or a tensor to write; got {describe(value)}")
    with no_grad():
        x[...] = value
    return x


def _check_tensor(name: str, x: Any) -> None:
    """Raise, in the name of `name`, unless x can be written into."""
    if not isinstance(x, Tensor):
        array = "an array, " if hasattr(x, "dtype") else ""  # as is the .data of a parameter
        raise DTypeError(f"{name}: needs a tensor to write into; got {array}{describe(x)}")


def _check_floats(name: str, x: Any) -> None:
    """Raise, in the name of `name`, unless x can hold random floats."""
    _check_tensor(name, x)
    if not dtypes.is_float(x.dtype):
        raise DTypeError(f"{name}: needs a tensor of floats to write into; got {describe(x)}")


def uniform_by_fan_in(weight: Tensor, bias: Tensor | None = None) -> None:
    """Uniform in ±1/√(fan in): the default of PyTorch's layers with a weight and a bias.

    >>> w, b = minidl.zeros((2, 100)), minidl.zeros(2)
    >>> nn.init.uniform_by_fan_in(w, b)
    >>> bool(abs(w).max() <= 0.1), bool(abs(b).max() <= 0.1)
    (True, True)
    """
    for tensor in (weight,) if bias is None else (weight, bias):
        _check_floats("uniform_by_fan_in", tensor)
    fan_in, _ = _fans("uniform_by_fan_in", weight)
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(max(fan_in, 1))
        uniform_(bias, -bound, bound)


def uniform_(x: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in [a, b).

    >>> w = nn.init.uniform_(minidl.empty(1000), -1.0, 1.0)
    >>> bool(w.min() >= -1), bool(w.max() < 1)
    (True, True)
    """
    _check_floats("uniform_", x)
    check_numbers("uniform_", a=a, b=b)
    check_generator("uniform_", generator)
    if a == b:
        return fill(x, a)
    settings = {"dtype": x.dtype, "generator": generator, "device": x.device}
    return fill(x, random.uniform(x.shape, low=a, high=b, **settings))


def normal_(x: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with this mean and standard deviation.

    >>> w = nn.init.normal_(minidl.empty(10000), mean=5.0, std=0.1)
    >>> bool(abs(w.mean() - 5) < 0.01), bool(abs(w.std() - 0.1) < 0.01)
    (True, True)
    """
    _check_floats("normal_", x)
    check_numbers("normal_", mean=mean)
    check_numbers("normal_", 0, std=std)
    check_generator("normal_", generator)
    settings = {"dtype": x.dtype, "generator": generator, "device": x.device}
    return fill(x, random.normal(x.shape, mean=mean, std=std, **settings))


def trunc_normal_(
    x: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Normal with this mean and standard deviation, truncated to [a, b] by drawing again.

    >>> w = nn.init.trunc_normal_(minidl.empty(1000), a=-0.5, b=0.5)
    >>> bool(abs(w).max() <= 0.5)
    True
    """
    _check_floats("trunc_normal_", x)
    check_numbers("trunc_normal_", mean=mean, std=std, a=a, b=b)
    check_generator("trunc_normal_", generator)
    if not (a < b and std > 0):
        raise ArgumentError(
            f"trunc_normal_: needs a < b and std above 0; got a={a}, b={b}, std={std}"
        )
    settings = {"dtype": x.dtype, "generator": generator, "device": x.device}
    inside = (math.erf((z - mean) / (std * math.sqrt(2))) / 2 for z in (b, a))
    if next(inside) - next(inside) > 0.3:
        draw = partial(random.normal, x.shape, mean=mean, std=std, **settings)
        return fill(x, _redrawn(draw, lambda y: ops.logical_or(y < a, y > b)))
    draw = partial(random.uniform, x.shape, low=a, high=b, **settings)
    highest = (min(max(mean, a), b) - mean) / std

    def rejected(y: Tensor) -> Tensor:
        z = (y - mean) / std
        return random.uniform(x.shape, **settings) > ops.exp((highest * highest - z * z) / 2)

    return fill(x, _redrawn(draw, rejected))


def _redrawn(draw: Callable[[], Tensor], rejected: Callable[[Tensor], Tensor]) -> Tensor:
    """Rejection sampling: elements are drawn again until all are accepted."""
    y = draw()
    wrong = rejected(y)
    while bool(ops.any(wrong)):
        another = draw()
        y = ops.where(wrong, another, y)
        wrong = ops.logical_and(wrong, rejected(another))
    return y


def constant_(x: Tensor, val: float) -> Tensor:
    """The same value everywhere.

    >>> nn.init.constant_(minidl.empty(3), 0.5)
    Tensor([0.5, 0.5, 0.5], float32)
    """
    if not isinstance(val, bool | int | float | complex | np.generic):
        raise DTypeError(f"constant_: val is a number; got {describe(val)}")
    _check_tensor("constant_", x)
    return fill(x, val)


def ones_(x: Tensor) -> Tensor:
    """1 everywhere.

    >>> nn.init.ones_(minidl.empty(3))
    Tensor([1., 1., 1.], float32)
    """
    _check_tensor("ones_", x)
    return fill(x, 1)


def zeros_(x: Tensor) -> Tensor:
    """0 everywhere.

    >>> layer = nn.Linear(2, 3)
    >>> nn.init.zeros_(layer.bias).requires_grad, layer.bias.detach()
    (True, Tensor([0., 0., 0.], float32))
    """
    _check_tensor("zeros_", x)
    return fill(x, 0)


def eye_(x: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, 0 elsewhere.

    >>> nn.init.eye_(minidl.empty((2, 3)))
    Tensor([[1., 0., 0.],
            [0., 1., 0.]], shape=(2, 3), float32)
    """
    _check_tensor("eye_", x)
    if x.ndim != 2:
        raise ShapeError(f"eye_: needs a matrix; got shape {x.shape}")
    return fill(x, ops.eye(*x.shape, dtype=x.dtype, device=x.device))


def dirac_(x: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight (out, in, …) that is the identity: 1 at the centre of kernel (i, i).

    In each group of outputs, for min(out / groups, in) channels.

    >>> w, x = nn.init.dirac_(minidl.empty((2, 2, 3))), minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> minidl.conv1d(x, w, padding=1)
    Tensor([[1., 2.],
            [3., 4.]], shape=(2, 2), float32)
    """
    _check_tensor("dirac_", x)
    check_integers("dirac_", 1, groups=groups)
    if x.ndim not in (3, 4, 5) or x.shape[0] % groups:
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


def _check_and_sum_fans(name: str, x: Tensor, gain: float, generator: Any) -> int:
    """Check the arguments, and return fan in + fan out, at least 1."""
    _check_floats(name, x)
    check_numbers(name, 0, gain=gain)
    check_generator(name, generator)
    return max(sum(_fans(name, x)), 1)


def xavier_uniform_(x: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in ±gain·√(6 / (fan in + fan out)).  Glorot, Bengio 2010.

    >>> w = nn.init.xavier_uniform_(minidl.empty((2, 4)))
    >>> bool(abs(w).max() <= 1)
    True
    """
    fan = _check_and_sum_fans("xavier_uniform_", x, gain, generator)
    bound = gain * math.sqrt(6 / fan)
    return uniform_(x, -bound, bound, generator)


def xavier_normal_(x: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with standard deviation gain·√(2 / (fan in + fan out)).  Glorot, Bengio 2010.

    >>> w = nn.init.xavier_normal_(minidl.empty((50, 150)))
    >>> bool(abs(w.std() - 0.1) < 0.01)
    True
    """
    fan = _check_and_sum_fans("xavier_normal_", x, gain, generator)
    return normal_(x, 0, gain * math.sqrt(2 / fan), generator)


def kaiming_uniform_(
    x: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Uniform in ±gain·√(3 / fan), for the nonlinearity that follows.  He et al. 2015.

    a               the slope of a leaky ReLU: gain² = 2 / (1 + a²)
    mode            "fan_in" or "fan_out": which fan
    nonlinearity    the argument of `calculate_gain`

    >>> w = nn.init.kaiming_uniform_(minidl.empty((8, 6)), nonlinearity="relu")
    >>> bool(abs(w).max() <= 1)
    True
    """
    check_generator("kaiming_uniform_", generator)
    bound = math.sqrt(3) * _kaiming("kaiming_uniform_", x, a, mode, nonlinearity)
    return uniform_(x, -bound, bound, generator)


def kaiming_normal_(
    x: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Normal with standard deviation gain / √fan; the arguments are those of `kaiming_uniform_`.

    >>> w = nn.init.kaiming_normal_(minidl.empty((50, 200)), nonlinearity="relu")
    >>> bool(abs(w.std() - 0.1) < 0.01)
    True
    """
    check_generator("kaiming_normal_", generator)
    return normal_(x, 0, _kaiming("kaiming_normal_", x, a, mode, nonlinearity), generator)


def _kaiming(name: str, x: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """gain / √fan."""
    _check_floats(name, x)
    check_choice(name, ("fan_in", "fan_out"), mode=mode)
    fan = _fans(name, x)[mode == "fan_out"]
    return _gain(name, nonlinearity, a) / math.sqrt(max(fan, 1))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor for weights before this nonlinearity that keeps the variance.

    param    the slope of "leaky_relu"; 0.01 if left out

    >>> nn.init.calculate_gain("tanh"), nn.init.calculate_gain("leaky_relu", 0.0)
    (1.6666666666666667, 1.4142135623730951)
    """
    return _gain("calculate_gain", nonlinearity, param)


def _gain(name: str, nonlinearity: str, slope: float | None) -> float:
    """The same, with errors that name the function `name`."""
    check_choice(name, ("leaky_relu", *_GAINS), nonlinearity=nonlinearity)
    if nonlinearity != "leaky_relu":
        return _GAINS[nonlinearity]
    slope = 0.01 if slope is None else slope
    check_numbers(name, slope=slope)
    return math.sqrt(2 / (1 + slope * slope))


_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
_GAINS |= {f"conv{kind}{n}d": 1.0 for kind in ("", "_transpose") for n in (1, 2, 3)}


def orthogonal_(x: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """gain times a random matrix with orthogonal rows, or columns where those are fewer.

    In a weight of more axes, all but the first count as one.  Saxe, McClelland, Ganguli 2014.

    >>> w = nn.init.orthogonal_(minidl.empty((2, 3)))
    >>> bool((abs(w @ w.T - minidl.eye(2)) < 1e-6).all())
    True
    """
    _check_floats("orthogonal_", x)
    check_numbers("orthogonal_", gain=gain)
    check_generator("orthogonal_", generator)
    if x.ndim < 2:
        raise ShapeError(f"orthogonal_: needs at least two axes; got shape {x.shape}")
    if not x.size:
        return x
    rows, columns = x.shape[0], x.size // x.shape[0]
    shape = max(rows, columns), min(rows, columns)
    drawn = random.normal(shape, dtype="float64", device="cpu", generator=generator)
    q, r = np.linalg.qr(drawn.numpy())
    q = q * np.sign(np.diag(r))  # makes the distribution uniform
    q = (q if rows >= columns else q.T).reshape(x.shape)
    return fill(x, ops.asarray(gain * q, dtype=x.dtype, device=x.device))


def sparse_(x: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal, with a fraction `sparsity` of each column of a matrix set to 0.  Martens 2010.

    >>> w = nn.init.sparse_(minidl.empty((4, 5)), sparsity=0.5)
    >>> (w == 0).sum(axis=0)
    Tensor([2, 2, 2, 2, 2], int64)
    """
    _check_floats("sparse_", x)
    check_numbers("sparse_", 0, 1, sparsity=sparsity)
    check_numbers("sparse_", 0, std=std)
    check_generator("sparse_", generator)
    if x.ndim != 2:
        raise ShapeError(f"sparse_: needs a matrix; got shape {x.shape}")
    normal_(x, 0, std, generator)
    order = random.uniform(x.shape, dtype="float64", generator=generator, device=x.device)
    rank = ops.argsort(ops.argsort(order, axis=0), axis=0)
    return fill(x, ops.where(rank < math.ceil(sparsity * x.shape[0]), 0, x.detach()))
