"""Parameters and gradients flattened into one array, and back."""

from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.backends.rows import RowGradient


def gradient_of(p: Tensor) -> Any:
    """The gradient accumulated at a leaf tensor, without the checks of `p.grad`; None if none."""
    leaf: Any = None if p.edge is None else p.edge[0]
    return None if leaf is None else leaf.grad


def dense_gradient(p: Tensor) -> Any:
    """The accumulated gradient as a dense array, whatever its form; None if there is none."""
    leaf: Any = None if p.edge is None else p.edge[0]
    gradient = None if leaf is None else leaf.grad
    if type(gradient) is RowGradient:
        return gradient.dense()
    return gradient.data if isinstance(gradient, Tensor) else gradient


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
