"""Losses under Keras's names, called as there, `loss(y_true, y_pred)`."""

from collections.abc import Callable
from typing import Any

from minidl import nn, ops, train
from minidl.autograd.tensor import Tensor
from minidl.checks import check_probability
from minidl.errors import ArgumentError
from minidl.train import losses

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "in_minidl_order",
]


class Loss(losses.Loss):
    """The base class of losses: a subclass defines `call(y_true, y_pred)`, one loss per sample.

    >>> from minidl.keras import losses
    >>> class Quantile(losses.Loss):
    ...     def call(self, y_true, y_pred):
    ...         error = y_true - y_pred
    ...         return minidl.maximum(0.9 * error, -0.1 * error)
    >>> round(Quantile()([1.0, 0.0], [0.0, 1.0]).item(), 2)  # (0.9 + 0.1) / 2
    0.5

    name    what Keras calls it; it makes no difference
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
        **settings: Any,
    ) -> None:
        if reduction not in ("sum_over_batch_size", "mean") or dtype is not None:
            raise ArgumentError(
                f"{type(self).__name__}: is the mean over the samples; reduction={reduction!r:.40} "
                f"and dtype={dtype!r:.40} of Keras are not offered here"
            )
        super().__init__(**settings)
        if name is not None:
            self.name = name

    def __init_subclass__(cls, **settings: Any) -> None:
        """A `call` of its own is the formula of any subclass."""
        super().__init_subclass__(**settings)
        if "call" in vars(cls) and "mean" not in vars(cls):
            cls.mean = Loss.mean  # type: ignore[method-assign]

    def __call__(self, y_true: Any, y_pred: Any) -> Tensor:
        """The mean over all samples."""
        return super().__call__(y_pred, y_true)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Any:
        """The loss of each sample."""
        raise TypeError(f"{type(self).__name__} has no formula: it must define call")

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over all samples."""
        return ops.mean(ops.asarray(self.call(_of_rank(prediction, target), prediction)))


class MeanSquaredError(Loss, losses.MeanSquaredError):
    """The mean of (y_pred − y_true)².

    >>> from minidl.keras import losses
    >>> losses.MeanSquaredError()([1.0, 5.0], [[1.0], [2.0]]).item()
    4.5
    """

    mean = losses.MeanSquaredError.mean


class MeanAbsoluteError(Loss, losses.MeanAbsoluteError):
    """The mean of |y_pred − y_true|.

    >>> from minidl.keras import losses
    >>> losses.MeanAbsoluteError()([1.0, 5.0], [[1.0], [2.0]]).item()
    1.5
    """

    mean = losses.MeanAbsoluteError.mean


class Huber(Loss, losses.Huber):
    """½·e² where |e| ≤ delta, else delta·(|e| − ½·delta); e = y_pred − y_true.

    >>> from minidl.keras import losses
    >>> losses.Huber(delta=1.0)([0.0], [10.0]).item()
    9.5
    """

    mean = losses.Huber.mean


class SparseCategoricalCrossentropy(Loss, losses.CrossEntropy):
    """−log p[class], for class numbers (N,) or (N, 1); those of `ignore_class` are left out.

    >>> from minidl.keras import losses
    >>> loss = losses.SparseCategoricalCrossentropy()
    >>> round(loss(minidl.tensor([1]), minidl.tensor([[0.25, 0.75]])).item(), 4)
    0.2877
    """

    mean = losses.CrossEntropy.mean

    def __init__(
        self, from_logits: bool = False, ignore_class: int | None = None, **common: Any
    ) -> None:
        super().__init__(from_logits=from_logits, ignore_index=ignore_class, **common)


