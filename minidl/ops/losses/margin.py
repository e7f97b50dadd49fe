"""Margin losses: hinge, ranking, triplet and cosine embedding losses.

Each returns the mean of the losses, their "sum", or, with reduction="none", the losses.
"""

import math

from minidl.autograd.primitive import composite
from minidl.checks import check_flags, check_numbers
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops.losses import parts


@composite(wide=True)
def hinge_embedding_loss(xp, x, target, /, margin=1.0, *, reduction="mean"):
    """x where target is 1, max(0, margin − x) where it is −1; x is a distance, of the same shape.

    Raises ArgumentError for a target other than 1 and −1.  Hadsell, Chopra, LeCun 2006.

    >>> distances, signs = minidl.tensor([0.25, 0.25, 3.0]), minidl.tensor([1, -1, -1])
    >>> minidl.hinge_embedding_loss(distances, signs, reduction="none")
    Tensor([0.25, 0.75, 0.  ], float32)
    """
    parts.check_floats(x=x)
    parts.check_same_shape(x, target)
    check_numbers("hinge_embedding_loss", margin=margin)
    parts.check_signs(xp, target)
    negative = xp.where(target != 1, xp.clip(margin - x, min=0), 0)
    return parts.reduced(xp, negative + xp.where(target != -1, x, 0), reduction)


@composite(wide=True)
def soft_margin_loss(xp, x, target, /, *, reduction="mean"):
    """log(1 + exp(−target·x)), of targets −1 and 1 of the shape of x, without overflow.

    Raises ArgumentError for other targets.

    >>> minidl.soft_margin_loss(minidl.tensor([1000.0]), minidl.tensor([-1]))
    Tensor(1000., float32)
    """
    parts.check_same_shape(x, target)
    parts.check_signs(xp, target)
    return parts.reduced(xp, xp.softplus(-target * x, 1.0, math.inf), reduction)


@composite(wide=True)
def multi_margin_loss(xp, x, target, /, p=1, margin=1.0, weight=None, *, reduction="mean"):
    """Σ_{j ≠ t} w[t]·max(0, margin − x[t] + x[j])ᵖ / C for the true class t.

    x         (N, C) or (C,): scores of C classes
    target    (N,) or (): integers 0 … C − 1; BoundsError for others
    p         1 or 2
    weight    (C,): factors by the true class; the mean is divided by the number of losses

    >>> minidl.multi_margin_loss(minidl.tensor([[0.5, 2.0, 1.75, 0.0]]), minidl.tensor([1]))
    Tensor(0.1875, float32)
    """
    _check_scores(x, target, x.shape[:-1] if hasattr(x, "shape") else ())
    if p not in (1, 2):
        raise ArgumentError(f"p is 1 or 2; got {p!r:.60}")
    check_numbers("multi_margin_loss", margin=margin)
    right = xp.expand_dims(parts.checked_classes(xp, target, x.shape[-1]), axis=-1)
    shortfall = xp.relu(margin - xp.take_along_axis(x, right, axis=-1) + x)
    shortfall = xp.where(_numbers(xp, x) != right, xp.square(shortfall) if p == 2 else shortfall, 0)
    losses = xp.mean(shortfall, axis=-1)
    if weight is not None:
        losses = losses * xp.take(parts.of_classes(xp, weight, x, -1), target, axis=0)
    return parts.reduced(xp, losses, reduction)


