"""Losses as layers: of classes, numbers, probabilities and sequences.

`reduction` is "mean", "sum" or "none".  What each layer computes, the function of its name in
`minidl.ops` says.
"""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn.module import Buffer, Module


class _Loss(Module):
    """What losses share: how they are reduced, and weights that belong to their state."""

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a weight, which is a buffer, or None."""

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight = None if weight is None else Buffer(weight)


class CrossEntropyLoss(_WeightedLoss):
    """−log softmax(logits)[target], with weights of the classes.

    Class numbers equal to ignore_index do not count; label_smoothing is the share of the target
    that goes to all classes alike.
    """

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (N, C, …), target (N, …) of class numbers, or probabilities like the logits."""
        return ops.cross_entropy(
            logits,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """−log p[target], of logarithms of probabilities, with weights of the classes."""

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index

    def forward(self, log_p: Tensor, target: Tensor) -> Tensor:
        """log_p (N, C, …), target (N, …) of class numbers."""
        settings = {"ignore_index": self.ignore_index, "reduction": self.reduction}
        return ops.nll_loss(log_p, target, self.weight, **settings)


class MSELoss(_Loss):
    """(prediction − target)²."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.mse_loss(prediction, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|prediction − target|."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.l1_loss(prediction, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """e²/(2·beta) where |e| < beta, else |e| − beta/2; e = prediction − target."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.smooth_l1_loss(prediction, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """e²/2 where |e| ≤ delta, else delta·(|e| − delta/2); e = prediction − target."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.huber_loss(prediction, target, self.reduction, self.delta)


class PoissonNLLLoss(_Loss):
    """λ − target·log λ, of a prediction log λ; without log_input, of λ."""

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        *,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        settings = {"eps": self.eps, "reduction": self.reduction}
        return ops.poisson_nll_loss(prediction, target, self.log_input, self.full, **settings)


class GaussianNLLLoss(_Loss):
    """(log v + (prediction − target)²/v) / 2, v = max(var, eps)."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, prediction: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """All of one shape; var also without its last axis, or one number."""
        settings = {"eps": self.eps, "reduction": self.reduction}
        return ops.gaussian_nll_loss(prediction, target, var, self.full, **settings)


class BCELoss(_WeightedLoss):
    """−target·log p − (1 − target)·log(1 − p), with logarithms of no less than −100."""

    def forward(self, p: Tensor, target: Tensor) -> Tensor:
        """Both of one shape, from 0 to 1."""
        return ops.binary_cross_entropy(p, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """−pos_weight·target·log p − (1 − target)·log(1 − p), p = sigmoid(logits)."""

    def __init__(
        self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.pos_weight = None if pos_weight is None else Buffer(pos_weight)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Both of one shape; targets from 0 to 1."""
        settings = {"reduction": self.reduction, "pos_weight": self.pos_weight}
        return ops.binary_cross_entropy_with_logits(logits, target, self.weight, **settings)


class KLDivLoss(_Loss):
    """target·(log target − log p); reduction may be "batchmean", too: the divergence."""

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target

    def forward(self, log_p: Tensor, target: Tensor) -> Tensor:
        """Both of one shape: logarithms of probabilities, and probabilities or their logarithms."""
        settings = {"reduction": self.reduction, "log_target": self.log_target}
        return ops.kl_div(log_p, target, **settings)


class CTCLoss(_Loss):
    """−log of the probability of a labelling that is not aligned with its sequence."""

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        """log_probs (T, N, C), targets (N, S) or end to end, and how much of each counts."""
        lengths = input_lengths, target_lengths
        settings = self.blank, self.reduction, self.zero_infinity
        return ops.ctc_loss(log_probs, targets, *lengths, *settings)
