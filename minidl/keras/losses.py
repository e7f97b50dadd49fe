"""Losses under Keras's names, computed by `minidl.train.losses`."""

from minidl.train.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
]


class SparseCategoricalCrossentropy(CrossEntropy):
    """−log p[class], for class numbers (N,) or (N, 1).

    >>> from minidl.keras import losses
    >>> loss = losses.SparseCategoricalCrossentropy()
    >>> round(loss(minidl.tensor([[0.25, 0.75]]), minidl.tensor([1])).item(), 4)
    0.2877
    """

    def __init__(self, from_logits: bool = False) -> None:
        super().__init__(from_logits=from_logits)


class CategoricalCrossentropy(CrossEntropy):
    """−Σ target·log p, for targets (N, C) that are one-hot or probabilities.

    >>> from minidl.keras import losses
    >>> loss = losses.CategoricalCrossentropy()
    >>> round(loss(minidl.tensor([[0.25, 0.75]]), minidl.tensor([[0.0, 1.0]])).item(), 4)
    0.2877
    """

    def __init__(self, from_logits: bool = False) -> None:
        super().__init__(from_logits=from_logits)


class BinaryCrossentropy(BinaryCrossEntropy):
    """−target·log p − (1 − target)·log(1 − p), for targets 0 and 1.

    >>> from minidl.keras import losses
    >>> loss = losses.BinaryCrossentropy()
    >>> round(loss(minidl.tensor([[0.75]]), minidl.tensor([[1.0]])).item(), 4)
    0.2877
    """

    def __init__(self, from_logits: bool = False) -> None:
        super().__init__(from_logits=from_logits)