@composite(wide=True)
def multilabel_margin_loss(xp, x, target, /, *, reduction="mean"):
    """Σ_t Σ_j max(0, 1 − (x[t] − x[j])) / C for the true classes t and all others j.

    x         (N, C) or (C,): scores of C classes
    target    of the same shape: the true classes, and −1 after the last of them; BoundsError for
              classes outside −1 … C − 1, anywhere

    >>> scores = minidl.tensor([0.25, 0.5, 0.0, 1.0])
    >>> minidl.multilabel_margin_loss(scores, minidl.tensor([3, 0, -1, 1]))
    Tensor(0.625, float32)
    """
    _check_scores(x, target, getattr(x, "shape", ()))
    target = target if target.dtype == "int64" else xp.astype(target, "int64")
    parts.checked_classes(xp, xp.where(target == -1, 0, target), x.shape[-1])
    numbers = _numbers(xp, x)
    ended = xp.where(target < 0, numbers, x.shape[-1])
    true = numbers < xp.min(ended, axis=-1, keepdims=True) if x.size else target < 0
    right = parts.checked_classes(xp, xp.where(true, target, 0), x.shape[-1])
    named = xp.logical_and(xp.expand_dims(right, axis=-1) == numbers, xp.expand_dims(true, axis=-1))
    others = xp.logical_not(xp.any(named, axis=-2, keepdims=True))
    own_score = xp.expand_dims(xp.take_along_axis(x, right, axis=-1), axis=-1)
    pairs = xp.logical_and(xp.expand_dims(true, axis=-1), others)
    shortfall = xp.where(pairs, xp.relu(1 - own_score + xp.expand_dims(x, axis=-2)), 0)
    return parts.reduced(xp, xp.sum(shortfall, axis=(-2, -1)) / x.shape[-1], reduction)


@composite(wide=True)
def multilabel_soft_margin_loss(xp, x, target, /, weight=None, *, reduction="mean"):
    """The mean of binary_cross_entropy_with_logits over the C classes of each sample.

    x         (N, C), (C,) or (N, …, C): logits
    target    of the same shape: 0 or 1
    weight    factors that broadcast to that shape, as of the classes, (C,)

    >>> logits, labels = minidl.tensor([[1000.0, 1000.0]]), minidl.tensor([[1, 0]])
    >>> minidl.multilabel_soft_margin_loss(logits, labels)
    Tensor(500., float32)
    """
    parts.check_same_shape(x, target)
    if not x.ndim:
        raise ShapeError("needs x of shape (C,) or (N, C); got ()")
    losses = xp.binary_cross_entropy_with_logits(x, target, weight, reduction="none")
    return parts.reduced(xp, xp.mean(losses, axis=-1), reduction)


@composite(wide=True)
def margin_ranking_loss(xp, x1, x2, target, /, margin=0.0, *, reduction="mean"):
    """max(0, −target·(x₁ − x₂) + margin): x₁ should exceed x₂ where target is 1, be less where −1.

    x₁ and x₂ have one shape, to which the target, of as many axes, may broadcast.
    Raises ArgumentError for a target other than 1 and −1.

    >>> x1, x2 = minidl.tensor([3.0, 1.0]), minidl.tensor([1.0, 2.0])
    >>> minidl.margin_ranking_loss(x1, x2, minidl.tensor([1, 1]), margin=0.5, reduction="none")
    Tensor([0. , 1.5], float32)
    """
    parts.check_same_shape(x1, x2)
    parts.check_tensors(target)
    check_numbers("margin_ranking_loss", margin=margin)
    if target.ndim != x1.ndim:
        raise ShapeError(f"inputs of shape {x1.shape} need targets of it; got {target.shape}")
    parts.check_signs(xp, target)
    own_score = x1 - x2
    target = parts.broadcasting(xp, target, own_score, "target")
    return parts.reduced(xp, xp.clip(margin - target * own_score, min=0), reduction)


@composite(wide=True)
def cosine_embedding_loss(xp, x1, x2, target, /, margin=0.0, *, reduction="mean"):
    """1 − cos(x₁, x₂) where target is 1, max(0, cos(x₁, x₂) − margin) where it is −1.

    x₁ and x₂: (N, D) or (D,); target: (N,) or ().  Squared lengths have 10⁻¹² added to them.
    Raises ArgumentError for a target other than 1 and −1.

    >>> x1 = minidl.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> x2 = minidl.tensor([[0.0, 2.0], [0.0, 2.0]])
    >>> minidl.cosine_embedding_loss(x1, x2, minidl.tensor([1, -1]), reduction="none")
    Tensor([1., 0.], float32)
    """
    parts.check_floats(x1=x1, x2=x2)
    parts.check_same_shape(x1, x2)
    parts.check_tensors(target)
    check_numbers("cosine_embedding_loss", margin=margin)
    if x1.ndim not in (1, 2) or target.shape != x1.shape[:-1]:
        raise ShapeError(
            "needs inputs of shape (N, D) and targets (N,), or (D,) and (); got "
            f"{x1.shape} and {target.shape}"
        )
    parts.check_signs(xp, target)
    lengths = [xp.sum(xp.square(x), axis=-1) + 1e-12 for x in (x1, x2)]
    cos = xp.sum(x1 * x2, axis=-1) / xp.sqrt(lengths[0] * lengths[1])
    negative = xp.where(target == -1, xp.clip(cos - margin, min=0), 0)
    return parts.reduced(xp, xp.where(target == 1, 1 - cos, 0) + negative, reduction)


