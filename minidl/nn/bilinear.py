"""A form of two inputs."""

import math
from functools import partial
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ShapeError
from minidl.nn import init
from minidl.nn.module import Module, Parameter


class Bilinear(Module):
    """yₖ = x₁ᵀ·Wₖ·x₂ + bₖ, for x₁ of shape (…, in1_features) and x₂ of (…, in2_features).

    weight (out_features, in1_features, in2_features) and bias (out_features,) begin uniform in
    ±1/√in1_features, as in PyTorch.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        if in1_features < 1:
            raise ShapeError(f"Bilinear: needs at least one in1_features; got {in1_features}")
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        empty = partial(ops.empty, dtype=dtype, device=device)
        self.weight = Parameter(empty((out_features, in1_features, in2_features)))
        self.bias = Parameter(empty(out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(…, in1_features), (…, in2_features) → (…, out_features)."""
        return ops.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
