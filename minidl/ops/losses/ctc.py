"""Connectionist temporal classification: the loss of sequences whose labels are not aligned.

A path has a class at each time step.  Without its repetitions, and then without its blanks, it is a
labelling: a a _ a b is a a b.  The probability of a labelling is the sum over all its paths.  These
run through the states blank, l₁, blank, l₂, …, blank: each step stays, advances by one, or skips
the blank between two labels that differ.
"""

import math

import numpy as np

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_flags, is_integer
from minidl.dtypes import REAL
from minidl.errors import BoundsError, DTypeError, ShapeError
from minidl.ops.creation import asarray
from minidl.ops.lengths import lengths_of
from minidl.ops.losses import parts


@composite(wide=True)
def ctc_loss(
    xp,
    log_probs,
    targets,
    /,
    input_lengths,
    target_lengths,
    blank=0,
    reduction="mean",
    zero_infinity=False,
):
    """−log of the probability of each labelling, infinite if the input is too short.

    log_probs         (T, N, C): logarithms of probabilities, as log_softmax gives; or (T, C)
    targets           (N, S), padded to S, or all of them concatenated; (S,) for (T, C): any classes
                      but the blank
    input_lengths     (N,), each up to T: the lengths of the inputs; a number for (T, C)
    target_lengths    (N,), each up to S
    reduction         "mean": the mean of each loss divided by its target's length
    zero_infinity     infinite losses, and their gradients, are 0

    The gradient is with respect to log_probs.  PyTorch's differs by a term that log_softmax
    cancels.  The host lays out the states: it waits for targets and lengths that a GPU computed,
    not for those that a DataLoader sent there.  Graves et al. 2006

    Raises BoundsError for a label that is the blank or not a class, ArgumentError for lengths
    beyond the input.

    >>> log_p = minidl.log(minidl.tensor([[0.5, 0.5], [0.5, 0.5]]))
    >>> loss = minidl.ctc_loss(log_p, minidl.tensor([1]), 2, 1)
    >>> round(minidl.exp(-loss).item(), 4)
    0.75
    >>> minidl.ctc_loss(log_p, minidl.tensor([1, 1]), 2, 2)
    Tensor(inf, float32)
    """
    _check_probabilities(log_probs, targets, blank)
    check_flags("ctc_loss", zero_infinity=zero_infinity)
    times, classes = log_probs.shape[0], log_probs.shape[-1]
    batched = log_probs if log_probs.ndim == 3 else xp.expand_dims(log_probs, axis=1)
    n = batched.shape[1]
    lengths = lengths_of("input_lengths", input_lengths, n, maximum=times, of="log_probs")
    sizes = lengths_of("target_lengths", target_lengths, n)
    labels = _labels(targets, sizes, classes, blank)
    steps = _steps(labels, lengths, sizes, times, batched.dtype)
    states, counts, *steps = _on_device(batched.device, labels, sizes.clip(1), *steps)
    indices = xp.broadcast_to(states, (times, *states.shape))
    losses = -_ctc_log_likelihood(xp.take_along_axis(batched, indices, axis=-1), *steps)
    if zero_infinity:
        losses = xp.where(xp.isinf(losses), 0, losses)
    if reduction == "mean":
        losses = losses / counts
    losses = parts.reduced(xp, losses, reduction)
    return losses if reduction != "none" or log_probs.ndim == 3 else xp.squeeze(losses, 0)


@primitive(REAL, keep_dtype=(4,))
def _ctc_log_likelihood(xp, emitted, begin, skip, end, running, /):
    """y = log Σ over paths, from the log-probabilities of the states at each time step.

    emitted        (T, N, L)
    begin, end     (N, L): 0 in the states in which a path may start and end, else −∞
    skip           (N, L): 0 in the states that may be reached from two states before, else −∞
    running        (T, N, 1): whether the sequence has not ended

    With the forward variables α(t, l) and the backward variables β(t, l),
    d emitted(t, l) = dy·exp(α + β − y): the posterior probability of state l at time t.
    """
    alphas, alpha = [], begin
    for t in range(emitted.shape[0]):
        ahead = _log_add(xp, alpha, _shifted(xp, alpha, 1), _shifted(xp, alpha, 2) + skip)
        alpha = xp.where(running[t], ahead + emitted[t], alpha)
        alphas.append(alpha)
    y = _log_sum(xp, alpha + end)

    def demitted(dy):
        scale, shift = xp.expand_dims(dy, axis=-1), xp.expand_dims(_finite(xp, y), axis=-1)
        beta, gradients = end, []
        for t in reversed(range(len(alphas))):
            here = scale * xp.exp(alphas[t] + beta - shift)
            gradients.append(xp.where(running[t], here, 0))
            then = beta + emitted[t]
            back = _log_add(xp, then, _shifted(xp, then, -1), _shifted(xp, then + skip, -2))
            beta = xp.where(running[t], back, beta)
        return xp.stack(gradients[::-1], axis=0)

    return y, (demitted, None, None, None, None)


