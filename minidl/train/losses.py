"""Loss functions, by class and by name, on probabilities or on logits.

Names, values and defaults are Keras's.  Cross-entropies clip probabilities to [ε, 1 − ε],
ε = 10⁻⁷, before taking their logarithm; logits need no clipping.
"""

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers
from minidl.errors import ArgumentError, BoundsError, MinidlError, ShapeError, raise_explained
from minidl.ops import asarray

_T = TypeVar("_T")
_EPSILON = 1e-7
_NONE = -(2**31)  # no label that a program has


class Loss:
    """The base class of losses: called with a prediction and a target, the mean over all samples.

    A subclass defines `mean`, of two tensors.

    squash         the layer that turns logits into probabilities, for a loss on probabilities
    from_logits    whether predictions are logits, the input of that layer

    >>> class Hinge(minidl.train.Loss):
    ...     def mean(self, prediction, target):
    ...         return minidl.mean(minidl.maximum(1 - target * prediction, 0))
    >>> Hinge()([0.5, -2.0], [1.0, 1.0]).item()
    1.75
    """

    squash: type[nn.Module] | None = None
    from_logits = False

    def __call__(self, prediction: Any, target: Any) -> Tensor:
        """The mean over all samples; errors name the loss."""
        try:
            return self.mean(_tensor(prediction), _tensor(target))
        except MinidlError as error:
            raise_explained(type(self).__name__, (prediction, target), error)

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over all samples."""
        raise TypeError(f"{type(self).__name__} has no formula: it must define mean")

    def __repr__(self) -> str:
        given = {name: value for name, value in vars(self).items() if value is not None}
        settings = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return f"{type(self).__name__}({settings})"


class CrossEntropy(Loss):
    """−Σ target·log p, where p are the class probabilities; or −log p[target].

    prediction     (N, C) or (N, C, …): probabilities, which are normalised to sum 1; or logits
    target         class labels (N, …), with (N, 1) accepted for (N,); or probabilities, or one-hot
                   vectors, of the prediction's shape

    ignore_index   a class label that is left out of the mean, or None

    A label outside 0 … C − 1 is a BoundsError that names its position.

    >>> loss = minidl.train.CrossEntropy()
    >>> round(loss([[0.5, 0.5], [0.25, 0.75]], [0, 1]).item(), 4)  # (log 2 + log 4/3) / 2
    0.4904
    >>> round(minidl.train.CrossEntropy(from_logits=True)([[0.0, 0.0]], [1]).item(), 4)
    0.6931
    """

    squash = nn.Softmax

    def __init__(self, *, from_logits: bool = False, ignore_index: int | None = None) -> None:
        check_flags("CrossEntropy", from_logits=from_logits)
        if ignore_index is not None:
            check_integers("CrossEntropy", ignore_index=ignore_index)
        self.from_logits, self.ignore_index = from_logits, ignore_index

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over all samples."""
        epsilon = _epsilon(prediction)
        if target.shape == prediction.shape:
            target = target if target.dtype.kind == "f" else target.astype(prediction.dtype)
        elif prediction.ndim == 2 and target.shape == (prediction.shape[0], 1):
            target = target.reshape(-1)
        if not self.from_logits:
            p = prediction / prediction.sum(axis=min(1, prediction.ndim - 1), keepdims=True)
            # log p are valid logits, since Σ exp(log p) = 1
            if target.shape == prediction.shape:
                log_p = ops.log(ops.clip(p, epsilon, 1 - epsilon))
                return -(target * log_p).sum() / _rows(prediction)
            prediction = ops.log(ops.clip(p, epsilon, 1 - epsilon))
        try:
            ignored = _NONE if self.ignore_index is None else self.ignore_index
            if target.shape == prediction.shape:
                return ops.cross_entropy(prediction, target)
            return ops.cross_entropy(*_as_rows(prediction, target), ignore_index=ignored)
        except BoundsError:
            raise _no_such_class(target, prediction.shape[1], self.ignore_index) from None


class BinaryCrossEntropy(Loss):
    """−target·log p − (1 − target)·log(1 − p), the mean over all elements.

    prediction     probabilities of class 1, or logits
    target         0 or 1, or probabilities, of the same shape; (N,) for predictions (N, 1)

    From logits z, it is max(z, 0) − target·z + log(1 + exp −|z|), which cannot overflow.

    >>> round(minidl.train.BinaryCrossEntropy()([[0.5], [0.75]], [0, 1]).item(), 4)
    0.4904
    >>> minidl.train.BinaryCrossEntropy(from_logits=True)([1000.0], [0]).item()
    1000.0
    """

    squash = nn.Sigmoid

    def __init__(self, *, from_logits: bool = False) -> None:
        check_flags("BinaryCrossEntropy", from_logits=from_logits)
        self.from_logits = from_logits

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over all samples."""
        t = _like_prediction("BinaryCrossEntropy", prediction, target)
        if self.from_logits:
            return ops.binary_cross_entropy_with_logits(prediction, t)
        epsilon = _epsilon(prediction)
        p = ops.clip(prediction, epsilon, 1 - epsilon)
        return -ops.mean(t * ops.log(p) + (1 - t) * ops.log(1 - p))


class MeanSquaredError(Loss):
    """Mean of (prediction − target)², of equal shapes, or targets (N,) for predictions (N, 1).

    >>> minidl.train.MeanSquaredError()([[1.0], [2.0]], [1.0, 5.0]).item()
    4.5
    """

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over all samples."""
        return ops.mse_loss(prediction, _like_prediction("MeanSquaredError", prediction, target))


