"""Normalisation by size alone, as layers."""

from collections.abc import Sequence
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn import init
from minidl.nn.module import Module, Parameter, shape_error
from minidl.nn.settings import check_flags, check_numbers, check_shape, check_whole, empty


class RMSNorm(Module):
    """y = x / √(mean(x²) + eps) · weight over the last axes.

    normalized_shape    the lengths of these axes, or of the one: an int
    eps                 None: the distance from 1 to the next number of the input's dtype

    Zhang, Sennrich 2019.

    >>> layer = nn.RMSNorm(2, eps=0.0)
    >>> layer(minidl.tensor([[1.0, 1.0], [7.0, -1.0]])).detach()
    Tensor([[ 1. ,  1. ],
            [ 1.4, -0.2]], shape=(2, 2), float32)
    >>> [name for name, _ in layer.named_parameters()]
    ['weight']
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_shape(self, normalized_shape=normalized_shape)
        if eps is not None:
            check_numbers(self, 0, eps=eps)
        check_flags(self, elementwise_affine=elementwise_affine)
        several = isinstance(normalized_shape, tuple | list)
        self.normalized_shape = tuple(normalized_shape) if several else (normalized_shape,)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = None
        if elementwise_affine:
            self.weight = Parameter(empty(self, self.normalized_shape, dtype, device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Write 1 into the weight."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, *normalized_shape) → the same."""
        shape = self.normalized_shape
        if getattr(x, "shape", ())[-len(shape) :] != shape:
            needs = ", ".join(map(str, ("…", *shape)))
            raise shape_error(f"RMSNorm({shape})", f"({needs})", x)
        return ops.rms_norm(x, self.weight, normalized_shape=shape, eps=self.eps)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Tensor) -> int:
        """Each number is scaled once, if there is a weight."""
        return 0 if self.weight is None else output.size

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(Module):
    """y = x / (k + α/size · Σ x²)^β, the sum over `size` channels around each.

    Krizhevsky, Sutskever, Hinton 2012.

    >>> x = minidl.ones((1, 4, 1))
    >>> nn.LocalResponseNorm(size=3, alpha=3.0, beta=1.0, k=2.0)(x).reshape(4)
    Tensor([0.25, 0.2 , 0.2 , 0.25], float32)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        check_whole(self, 1, size=size)
        check_numbers(self, alpha=alpha, beta=beta, k=k)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *) → the same."""
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
