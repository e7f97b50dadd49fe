"""Distance and similarity layers."""

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_axes, check_flags, check_numbers
from minidl.nn.module import Module


class CosineSimilarity(Module):
    """x₁·x₂ / (max(‖x₁‖, eps)·max(‖x₂‖, eps)) along `dim`, which is removed.

    >>> x = minidl.tensor([[1.0, 0.0], [3.0, 4.0]])
    >>> nn.CosineSimilarity()(x, minidl.tensor([[0.0, 2.0], [6.0, 8.0]]))
    Tensor([0., 1.], float32)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        check_axes(self, dim=dim)
        check_numbers(self, 0, eps=eps)
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return ops.cosine_similarity(x1, x2, axis=self.dim, eps=self.eps)


class PairwiseDistance(Module):
    """‖x₁ − x₂ + eps‖ₚ along the last axis, which is removed unless `keepdim`.

    >>> x = minidl.tensor([[0.0, 0.0], [1.0, 1.0]])
    >>> nn.PairwiseDistance(eps=0.0)(x, minidl.tensor([[3.0, 4.0], [1.0, 1.0]]))
    Tensor([5., 0.], float32)
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        check_numbers(self, p=p)
        check_numbers(self, 0, eps=eps)
        check_flags(self, keepdim=keepdim)
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return ops.pairwise_distance(x1, x2, self.norm, eps=self.eps, keepdims=self.keepdim)