@composite(wide=True)
def triplet_margin_loss(
    xp, anchor, positive, negative, /, margin=1.0, p=2.0, eps=1e-6, swap=False, *, reduction="mean"
):
    """max(0, ‖a − p‖ − ‖a − n‖ + margin), of distances as pairwise_distance with p and eps.

    anchor, positive and negative: (N, D) or (D,), of one shape.  Schroff et al. 2015
    swap    use ‖p − n‖ instead of ‖a − n‖ where it is less.  Balntas et al. 2016

    >>> anchor, near, far = (minidl.tensor(x) for x in ([0.0, 0.0], [0.0, 1.0], [1.5, 0.0]))
    >>> minidl.triplet_margin_loss(anchor, near, far)
    Tensor(0.5, float32)
    """
    parts.check_floats(anchor=anchor, positive=positive, negative=negative)
    parts.check_same_shape(anchor, positive)
    parts.check_same_shape(anchor, negative)
    check_numbers("triplet_margin_loss", above=0, margin=margin, p=p)
    check_numbers("triplet_margin_loss", 0, eps=eps)
    check_flags("triplet_margin_loss", swap=swap)
    near = xp.pairwise_distance(anchor, positive, p, eps=eps)
    far = xp.pairwise_distance(anchor, negative, p, eps=eps)
    if swap:
        far = xp.minimum(far, xp.pairwise_distance(positive, negative, p, eps=eps))
    return parts.reduced(xp, xp.clip(margin + near - far, min=0), reduction)


@composite(wide=True)
def triplet_margin_with_distance_loss(
    xp,
    anchor,
    positive,
    negative,
    /,
    *,
    distance_function=None,
    margin=1.0,
    swap=False,
    reduction="mean",
):
    """max(0, d(a, p) − d(a, n) + margin), for any distance d; else as triplet_margin_loss.

    distance_function    a function of two tensors; default: pairwise_distance

    >>> anchor, near, far = (minidl.tensor(x) for x in ([0.0, 0.0], [0.0, 1.0], [1.0, 0.5]))
    >>> city_blocks = lambda a, b: minidl.sum(minidl.abs(a - b), axis=-1)
    >>> minidl.triplet_margin_with_distance_loss(anchor, near, far, distance_function=city_blocks)
    Tensor(0.5, float32)
    """
    parts.check_floats(anchor=anchor, positive=positive, negative=negative)
    parts.check_same_shape(anchor, positive)
    parts.check_same_shape(anchor, negative)
    check_numbers("triplet_margin_with_distance_loss", above=0, margin=margin)
    check_flags("triplet_margin_with_distance_loss", swap=swap)
    distance = xp.pairwise_distance if distance_function is None else distance_function
    if not callable(distance):
        raise DTypeError(f"distance_function is a function; got {describe(distance)}")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = xp.minimum(far, distance(positive, negative))
    return parts.reduced(xp, xp.clip(margin + near - far, min=0), reduction)


def _numbers(xp, x):
    """The numbers of the classes, along the last axis."""
    return xp.arange(x.shape[-1], device=x.device)


def _check_scores(x, target, needs):
    """Raise unless x is (N, C) or (C,), and the target of integers and of this shape."""
    parts.check_tensors(x, target)
    parts.check_floats(x=x)
    if x.ndim not in (1, 2) or not x.shape[-1]:
        raise ShapeError(f"needs scores of shape (N, C) or (C,), C above 0; got {x.shape}")
    if target.shape != needs:
        raise ShapeError(f"scores of shape {x.shape} need targets of {needs}; got {target.shape}")
    if target.dtype.kind not in "iu":
        raise DTypeError(f"class numbers are integers; got {target.dtype}")
