"""Fully connected layers, and the shape around them."""

import math
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn import init
from minidl.nn.module import Module, Parameter, shape_error


class Linear(Module):
    """y = x·Wᵀ + b, for x of shape (…, in_features).

    weight (out_features, in_features) and bias (out_features,) begin uniform in
    ±1/√in_features, as in PyTorch.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: Any = None
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(ops.empty((out_features, in_features), dtype=dtype))
        self.bias = Parameter(ops.empty(out_features, dtype=dtype)) if bias else None
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if bias:
            bound = 1 / math.sqrt(max(in_features, 1))
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in_features) → (…, out_features)."""
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise shape_error(self, f"(…, {self.in_features})", x)
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        no_bias = ", bias=False" if self.bias is None else ""
        return f"{self.in_features}, {self.out_features}{no_bias}"


class Flatten(Module):
    """The axes from start_dim to end_dim as one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) → (N, all the rest), unless told otherwise."""
        return x.flatten(self.start_dim, self.end_dim)


class Identity(Module):
    """y = x."""

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        return x


class Sequential(Module):
    """One module after another; their names are "0", "1" and so on."""

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def forward(self, x: Any) -> Any:
        """The last module's output."""
        for module in vars(self).values():
            if isinstance(module, Module):
                x = module(x)
        return x

    def append(self, module: Module) -> "Sequential":
        """Add a module at the end."""
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(list(self.children()))

    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self.children())[index]
        return Sequential(*modules) if isinstance(index, slice) else modules
