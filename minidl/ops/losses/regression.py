"""Regression losses: squared, absolute and Huber errors, and negative log-likelihoods.

Prediction and target have one shape.  Each loss returns the mean, the "sum", or, with
reduction="none", the losses.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_flags, check_numbers
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.losses import parts
from minidl.ops.value_checks import check


@composite(wide=True)
def mse_loss(xp, prediction, target, /, *, reduction="mean", weight=None):
    """(prediction − target)², the squared error.

    weight    of the same shape: factors of the errors; the mean is divided by their sum

    Raises ShapeError unless prediction and target have one shape.

    >>> prediction = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> loss = minidl.mse_loss(prediction, minidl.tensor([1.0, 5.0]))
    >>> loss.backward()
    >>> loss, prediction.grad
    (Tensor(4.5, float32, from mean), Tensor([ 0., -3.], float32))
    """
    parts.check_same_shape(prediction, target)
    losses = xp.square(prediction - target)
    if weight is None:
        return parts.reduced(xp, losses, reduction)
    weight = parts.of_same_shape(xp, weight, losses)
    return parts.reduced(xp, losses * weight, reduction, total=xp.sum(weight))


@composite(wide=True)
def l1_loss(xp, prediction, target, /, *, reduction="mean", weight=None):
    """|prediction − target|, the absolute error, with gradient 0 where it is 0.

    weight    of the same shape: factors of the errors; the mean is divided by their sum

    Raises ShapeError unless prediction and target have one shape.

    >>> minidl.l1_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 5.0]))
    Tensor(1.5, float32)
    >>> minidl.l1_loss(minidl.ones((3, 1)), minidl.ones(3))
    Traceback (most recent call last):
        ...
    minidl.errors.ShapeError: l1_loss: prediction (3, 1) and target (3,) must ...
    """
    parts.check_same_shape(prediction, target)
    losses = xp.abs(prediction - target)
    if weight is None:
        return parts.reduced(xp, losses, reduction)
    weight = parts.of_same_shape(xp, weight, losses)
    return parts.reduced(xp, losses * weight, reduction, total=xp.sum(weight))


@composite(wide=True)
def huber_loss(xp, prediction, target, /, reduction="mean", delta=1.0, weight=None):
    """e²/2 where |e| ≤ delta, else delta·(|e| − delta/2); e = prediction − target.  Huber 1964.

    weight    of the same shape: factors of the errors, whose mean is divided by their number

    >>> minidl.huber_loss(minidl.tensor([0.5, 9.0]), minidl.zeros(2), reduction="none")
    Tensor([0.125, 8.5  ], float32)
    """
    parts.check_same_shape(prediction, target)
    check_numbers("huber_loss", above=0, delta=delta)
    losses = _huber(xp, prediction - target, delta)
    if weight is not None:
        losses = losses * parts.of_same_shape(xp, weight, losses)
    return parts.reduced(xp, losses, reduction)


@composite(wide=True)
def smooth_l1_loss(xp, prediction, target, /, *, reduction="mean", beta=1.0):
    """e²/(2·beta) where |e| < beta, else |e| − beta/2; e = prediction − target.  Girshick 2015.

    It is huber_loss / beta; with beta = 0, it is l1_loss.

    >>> x = minidl.tensor([0.5, 9.0])
    >>> minidl.smooth_l1_loss(x, minidl.zeros(2), beta=2.0, reduction="none")
    Tensor([0.0625, 8.    ], float32)
    """
    parts.check_same_shape(prediction, target)
    check_numbers("smooth_l1_loss", 0, beta=beta)
    error = prediction - target
    losses = xp.abs(error) if beta == 0 else _huber(xp, error, beta) / beta
    return parts.reduced(xp, losses, reduction)


def _huber(xp, error, delta):
    """e²/2 up to delta, and from there on straight."""
    near = xp.clip(error, -delta, delta)
    return near * (error - 0.5 * near)


@composite(wide=True)
def poisson_nll_loss(
    xp, prediction, target, /, log_input=True, full=False, *, eps=1e-8, reduction="mean"
):
    """λ − target·log λ: −log of the Poisson probability of a count, without its constant.

    log_input    the prediction is log λ; otherwise λ, and its logarithm is that of λ + eps
    full         add log target! by Stirling, t·log t − t + log(2πt)/2, for targets above 1

    >>> log_rates = minidl.tensor([0.0, 0.0], requires_grad=True)
    >>> minidl.poisson_nll_loss(log_rates, minidl.tensor([0, 3]), reduction="sum").backward()
    >>> log_rates.grad
    Tensor([ 1., -2.], float32)
    """
    parts.check_same_shape(prediction, target)
    check_numbers("poisson_nll_loss", 0, eps=eps)
    check_flags("poisson_nll_loss", log_input=log_input, full=full)
    if log_input:
        losses = xp.exp(prediction) - target * prediction
    else:
        losses = prediction - target * xp.log(prediction + eps)
    if full:
        stirling = xp.xlogy(target, target) - target + 0.5 * xp.log(2 * math.pi * target)
        losses = losses + xp.where(target > 1, stirling, 0)
    return parts.reduced(xp, losses, reduction)


@composite(wide=True)
def gaussian_nll_loss(xp, prediction, target, var, /, full=False, *, eps=1e-6, reduction="mean"):
    """(log v + (prediction − target)²/v) / 2, v = max(var, eps).  Nix, Weigend 1994.

    var     of the prediction's shape; that without its last axis; or that with one axis of length
            1; or one number.  Below eps it is taken for eps, but gets its gradient all the same
    full    add log(2π)/2

    Raises ArgumentError if a variance is below 0.

    >>> minidl.gaussian_nll_loss(minidl.tensor([0.0]), minidl.tensor([3.0]), 1.0)
    Tensor(4.5, float32)
    >>> minidl.gaussian_nll_loss(minidl.tensor([0.0]), minidl.tensor([3.0]), -1.0)
    Traceback (most recent call last):
        ...
    minidl.errors.ArgumentError: gaussian_nll_loss: a variance is not below 0; got -1
    """
    parts.check_same_shape(prediction, target)
    check_numbers("gaussian_nll_loss", 0, eps=eps)
    check_flags("gaussian_nll_loss", full=full)
    var = _fitting_variance(xp, var, prediction)
    v = _at_least(var, bound=eps)
    losses = 0.5 * (xp.log(v) + xp.square(prediction - target) / v)
    return parts.reduced(xp, losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def _fitting_variance(xp, var, prediction):
    """The variances, to be broadcast against the prediction."""
    shape = prediction.shape
    if isinstance(var, int | float):
        var = xp.full_like(prediction, var)
    if var.size:
        least = xp.min(var.detach())
        check(
            xp.logical_not(least < 0),
            lambda: ArgumentError(f"a variance is not below 0; got {float(least):.4g}"),
        )
    if var.shape == shape:
        return var
    if shape and var.shape == shape[:-1]:
        return xp.expand_dims(var, axis=-1)
    differ = [n for n, needed in zip(var.shape, shape, strict=False) if n != needed]
    if var.ndim != len(shape) or differ != [1]:
        raise ShapeError(
            f"var must have the shape of the prediction, {shape}, or that without its last axis "
            f"or with one axis of length 1; got {var.shape}"
        )
    return var


@primitive
def _at_least(xp, x, /, *, bound):
    """y = max(x, bound);   dx = dy everywhere: a bound that learning can leave."""
    return xp.maximum(x, bound), lambda dy: dy
