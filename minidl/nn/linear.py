"""Linear layers: Linear, Bilinear, Identity."""

import math
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers
from minidl.errors import MinidlError
from minidl.nn import init
from minidl.nn.module import Module, Parameter, shape_error
from minidl.nn.parameter import empty
from minidl.nn.precision import in_dtype_of


class Linear(Module):
    """y = x·Wᵀ + b, for x of shape (…, in_features).

    weight (out_features, in_features) and bias (out_features,) start uniform in
    ±1/√in_features, as in PyTorch.

    >>> layer = nn.Linear(3, 5)
    >>> layer(minidl.ones((2, 3))).shape
    (2, 5)
    >>> {name: p.shape for name, p in layer.named_parameters()}
    {'weight': (5, 3), 'bias': (5,)}
    """

    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_integers(self, 0, in_features=in_features, out_features=out_features)
        check_flags(self, bias=bias)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(self, (out_features, in_features), dtype, device))
        given = Parameter(empty(self, out_features, dtype, device)) if bias else None
        self.register_parameter("bias", given)
        init.uniform_by_fan_in(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in_features) → (…, out_features)."""
        try:
            x = in_dtype_of(self.weight, self, x)
            return ops.linear(x, self.weight, self.bias)
        except MinidlError as error:
            raise self._explained(x, error) from None

    def _explained(self, x: Any, error: MinidlError) -> MinidlError:
        """The error to raise instead of the operation's: about x, if its shape is wrong."""
        if getattr(x, "shape", ())[-1:] == (self.in_features,):
            return error
        bias = ", bias=False" if self.bias is None else ""
        name = f"Linear({self.in_features}, {self.out_features}{bias})"
        return shape_error(name, f"(…, {self.in_features})", x)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Tensor) -> int:
        """Each output element is a product with a row of the weight."""
        return output.size * self.in_features

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """yₖ = x₁ᵀ·Wₖ·x₂ + bₖ, for x₁ of shape (…, in1_features) and x₂ of (…, in2_features).

    weight (out_features, in1_features, in2_features) and bias (out_features,) start uniform in
    ±1/√in1_features, as in PyTorch.

    >>> layer = nn.Bilinear(3, 4, 5)
    >>> layer(minidl.ones((2, 3)), minidl.ones((2, 4))).shape
    (2, 5)
    >>> {name: p.shape for name, p in layer.named_parameters()}
    {'weight': (5, 3, 4), 'bias': (5,)}
    """

    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_integers(self, 1, in1_features=in1_features)
        check_integers(self, 0, in2_features=in2_features, out_features=out_features)
        check_flags(self, bias=bias)
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        shape = out_features, in1_features, in2_features
        self.weight = Parameter(empty(self, shape, dtype, device))
        given = Parameter(empty(self, out_features, dtype, device)) if bias else None
        self.register_parameter("bias", given)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(…, in1_features), (…, in2_features) → (…, out_features)."""
        x1, x2 = (in_dtype_of(self.weight, self, x) for x in (x1, x2))
        return ops.bilinear(x1, x2, self.weight, self.bias)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Tensor) -> int:
        """Each output element is a product with a matrix of the weight."""
        return output.size * self.in1_features * self.in2_features

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """y = x; all arguments of the constructor are ignored.

    >>> nn.Identity()(minidl.tensor([1.0, 2.0]))
    Tensor([1., 2.], float32)
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        """Return the input."""
        return x
