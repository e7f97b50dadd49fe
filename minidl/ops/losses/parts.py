"""Shared parts of losses: reduction, weights and checks of tensors."""

from typing import Any

from minidl.errors import (
    ArgumentError,
    BoundsError,
    DTypeError,
    MinidlError,
    ShapeError,
    describe,
)
from minidl.ops.value_checks import check


def reduced(xp, losses, reduction, total=None):
    """The losses, their sum, or their mean: the sum divided by `total`, else by their number."""
    if reduction == "mean":
        return xp.mean(losses) if total is None else xp.sum(losses) / total
    if reduction == "sum":
        return xp.sum(losses)
    if reduction == "none":
        return losses
    raise ArgumentError(f'reduction is "mean", "sum" or "none"; got {reduction!r}')


def check_same_shape(prediction, target):
    """Raise unless both are tensors of one shape, and one of them of a float dtype."""
    check_tensors(prediction, target)
    if "f" not in (prediction.dtype.kind, target.dtype.kind):
        raise DTypeError(
            f"needs floating-point numbers; got {prediction.dtype} and {target.dtype}: astype one "
            "of them"
        )
    if prediction.shape != target.shape:
        raise ShapeError(
            f"prediction {prediction.shape} and target {target.shape} must have the same shape; "
            "broadcasting them would count errors twice"
        )


def check_tensors(*inputs):
    """Raise unless all are tensors of real numbers."""
    for x in inputs:
        if not hasattr(x, "shape"):
            raise DTypeError(f"needs tensors; got {describe(x)}")
        if x.dtype.kind == "c":
            raise DTypeError(f"needs real numbers; got {describe(x)}")


def check_floats(**inputs: Any) -> None:
    """Raise unless all are tensors of a float dtype: differences of integers could overflow."""
    check_tensors(*inputs.values())
    for name, x in inputs.items():
        if x.dtype.kind != "f":
            raise DTypeError(f"{name} has floating-point numbers; got {x.dtype}: astype it")


def check_signs(xp, target):
    """Raise unless every target is 1 or −1, since labels 0 and 1 would give another loss."""

    def error():
        given = target.numpy()
        return ArgumentError(
            f"targets are 1 or −1; got {given[abs(given * 1.0) != 1].flat[0]}: 2·target − 1 makes "
            "them of labels 0 and 1"
        )

    check(xp.abs(target * 1.0) == 1, error)


def broadcasting(xp, weight, like, name="weight"):
    """A weight in the dtype of the losses, which must broadcast to their shape."""
    weight = _factors(xp, name, weight, like)
    given, shape = weight.shape, like.shape
    pairs = zip(reversed(given), reversed(shape), strict=False)
    if len(given) > len(shape) or any(n not in (1, needed) for n, needed in pairs):
        raise ShapeError(f"{name} must broadcast to {shape}; got {given}")
    return weight


def of_same_shape(xp, weight, like):
    """A weight for each element, in the dtype of the losses."""
    weight = _factors(xp, "weight", weight, like)
    if weight.shape != like.shape:
        raise ShapeError(
            f"weight must have the shape of the prediction, {like.shape}; got {weight.shape}"
        )
    return weight


def of_classes(xp, weight, scores, axis):
    """The weights of the classes, (C,), in the dtype of the scores."""
    weight, needs = _factors(xp, "weight", weight, scores), (scores.shape[axis],)
    if weight.shape != needs:
        raise ShapeError(
            f"weight has one number for each of the {needs[0]} classes, shape {needs}; got "
            f"{weight.shape}"
        )
    return weight


def _factors(xp, name, given, like):
    """The given factors as a tensor in the dtype of the losses."""
    try:
        device = None if hasattr(given, "edge") else like.device  # numbers go where they are needed
        return xp.asarray(given, dtype=like.dtype, device=device)
    except MinidlError as error:
        raise type(error)(
            f"{name} has numbers that {like.dtype} holds; got {describe(given)}"
        ) from error


def checked_classes(xp, target, classes):
    """The classes; BoundsError if one is outside 0 … classes − 1."""
    try:
        return xp.check_indices(target, classes)
    except BoundsError:
        raise _no_such_class(target.numpy(), classes) from None


def _no_such_class(labels, classes):
    """The error for the first class that is outside."""
    outside = (labels < 0) | (labels >= classes)
    position = tuple(int(axis[0]) for axis in outside.nonzero()) if labels.ndim else ()
    where = f"target[{', '.join(map(str, position))}]" if position else "the target"
    return BoundsError(
        f"index {labels[position]} is outside 0 … {classes - 1}: {where} must be one of {classes} "
        "classes"
    )
