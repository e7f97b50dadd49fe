"""Fully connected layers, and the shape before them."""

from functools import partial
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import MinidlError
from minidl.nn import init
from minidl.nn.module import Module, Parameter, shape_error


class Linear(Module):
    """y = x·Wᵀ + b, for x of shape (…, in_features).

    weight (out_features, in_features) and bias (out_features,) begin uniform in
    ±1/√in_features, as in PyTorch.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        empty = partial(ops.empty, dtype=dtype, device=device)
        self.weight = Parameter(empty((out_features, in_features)))
        self.bias = Parameter(empty(out_features)) if bias else None
        init.uniform_by_fan_in(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in_features) → (…, out_features)."""
        return self._run(ops.linear, x)

    def forward_relu(self, x: Tensor) -> Tensor:
        """max(forward(x), 0) in one operation: what Sequential runs for a ReLU that follows."""
        return self._run(ops.linear_relu, x)

    def _run(self, operation: Any, x: Tensor) -> Tensor:
        try:
            return operation(x, self.weight, self.bias)
        except MinidlError:
            if getattr(x, "shape", ())[-1:] == (self.in_features,):
                raise
        bias = ", bias=False" if self.bias is None else ""
        name = f"Linear({self.in_features}, {self.out_features}{bias})"
        raise shape_error(name, f"(…, {self.in_features})", x)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Flatten(Module):
    """The axes from start_dim to end_dim as one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) → (N, all the rest), unless told otherwise."""
        return ops.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """y = x, whatever it is made with."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        return x
