"""Conversion of Keras's inputs and targets into those of minidl's networks and losses."""

from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.keras.data_format import to_channels_first
from minidl.keras.layers.base import Shape, written
from minidl.keras.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from minidl.train.losses import BinaryCrossEntropy, CrossEntropy, Loss

_SPARSE, _ONE_HOT = "sparse_categorical_crossentropy", "categorical_crossentropy"
_BINARY = "binary_crossentropy", "binary_cross_entropy", "bce"


def unpack_pair(who: str, pair: Any) -> tuple[Any, Any]:
    """The x and y of a pair."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ArgumentError(f"{who}: validation_data is (x, y); got {describe(pair)}")
    return pair[0], pair[1]


def inputs(who: str, x: Any, dtype: str) -> Tensor:
    """x as a tensor; float ids become integers, all else keeps its dtype until it is used."""
    x = _tensor(who, "x", x)
    if dtype == "int64" and x.dtype.kind == "f":
        return x.astype(dtype)
    return x


def targets(who: str, y: Any, loss: Any, output: Shape) -> Tensor:
    """Targets in the form that the loss takes, for predictions of the shape `output`, (None, …).

    Class numbers are (N, …) or (N, …, 1), integers; one-hot targets (N, …, C).  One-hot targets
    with spatial axes get the classes on axis 1, where the trained network has them.
    """
    y = _tensor(who, "y", y)
    if loss == _SPARSE or isinstance(loss, SparseCategoricalCrossentropy):
        return _class_numbers(who, y, output)
    if loss == _ONE_HOT or isinstance(loss, CategoricalCrossentropy):
        return _one_hot(who, y, output)
    if isinstance(loss, CrossEntropy) or loss in ("cross_entropy", "crossentropy"):
        return (_one_hot if _same_shape(y, output) else _class_numbers)(who, y, output)
    if output[-1] == 1 and _fits(y.shape[1:], output[1:-1]):
        y = y if not isinstance(loss, str | Loss) else ops.expand_dims(y, axis=-1)
    binary = loss in _BINARY or isinstance(loss, BinaryCrossEntropy)
    return to_channels_first(y) if binary and y.ndim > 2 and _same_shape(y, output) else y


def split(x: Tensor, y: Tensor, fraction: float) -> tuple[Any, Any]:
    """The samples to train on, and the last ones, this fraction of all, to validate on."""
    if not 0 < fraction < 1:
        raise ArgumentError(f"fit: validation_split is between 0 and 1; got {fraction!r}")
    first = int(len(x) * (1 - fraction))
    if not 0 < first < len(x):
        raise ArgumentError(
            f"fit: validation_split={fraction} of {len(x)} samples leaves none to train on, or to "
            "test"
        )
    return (x[:first], y[:first]), (x[first:], y[first:])


def check_shape(who: str, given: tuple[int, ...], needs: Shape) -> None:
    """Raise unless inputs have the shape of the model's, with a hint on what is probably meant."""
    sample = given[1:]
    if _fits(sample, needs):
        return
    hint = ""
    if len(needs) == 3 and needs[-1] == 1 and _fits(sample, needs[:-1]):
        hint = "; the channel is missing: x[..., None]"
    elif len(needs) == 3 and _fits(sample, (needs[-1], *needs[:-1])):
        hint = "; these have the channels first: np.moveaxis(x, 1, -1)"
    elif _fits(given, needs):
        hint = "; this is one sample: x[None]"
    raise ShapeError(f"{who} needs inputs {written((None, *needs))}; got {given}{hint}")


def _fits(sample: tuple[int, ...], needs: Shape) -> bool:
    return len(sample) == len(needs) and all(
        n in (None, m) for n, m in zip(needs, sample, strict=True)
    )


def _tensor(who: str, name: str, x: Any) -> Tensor:
    """x as a tensor of real numbers with the samples on its first axis."""
    if x is None:
        raise ArgumentError(f"{who}: needs {name}, an array")
    x = x if isinstance(x, Tensor) else np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise DTypeError(f"{who}: {name} is an array of real numbers; got {describe(x)}")
    x = ops.asarray(x)
    if not x.ndim:
        raise ShapeError(f"{who}: {name} needs samples along its first axis; got shape ()")
    return x


def _same_shape(y: Tensor, output: Shape) -> bool:
    """Whether targets have the shape of the predictions."""
    return _fits(y.shape[1:], output[1:])


def _class_numbers(who: str, y: Tensor, output: Shape) -> Tensor:
    """Class numbers (N, …) or (N, …, 1) as integers (N, …)."""
    rest = output[1:-1]
    if not _fits(y.shape[1:], rest) and not _fits(y.shape[1:], (*rest, 1)):
        hint = ""
        if _same_shape(y, output):
            hint = f'; of rows of ones and zeros, such as these, the loss is "{_ONE_HOT}"'
        raise ShapeError(
            f'{who}: the loss "{_SPARSE}" needs class numbers {written((None, *rest))} for results '
            f"{written(output)}; got y of shape {y.shape}{hint}"
        )
    y = y.reshape((y.shape[0], *y.shape[1 : 1 + len(rest)]))
    if y.dtype.kind == "f" and not bool(ops.all(ops.floor(y) == y)):
        raise DTypeError(f"{who}: class numbers are whole; y has others")
    return y.astype("int64")


def _one_hot(who: str, y: Tensor, output: Shape) -> Tensor:
    """One-hot targets (N, …, C) with the classes on axis 1."""
    if not _same_shape(y, output):
        hint = ""
        if _fits(y.shape[1:], output[1:-1]) or _fits(y.shape[1:], (*output[1:-1], 1)):
            hint = f'; of class numbers, such as these, the loss is "{_SPARSE}"'
        raise ShapeError(
            f'{who}: the loss "{_ONE_HOT}" needs rows of ones and zeros {written(output)}; got y '
            f"of shape {y.shape}{hint}"
        )
    return y if y.ndim == 2 else to_channels_first(y)
