"""Parameters and gradients flattened into one array, and back."""

from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.backends import by_type
from minidl.backends.registry import on_device_of
from minidl.backends.rows import RowGradient


def dense_gradient(p: Tensor) -> Any:
    """The gradient accumulated at a leaf tensor, as a dense array; None if there is none."""
    edge: Any = p.edge
    gradient = None if edge is None else edge[0].grad
    if type(gradient) in by_type:
        return gradient
    if type(gradient) is RowGradient:
        return gradient.dense()
    return gradient.data if isinstance(gradient, Tensor) else gradient


def copied(array: Any) -> Tensor:
    """A copy of an array, on its device, as a tensor."""
    with on_device_of(array):
        return Tensor(array.copy())


def flatten(xp: Any, arrays: list[Any]) -> Any:
    """Arrays of any shape, concatenated into one of one axis."""
    return xp.concat([array.reshape(-1) for array in arrays])


def unflatten(flat: Any, params: list[Tensor]) -> list[Any]:
    """Views of a flat array, one for each parameter, in its shape."""
    views, start = [], 0
    for p in params:
        array = p.data
        stop = start + array.size
        views.append(flat[start:stop].reshape(array.shape))
        start = stop
    return views
