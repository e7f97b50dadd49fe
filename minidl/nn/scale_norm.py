"""Normalisation by size alone, as layers."""

from collections.abc import Sequence
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn import init
from minidl.nn.module import Module, Parameter, shape_error


class RMSNorm(Module):
    """y = x / √(mean(x²) + eps) · weight over the last axes.

    normalized_shape    the lengths of these axes, or of the one: an int
    eps                 None: the distance from 1 to the next number of the input's dtype

    Zhang, Sennrich 2019.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        one = isinstance(normalized_shape, int)
        self.normalized_shape = (normalized_shape,) if one else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = None
        if elementwise_affine:
            self.weight = Parameter(ops.empty(self.normalized_shape, dtype=dtype, device=device))
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

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(Module):
    """y = x / (k + α/size · Σ x²)^β, the sum over `size` channels around each.

    Krizhevsky, Sutskever, Hinton 2012.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *) → the same."""
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
