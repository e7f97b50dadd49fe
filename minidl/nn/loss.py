"""Losses as layers."""

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn.module import Module


class CrossEntropyLoss(Module):
    """−log softmax(logits)[target]; reduction is "mean", "sum" or "none"."""

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (N, C, …), target (N, …) of class numbers, or probabilities like the logits."""
        return ops.cross_entropy(logits, target, reduction=self.reduction)


class MSELoss(Module):
    """(prediction − target)²; reduction is "mean", "sum" or "none"."""

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        return ops.mse_loss(prediction, target, reduction=self.reduction)
