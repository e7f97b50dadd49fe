"""All gradients at once, as arrays: taken from their leaves, and put back."""

from collections.abc import Callable
from typing import Any

from minidl.autograd.graph import Leaf
from minidl.autograd.mode import current
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, device_of
from minidl.backends.registry import on_device_of
from minidl.backends.rows import RowGradient
from minidl.optim.optimizer import Optimizer


def coalesced(gradient: Any) -> Any:
    """A gradient as an array, or as a RowGradient in which each index occurs once."""
    if type(gradient) is RowGradient:
        return gradient.coalesce()
    return gradient.data if isinstance(gradient, Tensor) else gradient


def gradients_of(optimizer: Optimizer) -> dict[Leaf, Any]:
    """The gradients of all parameters of an optimiser that have one, by their leaves."""
    params = (p for group in optimizer.param_groups for p in group["params"])
    leaves: list[Any] = [p.edge[0] for p in params if p.edge is not None]
    return {leaf: coalesced(leaf.grad) for leaf in leaves if leaf.grad is not None}


def by_device(gradients: dict[Leaf, Any]) -> list[dict[Leaf, Any]]:
    """The same gradients, those on each device for themselves."""
    found: dict[Any, dict[Leaf, Any]] = {}
    for leaf, g in gradients.items():
        found.setdefault(device_of(g), {})[leaf] = g
    return list(found.values())


def rows_of(gradients: dict[Leaf, Any]) -> list[Any]:
    """The gradients as arrays; of a RowGradient, its rows."""
    return [g.rows if type(g) is RowGradient else g for g in gradients.values()]


def by_kernel(name: str, arrays: list[Any], *settings: Any) -> Any:
    """What a kernel of the backend makes of arrays on one device; NotImplemented without one."""
    xp: Any = backend_of(arrays[0])
    kernel = xp.kernel(name) if current.get().fast else None
    if kernel is None:
        return NotImplemented
    with on_device_of(arrays[0]):
        return kernel(arrays, *settings)


def put(gradients: dict[Leaf, Any], arrays: list[Any]) -> None:
    """Make each array the gradient of its leaf, of a RowGradient the rows."""
    new = iter(arrays)
    for leaf, g in gradients.items():
        leaf.grad = g.map(lambda xp, rows: next(new)) if type(g) is RowGradient else next(new)


def replace(gradients: dict[Leaf, Any], function: Callable[[Any, Any], Any]) -> None:
    """Replace each leaf's gradient by function(backend, gradient)."""
    for leaf, g in gradients.items():
        with on_device_of(g):
            if type(g) is RowGradient:
                leaf.grad = g.map(function)
            else:
                xp: Any = backend_of(g)
                leaf.grad = xp.asarray(function(xp, g))


def beside(like: Any, x: Any) -> Any:
    """x on the device of another array."""
    device = device_of(like)
    return x if device_of(x) == device else backend_of(x).to_device(x, device)
