"""What losses share: how they are reduced, and what they ask of their arguments."""

from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError, describe


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
    """Raise unless both are tensors of one shape."""
    check_tensors(prediction, target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"prediction {prediction.shape} and target {target.shape} must have the same shape; "
            "broadcasting them would count errors twice"
        )


def check_tensors(*inputs):
    """Raise if one is a number."""
    for x in inputs:
        if not hasattr(x, "shape"):
            raise DTypeError(f"needs tensors; got {describe(x)}")


def broadcasting(xp, weight, like, name="weight"):
    """A weight in the dtype of the losses, which may be stretched to their shape."""
    weight = xp.asarray(weight, dtype=like.dtype)
    given, shape = weight.shape, like.shape
    pairs = zip(reversed(given), reversed(shape), strict=False)
    if len(given) > len(shape) or any(n not in (1, needed) for n, needed in pairs):
        raise ShapeError(f"{name} must broadcast to {shape}; got {given}")
    return weight


def of_same_shape(xp, weight, like):
    """A weight of each element, in the dtype of the losses."""
    weight = xp.asarray(weight, dtype=like.dtype)
    if weight.shape != like.shape:
        raise ShapeError(
            f"weight must have the shape of the prediction, {like.shape}; got {weight.shape}"
        )
    return weight


def of_classes(xp, weight, scores, axis):
    """The weights of the classes, (C,), in the dtype of the scores."""
    weight, needs = xp.asarray(weight, dtype=scores.dtype), (scores.shape[axis],)
    if weight.shape != needs:
        raise ShapeError(
            f"weight has one number for each of the {needs[0]} classes, shape {needs}; got "
            f"{weight.shape}"
        )
    return weight


def checked_classes(xp, target, classes):
    """The class numbers, once none of them is outside 0 … classes − 1."""
    try:
        return xp.check_indices(target, classes)
    except BoundsError:
        raise _no_such_class(target.numpy(), classes) from None


def _no_such_class(labels, classes):
    """The error for the first class number that is outside."""
    outside = (labels < 0) | (labels >= classes)
    place = tuple(int(axis[0]) for axis in outside.nonzero()) if labels.ndim else ()
    where = f"target[{', '.join(map(str, place))}]" if place else "the target"
    return BoundsError(
        f"index {labels[place]} is outside 0 … {classes - 1}: {where} must be one of {classes} "
        "classes"
    )
