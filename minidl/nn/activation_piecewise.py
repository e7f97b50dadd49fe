"""Activation layers that are piecewise linear, or made of such; `inplace` changes nothing."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, check_interval, check_numbers
from minidl.errors import ArgumentError
from minidl.nn import init as initial
from minidl.nn.module import Module, Parameter
from minidl.nn.parameter import empty
from minidl.nn.precision import in_dtype_of
from minidl.ops import random
from minidl.ops.random import check_generator


class Hardtanh(Module):
    """x clamped to [min_val, max_val].

    >>> nn.Hardtanh()(minidl.tensor([-2.0, 0.0, 2.0]))
    Tensor([-1.,  0.,  1.], float32)
    >>> nn.Hardtanh(0.0, 6.0)(minidl.tensor([-1.0, 3.0, 7.0]))
    Tensor([0., 3., 6.], float32)
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        check_numbers(self, min_val=min_val, max_val=max_val)
        check_flags(self, inplace=inplace)
        if not min_val < max_val:
            raise ArgumentError(f"Hardtanh: needs min_val < max_val; got {min_val} and {max_val}")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        inplace = ", inplace=True" if self.inplace else ""
        return f"min_val={self.min_val}, max_val={self.max_val}{inplace}"


class ReLU6(Module):
    """min(max(x, 0), 6).  Krizhevsky 2010.

    >>> nn.ReLU6()(minidl.tensor([-1.0, 3.0, 7.0]))
    Tensor([0., 3., 6.], float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        check_flags(self, inplace=inplace)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu6(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardsigmoid(Module):
    """min(max(x + 3, 0), 6) / 6.

    >>> nn.Hardsigmoid()(minidl.tensor([-3.0, 0.0, 1.0, 3.0]))
    Tensor([0.       , 0.5      , 0.6666667, 1.       ], float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        check_flags(self, inplace=inplace)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.hardsigmoid(x)


class Hardswish(Module):
    """x·hardsigmoid(x).  Howard et al. 2019.

    >>> nn.Hardswish()(minidl.tensor([-3.0, 0.0, 1.0, 3.0]))
    Tensor([0.       , 0.       , 0.6666667, 3.       ], float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        check_flags(self, inplace=inplace)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.hardswish(x)


class Hardshrink(Module):
    """x where |x| > λ, else 0.  Donoho, Johnstone 1994.

    >>> nn.Hardshrink(0.5)(minidl.tensor([-1.0, 0.25, 0.5, 1.0]))
    Tensor([-1.,  0.,  0.,  1.], float32)
    """

    def __init__(self, lambd: float = 0.5) -> None:
        check_numbers(self, 0, lambd=lambd)
        self.lambd = lambd

    def forward(self, x: Tensor) -> Tensor:
        return ops.hardshrink(x, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Module):
    """x − λ·sign x where |x| > λ, else 0.  Donoho, Johnstone 1994.

    >>> nn.Softshrink(0.5)(minidl.tensor([-1.0, 0.25, 0.5, 1.0]))
    Tensor([-0.5,  0. ,  0. ,  0.5], float32)
    """

    def __init__(self, lambd: float = 0.5) -> None:
        check_numbers(self, 0, lambd=lambd)
        self.lambd = lambd

    def forward(self, x: Tensor) -> Tensor:
        return ops.softshrink(x, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Threshold(Module):
    """x where x > threshold, else value.

    >>> nn.Threshold(threshold=1.0, value=-9.0)(minidl.tensor([0.5, 1.0, 2.0]))
    Tensor([-9., -9.,  2.], float32)
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        check_numbers(self, threshold=threshold, value=value)
        check_flags(self, inplace=inplace)
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.threshold(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        inplace = ", inplace=True" if self.inplace else ""
        return f"threshold={self.threshold}, value={self.value}{inplace}"


class PReLU(Module):
    """x where x > 0, else w·x with a learned w, shared or for each channel (axis 1).

    num_parameters    1, or the number of channels
    init              the initial value of each w

    He et al. 2015.

    >>> layer = nn.PReLU(num_parameters=3)
    >>> layer.weight
    Parameter([0.25, 0.25, 0.25], float32, requires_grad)
    >>> layer(-minidl.ones((2, 3)))[0]
    Tensor([-0.25, -0.25, -0.25], float32, from getitem)
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_integers(self, 1, num_parameters=num_parameters)
        check_numbers(self, init=init)
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(empty(self, num_parameters, dtype, device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set each w to its initial value."""
        initial.constant_(self.weight, self.init)

    def forward(self, x: Tensor) -> Tensor:
        return ops.prelu(in_dtype_of(self.weight, self, x), self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """x where x > 0, else a·x: in training, each a is uniform in [lower, upper); else their mean.

    generator    the source of randomness; minidl's default one if left out

    Xu et al. 2015.

    >>> layer = nn.RReLU(0.1, 0.3).eval()
    >>> layer(minidl.tensor([-1.0, 1.0]))
    Tensor([-0.2,  1. ], float32)
    """

    def __init__(
        self,
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        inplace: bool = False,
        *,
        generator: random.Generator | None = None,
    ) -> None:
        check_numbers(self, lower=lower, upper=upper)
        check_flags(self, inplace=inplace)
        check_generator(self, generator)
        check_interval(self, lower, upper)
        self.lower, self.upper, self.inplace = lower, upper, inplace
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return ops.rrelu(x, self.lower, self.upper)
        key = random.key_of(self.generator, getattr(x, "size", 1))
        return ops.rrelu(x, self.lower, self.upper, key=key)

    def extra_repr(self) -> str:
        inplace = ", inplace=True" if self.inplace else ""
        return f"lower={self.lower}, upper={self.upper}{inplace}"
