"""Loss layers: classification, regression, probabilities and sequences.

`reduction` is "mean", "sum" or "none".  What each layer computes, the function of its name in
`minidl.ops` says.
"""

from typing import Any, ClassVar

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_flags, check_integers, check_numbers
from minidl.nn.module import Buffer, Module


class _Loss(Module):
    """What losses share: how they are reduced, and weights that belong to their state."""

    _reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")

    def __init__(self, *, reduction: str = "mean") -> None:
        check_choice(self, self._reductions, reduction=reduction)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a weight, which is a buffer, or None."""

    weight: Buffer | None

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """−log softmax(logits)[target], with weights of the classes.

    Targets equal to ignore_index are ignored; label_smoothing is the fraction of the target that
    is spread over all classes.

    >>> logits, target = minidl.tensor([[2.0, 0.0], [0.0, 0.0]]), minidl.tensor([0, 1])
    >>> round(float(nn.CrossEntropyLoss()(logits, target)), 4)
    0.41
    >>> [round(y, 4) for y in nn.CrossEntropyLoss(reduction="none")(logits, target).tolist()]
    [0.1269, 0.6931]
    >>> round(float(nn.CrossEntropyLoss(ignore_index=1)(logits, target)), 4)
    0.1269
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
        check_integers(self, ignore_index=ignore_index)
        check_numbers(self, 0, 1, label_smoothing=label_smoothing)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (N, C, …), target (N, …) of class indices, or probabilities like the logits."""
        return ops.cross_entropy(
            logits,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """−log p[target], of logarithms of probabilities, with weights of the classes.

    >>> log_p = minidl.log(minidl.tensor([[0.5, 0.5], [0.25, 0.75]]))
    >>> losses = nn.NLLLoss(reduction="none")(log_p, minidl.tensor([0, 0]))
    >>> [round(loss, 4) for loss in losses.tolist()]
    [0.6931, 1.3863]
    """

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction=reduction)
        check_integers(self, ignore_index=ignore_index)
        self.ignore_index = ignore_index

    def forward(self, log_p: Tensor, target: Tensor) -> Tensor:
        """log_p (N, C, …), target (N, …) of class indices."""
        settings = {"ignore_index": self.ignore_index, "reduction": self.reduction}
        return ops.nll_loss(log_p, target, self.weight, **settings)


class MSELoss(_Loss):
    """(prediction − target)².

    >>> prediction, target = minidl.tensor([1.0, 5.0]), minidl.tensor([1.5, 2.0])
    >>> nn.MSELoss()(prediction, target)
    Tensor(4.625, float32)
    >>> nn.MSELoss(reduction="none")(prediction, target)
    Tensor([0.25, 9.  ], float32)
    """

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.mse_loss(prediction, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|prediction − target|.

    >>> prediction, target = minidl.tensor([1.0, 5.0]), minidl.tensor([1.5, 2.0])
    >>> nn.L1Loss(reduction="sum")(prediction, target)
    Tensor(3.5, float32)
    """

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.l1_loss(prediction, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """e²/(2·beta) where |e| < beta, else |e| − beta/2; e = prediction − target.  Girshick 2015.

    >>> prediction, target = minidl.tensor([1.0, 5.0]), minidl.tensor([1.5, 2.0])
    >>> nn.SmoothL1Loss(reduction="none")(prediction, target)
    Tensor([0.125, 2.5  ], float32)
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        check_numbers(self, 0, beta=beta)
        self.beta = beta

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.smooth_l1_loss(prediction, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """e²/2 where |e| ≤ delta, else delta·(|e| − delta/2); e = prediction − target.  Huber 1964.

    >>> prediction, target = minidl.tensor([1.0, 5.0]), minidl.tensor([1.5, 2.0])
    >>> nn.HuberLoss(reduction="none", delta=2.0)(prediction, target)
    Tensor([0.125, 4.   ], float32)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        check_numbers(self, above=0, delta=delta)
        self.delta = delta

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.huber_loss(prediction, target, self.reduction, self.delta)


class PoissonNLLLoss(_Loss):
    """λ − target·log λ, of a prediction log λ; without log_input, of λ.

    >>> rate, target = minidl.tensor([1.0]), minidl.tensor([3.0])
    >>> nn.PoissonNLLLoss()(minidl.log(rate), target)
    Tensor(1., float32)
    >>> nn.PoissonNLLLoss(log_input=False)(rate, target)
    Tensor(1., float32)
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        *,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        check_flags(self, log_input=log_input, full=full)
        check_numbers(self, 0, eps=eps)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        settings = {"eps": self.eps, "reduction": self.reduction}
        return ops.poisson_nll_loss(prediction, target, self.log_input, self.full, **settings)


class GaussianNLLLoss(_Loss):
    """(log v + (prediction − target)²/v) / 2, v = max(var, eps).  Nix, Weigend 1994.

    >>> prediction, target = minidl.tensor([1.0, 5.0]), minidl.tensor([1.5, 2.0])
    >>> losses = nn.GaussianNLLLoss(reduction="none")(prediction, target, minidl.tensor([1.0, 9.0]))
    >>> [round(loss, 4) for loss in losses.tolist()]
    [0.125, 1.5986]
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        check_flags(self, full=full)
        check_numbers(self, above=0, eps=eps)
        self.full, self.eps = full, eps

    def forward(self, prediction: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """All of one shape; var also without its last axis, or one scalar."""
        settings = {"eps": self.eps, "reduction": self.reduction}
        return ops.gaussian_nll_loss(prediction, target, var, self.full, **settings)


class BCELoss(_WeightedLoss):
    """−target·log p − (1 − target)·log(1 − p), with logarithms of no less than −100.

    >>> p, target = minidl.tensor([0.5, 0.0]), minidl.tensor([1.0, 1.0])
    >>> [round(y, 4) for y in nn.BCELoss(reduction="none")(p, target).tolist()]
    [0.6931, 100.0]
    """

    def forward(self, p: Tensor, target: Tensor) -> Tensor:
        """Both of one shape, from 0 to 1."""
        return ops.binary_cross_entropy(p, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """−pos_weight·target·log p − (1 − target)·log(1 − p), p = sigmoid(logits).

    >>> logits, target = minidl.tensor([0.0, 1000.0]), minidl.tensor([1.0, 1.0])
    >>> [round(y, 4) for y in nn.BCEWithLogitsLoss(reduction="none")(logits, target).tolist()]
    [0.6931, 0.0]
    """

    pos_weight: Buffer | None

    def __init__(
        self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Both of one shape; targets from 0 to 1."""
        settings = {"reduction": self.reduction, "pos_weight": self.pos_weight}
        return ops.binary_cross_entropy_with_logits(logits, target, self.weight, **settings)


class KLDivLoss(_Loss):
    """target·(log target − log p); reduction may be "batchmean", too: the divergence.

    Kullback, Leibler 1951.

    >>> p, target = minidl.tensor([[0.5, 0.5]]), minidl.tensor([[0.25, 0.75]])
    >>> round(float(nn.KLDivLoss(reduction="batchmean")(minidl.log(p), target)), 4)
    0.1308
    """

    _reductions: ClassVar = ("mean", "sum", "none", "batchmean")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        check_flags(self, log_target=log_target)
        self.log_target = log_target

    def forward(self, log_p: Tensor, target: Tensor) -> Tensor:
        """Both of one shape: logarithms of probabilities, and probabilities or their logarithms."""
        settings = {"reduction": self.reduction, "log_target": self.log_target}
        return ops.kl_div(log_p, target, **settings)


class CTCLoss(_Loss):
    """−log of the probability of a labelling that is not aligned with its sequence.

    Graves et al. 2006.

    >>> log_probs = minidl.log_softmax(minidl.zeros((4, 1, 3)), axis=-1)
    >>> lengths = minidl.tensor([4]), minidl.tensor([2])
    >>> loss = nn.CTCLoss()(log_probs, minidl.tensor([[1, 2]]), *lengths)
    >>> round(float(loss), 4)
    0.8432
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        check_integers(self, 0, blank=blank)
        check_flags(self, zero_infinity=zero_infinity)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        """log_probs (T, N, C), targets (N, S) or end to end, and how much of each counts."""
        lengths = input_lengths, target_lengths
        settings = self.blank, self.reduction, self.zero_infinity
        return ops.ctc_loss(log_probs, targets, *lengths, *settings)