def _shifted(xp, x, count):
    """x shifted by `count` states, filled with −∞."""
    nothing = xp.zeros_like(x) - math.inf
    if count > 0:
        return xp.concat([nothing[:, :count], x[:, :-count]], axis=1)
    return xp.concat([x[:, -count:], nothing[:, :-count]], axis=1)


def _log_add(xp, x1, x2, x3):
    """log(exp x₁ + exp x₂ + exp x₃), and −∞ where all are."""
    shift = _finite(xp, xp.maximum(xp.maximum(x1, x2), x3))
    return shift + xp.log(xp.exp(x1 - shift) + xp.exp(x2 - shift) + xp.exp(x3 - shift))


def _log_sum(xp, x):
    """log Σ exp x over the last axis, and −∞ where all are."""
    shift = _finite(xp, xp.max(x, axis=-1, keepdims=True))
    total = xp.log(xp.sum(xp.exp(x - shift), axis=-1, keepdims=True))
    return xp.squeeze(shift + total, -1)


def _finite(xp, x):
    """x, and 0 where it is infinite."""
    return xp.where(xp.isfinite(x), x, 0)


def _check_probabilities(log_probs, targets, blank):
    """Raise unless these are (T, N, C) or (T, C), and the blank one of the C."""
    parts.check_floats(log_probs=log_probs)
    parts.check_tensors(targets)
    if log_probs.ndim not in (2, 3) or not log_probs.shape[0]:
        raise ShapeError(
            f"needs log_probs of shape (T, N, C) or (T, C), T above 0; got {log_probs.shape}"
        )
    if targets.dtype.kind not in "iu":
        raise DTypeError(f"targets are class numbers, integers; got {targets.dtype}")
    if not is_integer(blank) or not 0 <= blank < log_probs.shape[-1]:
        raise BoundsError(f"blank {blank!r:.60} is outside 0 … {log_probs.shape[-1] - 1}")


def _on_device(device, *arrays):
    """NumPy arrays as tensors on the device."""
    return (asarray(x, device=device) for x in arrays)


def _labels(targets, sizes, classes, blank):
    """The states of each sequence, (N, 2S + 1): its labels with blanks around them."""
    given, n, longest = targets.numpy(), len(sizes), int(sizes.max(initial=0))
    inside = np.arange(longest) < sizes[:, None]
    labels = np.full((n, longest), blank)
    if given.ndim == 2 and given.shape[0] == n and given.shape[1] >= longest:
        labels[inside] = given[:, :longest][inside]
    elif given.ndim == 1 and given.size == sizes.sum():
        labels[inside] = given
    elif given.ndim == 1 and n == 1 and given.size >= longest:
        labels[0] = given[:longest]
    else:
        raise ShapeError(
            f"targets of lengths {sizes.tolist()} have shape ({n}, S), S at least {longest}, or "
            f"({sizes.sum()},); got {given.shape}"
        )
    wrong = inside & ((labels < 0) | (labels >= classes) | (labels == blank))
    if wrong.any():
        row, at = (int(axis[0]) for axis in wrong.nonzero())
        raise BoundsError(
            f"label {labels[row, at]}, number {at} of sequence {row}, is not one of the "
            f"{classes} classes 0 … {classes - 1} without the blank, {blank}"
        )
    states = np.full((n, 2 * longest + 1), blank)
    states[:, 1::2] = labels
    return states


def _steps(states, lengths, sizes, times, dtype):
    """The masks begin, skip, end as logarithms of 1 and 0, and running.

    A path starts before the first time step, in the first blank.
    """
    number = np.arange(states.shape[1])
    begin = np.broadcast_to(number == 0, states.shape)
    skip = np.zeros(states.shape, bool)
    skip[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    last = 2 * sizes[:, None]
    end = (number == last) | (number == last - 1)
    running = np.arange(times)[:, None, None] < lengths[:, None]
    return *(np.where(x, 0, -math.inf).astype(dtype) for x in (begin, skip, end)), running
