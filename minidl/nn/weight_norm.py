"""Weight norm: a weight as a direction and a length.

The names are those of PyTorch's `torch.nn.utils.weight_norm`: for a layer's `weight`, the
parameters `weight_g` and `weight_v` are trained, and `weight` is computed from them before each
call.
"""

from typing import TypeVar

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_axes
from minidl.errors import ArgumentError, ShapeError
from minidl.nn.module import Module, Parameter
from minidl.nn.reparametrize import Reparametrized, parameter_of, put, removed

Layer = TypeVar("Layer", bound=Module)


class WeightNorm(Reparametrized):
    """w = g·v / ‖v‖."""

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def weight(self, module: Module) -> Tensor:
        """Compute the weight from g and v."""
        g, v = (getattr(module, f"{self.name}_{part}") for part in "gv")
        return v * (g / _length(v, self.dim))


def weight_norm(module: Layer, name: str = "weight", dim: int | None = 0) -> Layer:
    """Make a layer's weight g·v / ‖v‖, with a length g for each index of `dim`; return the layer.

    dim    the axis whose slices have a length each; None: one length for all

    Salimans, Kingma 2016.

    >>> layer = nn.utils.weight_norm(nn.Linear(3, 2))
    >>> {name: p.shape for name, p in layer.named_parameters()}
    {'bias': (2,), 'weight_g': (2, 1), 'weight_v': (2, 3)}
    """
    weight = parameter_of("weight_norm", module, name)
    if dim is not None:
        check_axes("weight_norm", dim=dim)
    if dim is not None and not -weight.ndim <= dim < weight.ndim:
        raise ShapeError(f"weight_norm: {name} of shape {weight.shape} has no axis {dim}")
    dim = None if dim in (None, -1) else dim  # −1: all axes, as in PyTorch
    length = _length(weight.detach(), dim)
    put(module, WeightNorm(name, dim), {"g": Parameter(length), "v": Parameter(weight.detach())})
    return module


def remove_weight_norm(module: Layer, name: str = "weight") -> Layer:
    """Make the weight a parameter again, with its present value; return the layer.

    >>> layer = nn.utils.weight_norm(nn.Linear(3, 2))
    >>> [name for name, _ in nn.utils.remove_weight_norm(layer).named_parameters()]
    ['bias', 'weight']
    """
    if not removed("remove_weight_norm", module, name, WeightNorm, ("g", "v")):
        raise ArgumentError(f"remove_weight_norm: {name!r} has no weight norm in {module!r}")
    return module


def _length(v: Tensor, dim: int | None) -> Tensor:
    """√Σ v² over all axes but `dim`."""
    if dim is None:
        return ops.sqrt(ops.sum(v * v))
    axes = tuple(i for i in range(v.ndim) if i != dim % v.ndim)
    return ops.sqrt(ops.sum(v * v, axis=axes, keepdims=True))
