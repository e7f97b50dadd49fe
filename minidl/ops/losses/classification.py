"""Cross-entropy and negative log-likelihood of classes."""

from minidl.autograd.primitive import composite
from minidl.checks import check_numbers, is_integer
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops.losses import parts


@composite(wide=True)
def cross_entropy(
    xp,
    logits,
    target,
    /,
    weight=None,
    *,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
):
    """−log softmax(logits)[target], the negative log-likelihood of the target class.

    logits    (C,), (N, C) or (N, C, …): scores of C classes, before any softmax
    target    the same shape without C: integers 0 … C − 1; or the shape of logits: probabilities
    weight    (C,): factors by class; the mean is divided by the weights of the targets, or, if
              these are probabilities, by their number
    ignore_index       a class that is not counted; if there is no other, the mean is NaN
    label_smoothing    the fraction ε of the target that is spread evenly over all classes: the loss
                       is −(1 − ε)·w·log p[target] − ε/C·Σ w·log p.  Szegedy et al. 2016

    The gradient of a loss is softmax(logits) − target.  Probabilities are not checked.  The mean
    of an empty batch is NaN.

    Raises BoundsError for a class number outside 0 … C − 1, ShapeError for a target of any other
    shape, DTypeError for class numbers that are not integers or probabilities that are.

    >>> logits = minidl.tensor([0.0, 0.0, 0.0, 0.0], requires_grad=True)
    >>> minidl.cross_entropy(logits, minidl.tensor(2)).backward()
    >>> logits.grad
    Tensor([ 0.25,  0.25, -0.75,  0.25], float32)
    >>> minidl.cross_entropy(logits, minidl.tensor(4))
    Traceback (most recent call last):
        ...
    minidl.errors.BoundsError: cross_entropy: index 4 is outside 0 … 3: the target must be ...
    """
    axis = _class_axis("logits", logits, target)
    check_numbers("cross_entropy", 0, 1, label_smoothing=label_smoothing)
    _check_ignore_index(ignore_index)
    if target.shape == logits.shape and target.dtype.kind != "f":
        raise DTypeError(
            "targets of the shape of the logits are probabilities, floating-point numbers; got "
            f"{describe(target)}: astype it"
        )
    log_p = xp.log_softmax(logits, axis=axis)
    if target.shape != logits.shape:
        return _class_losses(xp, log_p, target, weight, ignore_index, reduction, label_smoothing)
    if ignore_index >= 0:
        raise ArgumentError(f"ignore_index={ignore_index} needs class numbers; got probabilities")
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / logits.shape[axis]
    if weight is not None:
        target = target * _broadcast_weight(xp, weight, log_p, axis)
    return parts.reduced(xp, -xp.sum(log_p * target, axis=axis), reduction)


@composite(wide=True)
def nll_loss(xp, log_p, target, /, weight=None, *, ignore_index=-100, reduction="mean"):
    """−log p[target], from logarithms of probabilities: (C,), (N, C) or (N, C, …).

    target, weight, ignore_index and errors are those of cross_entropy, with class numbers only.

    >>> log_p = minidl.tensor([[-0.5, -1.0], [-2.0, -0.25]])
    >>> minidl.nll_loss(log_p, minidl.tensor([0, 1]), reduction="none")
    Tensor([0.5 , 0.25], float32)
    """
    parts.check_floats(log_p=log_p)
    _class_axis("log_p", log_p, target)
    _check_ignore_index(ignore_index)
    return _class_losses(xp, log_p, target, weight, ignore_index, reduction)


def _class_losses(xp, log_p, target, weight, ignore_index, reduction, smoothing=0):
    """−w[target]·log p[target], for the counted targets; `smoothing` as in cross_entropy."""
    axis = min(1, log_p.ndim - 1)
    needs = (*log_p.shape[:axis], *log_p.shape[axis + 1 :])
    if target.shape != needs:
        raise ShapeError(
            f"scores of shape {log_p.shape} need class numbers of shape {needs}, or, in "
            f"cross_entropy, probabilities of shape {log_p.shape}; got {target.shape}"
        )
    if target.dtype.kind not in "iu":
        raise DTypeError(f"class numbers are integers; got {target.dtype}")
    target = target if target.dtype == "int64" else xp.astype(target, "int64")
    counted = target != ignore_index
    target = parts.checked_classes(xp, xp.where(counted, target, 0), log_p.shape[axis])
    chosen = xp.take_along_axis(log_p, xp.expand_dims(target, axis=axis), axis=axis)
    losses, total = -xp.squeeze(chosen, axis), counted
    if weight is not None:
        own = xp.take(parts.of_classes(xp, weight, log_p, axis), target, axis=0)
        losses, total = losses * own, xp.where(counted, own, 0)
    if smoothing:
        every = log_p if weight is None else log_p * _broadcast_weight(xp, weight, log_p, axis)
        losses = (1 - smoothing) * losses - smoothing * xp.mean(every, axis=axis)
    return parts.reduced(xp, xp.where(counted, losses, 0), reduction, total=xp.sum(total))


def _class_axis(name, scores, target):
    """The axis of the classes."""
    parts.check_tensors(scores, target)
    axis = min(1, scores.ndim - 1)
    if not scores.ndim or not scores.shape[axis]:
        raise ShapeError(
            f"needs {name} of shape (C,), (N, C) or (N, C, …), C above 0; got {scores.shape}"
        )
    return axis


def _check_ignore_index(ignore_index):
    if not is_integer(ignore_index):
        raise ArgumentError(f"ignore_index is an integer; got {ignore_index!r:.60}")


def _broadcast_weight(xp, weight, scores, axis):
    """The weights of the classes, reshaped to broadcast against the scores."""
    weight = parts.of_classes(xp, weight, scores, axis)
    return xp.reshape(weight, (-1,) + (1,) * (scores.ndim - 1 - axis))
