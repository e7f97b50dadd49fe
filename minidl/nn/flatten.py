"""Flatten and Unflatten: several axes as one, and one as several."""

from collections.abc import Sequence

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_axes, check_shape
from minidl.nn.module import Module


class Flatten(Module):
    """Merge the axes from start_dim to end_dim into one.

    >>> nn.Flatten()(minidl.zeros((2, 3, 4, 5))).shape
    (2, 60)
    >>> nn.Flatten(0, 1)(minidl.zeros((2, 3, 4, 5))).shape
    (6, 4, 5)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        check_axes(self, start_dim=start_dim, end_dim=end_dim)
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) → (N, product of the rest), by default."""
        return ops.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split one axis into several, of these lengths.

    >>> nn.Unflatten(1, (2, 3))(minidl.zeros((5, 6))).shape
    (5, 2, 3)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        check_axes(self, dim=dim)
        check_shape(self, -1, unflattened_size=unflattened_size)
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        return ops.unflatten(x, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