class MeanAbsoluteError(Loss):
    """Mean of |prediction − target|, of equal shapes, or targets (N,) for predictions (N, 1).

    >>> minidl.train.MeanAbsoluteError()([[1.0], [2.0]], [1.0, 5.0]).item()
    1.5
    """

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over all samples."""
        return ops.l1_loss(prediction, _like_prediction("MeanAbsoluteError", prediction, target))


class Huber(Loss):
    """½·e² where |e| ≤ delta, else delta·(|e| − ½·delta); e = prediction − target.  Huber 1964.

    >>> huber = minidl.train.Huber(delta=1.0)
    >>> huber([0.5], [0.0]).item(), huber([10.0], [0.0]).item()
    (0.125, 9.5)
    """

    def __init__(self, *, delta: float = 1.0) -> None:
        if not isinstance(delta, int | float | np.number) or not delta > 0:
            raise ArgumentError(f"Huber: delta is a number above 0; got {delta!r}")
        self.delta = delta

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over all samples."""
        target = _like_prediction("Huber", prediction, target)
        return ops.huber_loss(prediction, target, delta=self.delta)


LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy,
    "crossentropy": CrossEntropy,
    "categorical_crossentropy": CrossEntropy,
    "sparse_categorical_crossentropy": CrossEntropy,
    "binary_crossentropy": BinaryCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "bce": BinaryCrossEntropy,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "huber": Huber,
}


def loss_for(name: str, **settings: Any) -> Loss:
    """The loss registered under a name: `loss_for("cross_entropy", from_logits=True)`.

    Raises ArgumentError for an unknown name, listing the known ones.

    >>> minidl.train.loss_for("cross_entropy", from_logits=True)
    CrossEntropy(from_logits=True)
    """
    kind: Callable[..., Loss] = named("loss_for", "loss", LOSSES, name)
    known = list(inspect.signature(kind).parameters)
    if unknown := [setting for setting in settings if setting not in known]:
        raise ArgumentError(f"loss_for: {name!r} has no setting {unknown}; has {known}")
    return kind(**settings)


def named(who: str, what: str, known: Mapping[str, _T], name: Any) -> _T:
    """The entry registered under a name, ignoring case; ArgumentError if there is none."""
    key = name.lower() if isinstance(name, str) else None
    if key is None or key not in known:
        near = difflib.get_close_matches(str(name).lower(), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ArgumentError(f"{who}: no {what} {name!r}{hint} Known are {', '.join(known)}")
    return known[key]


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else asarray(x)


def _rows(prediction: Tensor) -> int:
    """The number of distributions in (N, C, …)."""
    return max(prediction.size // prediction.shape[min(1, prediction.ndim - 1)], 1)


def _as_rows(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, …) and labels (N, …) as (rows, C) and labels (rows,), for which there is a kernel."""
    if prediction.ndim < 3 or target.shape != (prediction.shape[0], *prediction.shape[2:]):
        return prediction, target  # there is nothing to do, or something to complain about
    classes = prediction.shape[1]
    rows = ops.moveaxis(prediction, 1, -1).reshape((-1, classes))
    return rows, target.reshape((-1,))


def _epsilon(p: Tensor) -> float:
    """The clipping bound of probabilities: 10⁻⁷, or the spacing of floats below 1 if larger."""
    return max(_EPSILON, float(np.finfo(p.dtype).epsneg)) if p.dtype.kind == "f" else _EPSILON


def _like_prediction(who: str, prediction: Tensor, target: Tensor) -> Tensor:
    """The target in the shape and dtype of the prediction; (N,) and (N, 1) are equivalent."""
    t, shape = target, prediction.shape
    if shape == (*t.shape, 1) or t.shape == (*shape, 1):
        t = t.reshape(shape)
    if t.shape != shape:
        raise ShapeError(
            f"{who}: prediction {shape} and target {t.shape} must have the same shape; "
            "broadcasting them would count errors twice"
        )
    return t if t.dtype == prediction.dtype else t.astype(prediction.dtype)


def _no_such_class(target: Tensor, classes: int, ignored: int | None) -> BoundsError:
    """The error for the first label that is out of range."""
    labels = target.numpy()
    outside = ((labels < 0) | (labels >= classes)) & (
        True if ignored is None else labels != ignored
    )
    position = tuple(int(axis[0]) for axis in outside.nonzero())
    where = f"sample {position[0]}" if len(position) == 1 else f"position {position}"
    return BoundsError(
        f"CrossEntropy: label {labels[position]} ({where} of the batch) is outside 0 … "
        f"{classes - 1}: the prediction is of {classes} classes"
    )
