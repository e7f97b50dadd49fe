"""Binary cross-entropy and Kullback–Leibler divergence.

Prediction and target have one shape.  Each loss returns the mean, the "sum", or, with
reduction="none", the losses.
"""

import math

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_flags
from minidl.errors import ArgumentError
from minidl.ops.losses import parts
from minidl.ops.value_checks import check


@composite(wide=True)
def binary_cross_entropy(xp, p, target, /, weight=None, *, reduction="mean"):
    """−target·log p − (1 − target)·log(1 − p), with logarithms of no less than −100.

    p         probabilities of being 1; ArgumentError if one is not from 0 to 1
    target    of the same shape: 0 or 1, or probabilities, which are not checked
    weight    factors that broadcast to that shape; the mean is divided by the number of losses

    >>> p = minidl.tensor([1.0, 0.0])
    >>> minidl.binary_cross_entropy(p, minidl.tensor([1, 1]), reduction="none")
    Tensor([  0., 100.], float32)
    """
    parts.check_same_shape(p, target)
    _check_probabilities(xp, p)
    losses = _bernoulli_nll(p, target)
    if weight is not None:
        losses = losses * parts.broadcasting(xp, weight, losses)
    return parts.reduced(xp, losses, reduction)


def _check_probabilities(xp, p):
    """ArgumentError unless all are from 0 to 1."""
    p = p.detach()
    if not p.size:
        return

    def error():
        low, high = float(xp.min(p)), float(xp.max(p))
        return ArgumentError(
            f"needs probabilities, from 0 to 1; got numbers from {low:.4g} to {high:.4g}; logits "
            "need binary_cross_entropy_with_logits"
        )

    check(xp.logical_and(xp.min(p) >= 0, xp.max(p) <= 1), error)


@primitive
def _bernoulli_nll(xp, p, t, /):
    """y = −t·log p − (1 − t)·log(1 − p);   dp = dy·(p − t) / p(1 − p),   dt = dy·log((1 − p)/p).

    As in PyTorch, no logarithm is below −100, and p(1 − p) in the gradient not below 10⁻¹².
    """
    log_p, log_q = xp.maximum(xp.log(p), -100.0), xp.maximum(xp.log1p(-p), -100.0)
    y = -t * log_p - (1 - t) * log_q
    pullbacks = (
        lambda dy: xp.xmuly(dy, (p - t) / xp.maximum(p * (1 - p), 1e-12)),
        lambda dy: xp.xmuly(dy, log_q - log_p),
    )
    return y, pullbacks


@composite(wide=True)
def binary_cross_entropy_with_logits(
    xp, logits, target, /, weight=None, *, reduction="mean", pos_weight=None
):
    """−pos_weight·target·log p − (1 − target)·log(1 − p), p = sigmoid(logits).

    It is computed from log(1 + exp ∓logits), which nothing overflows and which loses nothing.
    The target has the shape of the logits, ShapeError otherwise: 0 or 1, or probabilities, which
    is not asked.  The gradient of a loss is p − target.

    weight        factors that broadcast to the logits; the mean is divided by the number of losses
    pos_weight    factors of the target's part, likewise: above 1 for more recall

    >>> logits, labels = minidl.tensor([0.0, 1000.0], requires_grad=True), minidl.tensor([1, 0])
    >>> minidl.binary_cross_entropy_with_logits(logits, labels, reduction="sum").backward()
    >>> logits.grad
    Tensor([-0.5,  1. ], float32)
    """
    parts.check_same_shape(logits, target)
    no, yes = xp.softplus(logits, 1.0, math.inf), xp.softplus(-logits, 1.0, math.inf)
    if pos_weight is not None:
        yes = yes * parts.broadcasting(xp, pos_weight, yes, "pos_weight")
    losses = (1 - target) * no + target * yes
    if weight is not None:
        losses = losses * parts.broadcasting(xp, weight, losses)
    return parts.reduced(xp, losses, reduction)


@composite(wide=True)
def kl_div(xp, log_p, target, /, *, reduction="mean", log_target=False):
    """target·(log target − log p), the divergence of Kullback and Leibler 1951 when summed.

    log_p         logarithms of the probabilities that are predicted
    target        the true probabilities, of the same shape, or with log_target their logarithms
    reduction     "batchmean" is the sum divided by the length of the first axis: the divergence
                  of each distribution, on average.  "mean" divides by the number of elements

    >>> p, q = minidl.tensor([[0.5, 0.5]]), minidl.tensor([[0.25, 0.75]])
    >>> round(minidl.kl_div(minidl.log(q), p, reduction="batchmean").item(), 4)
    0.1438
    >>> minidl.kl_div(minidl.log(p), p)
    Tensor(0., float32)
    """
    parts.check_same_shape(log_p, target)
    check_flags("kl_div", log_target=log_target)
    if log_target:
        losses = xp.exp(target) * (target - log_p)
    else:
        losses = xp.xlogy(target, target) - target * log_p
    if reduction == "batchmean":
        return xp.sum(losses) / log_p.shape[0] if log_p.ndim else losses
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f'reduction is "mean", "batchmean", "sum" or "none"; got {reduction!r}')
    return parts.reduced(xp, losses, reduction)
