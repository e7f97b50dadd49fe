"""How wrong a prediction is, as one number."""

from minidl.autograd.primitive import composite
from minidl.errors import ArgumentError, DTypeError, ShapeError


def _reduce(xp, losses, reduction):
    if reduction == "mean":
        return xp.mean(losses)
    if reduction == "sum":
        return xp.sum(losses)
    if reduction == "none":
        return losses
    raise ArgumentError(f'reduction is "mean", "sum" or "none"; got {reduction!r}')


@composite
def cross_entropy(xp, logits, target, /, *, reduction="mean"):
    """−log softmax(logits)[target]: how surprised the prediction is by the truth.

    logits    (C,), (N, C) or (N, C, …): scores of C classes, before any softmax
    target    the same shape without C: integers 0 … C − 1; or the shape of logits: probabilities
    """
    axis = min(1, logits.ndim - 1)
    if not logits.ndim:
        raise ShapeError("cross_entropy: needs logits of shape (C,), (N, C) or (N, C, …); got ()")
    log_p = xp.log_softmax(logits, axis=axis)
    if target.shape == logits.shape and target.dtype.kind == "f":
        losses = -xp.sum(log_p * target, axis=axis)
    else:
        needs = (*logits.shape[:axis], *logits.shape[axis + 1 :])
        if target.shape != needs:
            raise ShapeError(
                f"cross_entropy: logits of shape {logits.shape} need class numbers of shape "
                f"{needs}, or probabilities of shape {logits.shape}; got {target.shape}"
            )
        if target.dtype.kind not in "iu":
            raise DTypeError(f"cross_entropy: class numbers are integers; got {target.dtype}")
        chosen = xp.expand_dims(xp.check_indices(target, logits.shape[axis]), axis=axis)
        losses = -xp.squeeze(xp.take_along_axis(log_p, chosen, axis=axis), axis)
    return _reduce(xp, losses, reduction)


@composite
def mse_loss(xp, prediction, target, /, *, reduction="mean"):
    """(prediction − target)², the squared error."""
    if prediction.shape != target.shape:
        raise ShapeError(
            f"mse_loss: prediction {prediction.shape} and target {target.shape} must have the "
            "same shape; broadcasting them would count errors twice"
        )
    return _reduce(xp, xp.square(prediction - target), reduction)
