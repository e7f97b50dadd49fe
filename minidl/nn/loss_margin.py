"""Losses as layers that are 0 once what is right is ahead by a margin."""

from collections.abc import Callable
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, check_numbers
from minidl.errors import DTypeError, describe
from minidl.nn.distance import PairwiseDistance
from minidl.nn.loss import _Loss, _WeightedLoss


class HingeEmbeddingLoss(_Loss):
    """x where target is 1, max(0, margin − x) where it is −1; x is a distance.

    >>> distance, target = minidl.tensor([0.25, 0.25]), minidl.tensor([1.0, -1.0])
    >>> nn.HingeEmbeddingLoss(reduction="none")(distance, target)
    Tensor([0.25, 0.75], float32)
    """

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        check_numbers(self, margin=margin)
        self.margin = margin

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.hinge_embedding_loss(x, target, self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + exp(−target·x)), of targets −1 and 1.

    >>> x, target = minidl.tensor([2.0, 2.0]), minidl.tensor([1.0, -1.0])
    >>> [round(y, 4) for y in nn.SoftMarginLoss(reduction="none")(x, target).tolist()]
    [0.1269, 2.1269]
    """

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.soft_margin_loss(x, target, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """Σ_{j ≠ t} w[t]·max(0, margin − x[t] + x[j])ᵖ / C for the true class t.  Crammer, Singer 2001.

    >>> scores = minidl.tensor([[0.5, 0.0, 1.0, -1.0]])
    >>> nn.MultiMarginLoss()(scores, minidl.tensor([2]))
    Tensor(0.125, float32)
    """

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction=reduction)
        check_integers(self, 1, p=p)
        check_numbers(self, margin=margin)
        self.p, self.margin = p, margin

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """x (N, C), target (N,) of class indices."""
        settings = self.p, self.margin, self.weight
        return ops.multi_margin_loss(x, target, *settings, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Σ_t Σ_j max(0, 1 − (x[t] − x[j])) / C for the true classes t and all others j.

    >>> scores, target = minidl.tensor([[1.0, 0.5, 3.0, 0.0]]), minidl.tensor([[2, 0, -1, -1]])
    >>> nn.MultiLabelMarginLoss()(scores, target)
    Tensor(0.125, float32)
    """

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """x (N, C), target (N, C): the indices of the true classes, then −1."""
        return ops.multilabel_margin_loss(x, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean of the binary cross-entropies of the C classes of each sample, from logits.

    >>> logits, target = minidl.tensor([[0.0, 0.0]]), minidl.tensor([[1.0, 0.0]])
    >>> round(float(nn.MultiLabelSoftMarginLoss()(logits, target)), 4)
    0.6931
    """

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Both (N, C)."""
        settings = {"reduction": self.reduction}
        return ops.multilabel_soft_margin_loss(x, target, self.weight, **settings)


class MarginRankingLoss(_Loss):
    """max(0, −target·(x₁ − x₂) + margin): target 1 wants x₁ above x₂, and −1 below.

    >>> x1, x2 = minidl.tensor([2.0, 2.0]), minidl.tensor([1.0, 1.0])
    >>> nn.MarginRankingLoss(reduction="none")(x1, x2, minidl.tensor([1.0, -1.0]))
    Tensor([0., 1.], float32)
    """

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        check_numbers(self, margin=margin)
        self.margin = margin

    def forward(self, x1: Tensor, x2: Tensor, target: Tensor) -> Tensor:
        """All of one shape."""
        return ops.margin_ranking_loss(x1, x2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 − cos(x₁, x₂) where target is 1, max(0, cos(x₁, x₂) − margin) where it is −1.

    >>> x = minidl.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> nn.CosineEmbeddingLoss(reduction="none")(x, x, minidl.tensor([1.0, -1.0]))
    Tensor([0., 1.], float32)
    """

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        check_numbers(self, margin=margin)
        self.margin = margin

    def forward(self, x1: Tensor, x2: Tensor, target: Tensor) -> Tensor:
        """x₁ and x₂ (N, D), target (N,)."""
        return ops.cosine_embedding_loss(x1, x2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """max(0, ‖a − p‖ − ‖a − n‖ + margin); with swap, ‖p − n‖ instead of ‖a − n‖ if smaller.

    Balntas et al. 2016.

    >>> anchor, near = minidl.tensor([[0.0, 0.0]]), minidl.tensor([[1.0, 0.0]])
    >>> nn.TripletMarginLoss(eps=0.0)(anchor, near, minidl.tensor([[1.5, 0.0]]))
    Tensor(0.5, float32)
    >>> nn.TripletMarginLoss(eps=0.0)(anchor, near, minidl.tensor([[0.0, 2.0]]))
    Tensor(0., float32)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        check_numbers(self, margin=margin)
        check_numbers(self, above=0, p=p)
        check_numbers(self, 0, eps=eps)
        check_flags(self, swap=swap)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """All (N, D)."""
        settings = self.margin, self.p, self.eps, self.swap
        return ops.triplet_margin_loss(
            anchor, positive, negative, *settings, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """max(0, d(a, p) − d(a, n) + margin), of any distance d; else as TripletMarginLoss.

    distance_function    of two tensors; pairwise_distance if left out

    >>> anchor, near = minidl.tensor([[0.0, 0.0]]), minidl.tensor([[1.0, 0.0]])
    >>> city_blocks = lambda a, b: minidl.sum(minidl.abs(a - b), axis=-1)
    >>> loss = nn.TripletMarginWithDistanceLoss(distance_function=city_blocks)
    >>> loss(anchor, near, minidl.tensor([[1.0, 0.5]]))
    Tensor(0.5, float32)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if distance_function is not None and not callable(distance_function):
            raise DTypeError(
                "TripletMarginWithDistanceLoss: distance_function is a function; got "
                f"{describe(distance_function)}"
            )
        check_numbers(self, above=0, margin=margin)
        check_flags(self, swap=swap)
        self.distance_function = (
            PairwiseDistance() if distance_function is None else distance_function
        )
        self.margin, self.swap = margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """All (N, D), or what the distance takes."""
        return ops.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