class CategoricalCrossentropy(Loss, losses.CrossEntropy):
    """−Σ target·log p, for targets (N, C) that are one-hot or probabilities.

    label_smoothing    the fraction of each target that is spread evenly over the classes

    >>> from minidl.keras import losses
    >>> loss = losses.CategoricalCrossentropy()
    >>> round(loss(minidl.tensor([[0.0, 1.0]]), minidl.tensor([[0.25, 0.75]])).item(), 4)
    0.2877
    """

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, **common: Any
    ) -> None:
        super().__init__(from_logits=from_logits, **common)
        check_probability("CategoricalCrossentropy", label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over all samples."""
        spread = 1 / prediction.shape[1] if prediction.ndim > 1 and prediction.shape[1] else 0.0
        target = _smoothed(prediction, target, self.label_smoothing, spread)
        return losses.CrossEntropy.mean(self, prediction, target)


class BinaryCrossentropy(Loss, losses.BinaryCrossEntropy):
    """−target·log p − (1 − target)·log(1 − p), for targets 0 and 1.

    label_smoothing    the fraction of each target that is replaced by ½

    >>> from minidl.keras import losses
    >>> loss = losses.BinaryCrossentropy()
    >>> round(loss(minidl.tensor([[1.0]]), minidl.tensor([[0.75]])).item(), 4)
    0.2877
    """

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, **common: Any
    ) -> None:
        super().__init__(from_logits=from_logits, **common)
        check_probability("BinaryCrossentropy", label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over all samples."""
        target = _smoothed(prediction, target, self.label_smoothing, 0.5)
        return losses.BinaryCrossEntropy.mean(self, prediction, target)


def _smoothed(prediction: Tensor, target: Tensor, fraction: float, spread: float) -> Tensor:
    """The target with this fraction of it replaced by a constant."""
    if not fraction:
        return target
    target = target if target.dtype.kind == "f" else target.astype(prediction.dtype)
    return target * (1 - fraction) + fraction * spread


def in_minidl_order(loss: Any) -> Callable[[Any, Any], Tensor]:
    """A loss as the Trainer calls it, (prediction, target).

    Losses of this module, and functions that a program defines, take (y_true, y_pred), and may give
    one number per sample.  Those of `minidl` itself take (prediction, target) already.

    >>> from minidl.keras import losses
    >>> loss = losses.in_minidl_order(lambda y_true, y_pred: y_true - y_pred)
    >>> loss(minidl.tensor([[1.0]]), minidl.tensor([5.0])).item()
    4.0
    """
    if isinstance(loss, Loss):
        if has_own_formula(loss):
            return lambda prediction, target: loss(target, prediction)
        computed = next(k for k in type(loss).__mro__ if k in _COMPUTED)
        plain = object.__new__(computed)
        vars(plain).update(vars(loss))
        return plain
    if isinstance(loss, nn.Module | train.Loss) or _is_minidls(loss):
        return loss

    def mean(prediction: Tensor, target: Tensor) -> Tensor:
        """Keras's reduction: the mean over all samples."""
        return ops.mean(ops.asarray(loss(_of_rank(prediction, target), prediction)))

    return mean


_COMPUTED: set[type[losses.Loss]] = {
    losses.CrossEntropy,
    losses.BinaryCrossEntropy,
    losses.MeanSquaredError,
    losses.MeanAbsoluteError,
    losses.Huber,
}


_SMOOTHED = CategoricalCrossentropy.mean, BinaryCrossentropy.mean


def has_own_formula(loss: Any) -> bool:
    """Whether a loss of this module is none that `minidl.train` computes too."""
    if not isinstance(loss, Loss):
        return False
    known = [kind.mean for kind in _COMPUTED] + list(_SMOOTHED)
    return type(loss).mean not in known or bool(getattr(loss, "label_smoothing", 0))


def _is_minidls(loss: Any) -> bool:
    return getattr(loss, "__module__", None) is not None and loss.__module__.startswith("minidl.")


def _of_rank(prediction: Tensor, target: Tensor) -> Tensor:
    """The target (N,) of a prediction (N, 1) in its shape, and the other way round, as in Keras."""
    if prediction.shape == (*target.shape, 1) or target.shape == (*prediction.shape, 1):
        return target.reshape(prediction.shape)
    return target
