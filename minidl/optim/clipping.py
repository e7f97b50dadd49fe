"""Gradient clipping, by norm and by value."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from minidl.autograd.graph import Leaf
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, cpu, device_of
from minidl.checks import check_flags, check_numbers
from minidl.dtypes import default_float, float16, float32, float64, result_type
from minidl.errors import ArgumentError, DTypeError, GradientError, describe, listed
from minidl.optim import clipping_on_device as on_device
from minidl.optim.gradients import coalesced, replace, rows_of

_SAFE = 1e-30, 1e30  # sums of powers in between have neither overflowed nor underflowed


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """g ← g · min(1, max_norm / (n + 1e-6)), n = (Σ |g|ᵖ)^(1/p) over all gradients together.

    norm_type             p > 0; infinity for max |g|
    error_if_nonfinite    raise GradientError if n is infinite or NaN; otherwise, as in PyTorch,
                          the gradients become 0 or NaN

    Returns n, the norm before clipping, on the device of the gradients; nothing waits for a GPU,
    unless errors are to be raised.  Parameters without a gradient are skipped.  A clipped
    gradient is a new array: other references to the old one see no change.  An empty list has the
    norm 0; an iterator without parameters is an ArgumentError, as it may be exhausted.  Pascanu,
    Mikolov, Bengio 2013.

    >>> w = nn.Parameter(minidl.zeros((2,), dtype="float64"))
    >>> w.grad = minidl.tensor([3.0, 4.0], dtype="float64")
    >>> optim.clip_grad_norm_([w], max_norm=1.0).item(), w.grad.numpy().round(4).tolist()
    (5.0, [0.6, 0.8])
    """
    name = "clip_grad_norm_"
    check_numbers(name, 0, max_norm=max_norm)
    check_flags(name, error_if_nonfinite=error_if_nonfinite)
    try:
        p = float(norm_type)  # PyTorch's "inf", too
    except (TypeError, ValueError):
        p = math.nan
    if not p > 0:
        raise ArgumentError(f"{name}: norm_type is a number above 0; got {norm_type!r}")
    gradients = {leaf: coalesced(leaf.grad) for leaf in _leaves("clip_grad_norm_", parameters)}
    arrays = rows_of(gradients)
    with cpu.quiet():
        if any(device_of(g) != "cpu" for g in arrays):
            return on_device.clip_norm(gradients, float(max_norm), p, error_if_nonfinite)
        total = _combined([_norm(g, p) for g in arrays], p)
        if error_if_nonfinite:
            on_device.check_finite(total)
        coefficient = float(max_norm) / (total + 1e-6)
        if not coefficient >= 1:  # nor if it is NaN
            replace(gradients, lambda xp, g: g * coefficient)
        dtype = result_type(*arrays) if arrays else default_float
        return Tensor(cpu.asarray(total, dtype=dtype))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """g ← min(max(g, −clip_value), clip_value), element by element; NaN stays NaN.

    Parameters without a gradient are skipped.  A clipped gradient is a new array: other references
    to the old one see no change.  An iterator without parameters is an ArgumentError.

    >>> w = nn.Parameter(minidl.zeros((3,)))
    >>> w.grad = minidl.tensor([3.0, -0.5, -4.0])
    >>> optim.clip_grad_value_([w], 1.0)
    >>> w.grad.tolist()
    [1.0, -0.5, -1.0]
    """
    check_numbers("clip_grad_value_", 0, clip_value=clip_value)
    gradients = {leaf: coalesced(leaf.grad) for leaf in _leaves("clip_grad_value_", parameters)}
    on_device.clip_value(gradients, float(clip_value))


def _leaves(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Leaf]:
    """The leaves that hold the gradients of the parameters that have one."""
    given: list[Any] = (
        [parameters]
        if isinstance(parameters, Tensor)
        else listed(name, "a list of parameters", parameters)
    )
    if not given and isinstance(parameters, Iterator):
        raise ArgumentError(
            f"{name}: the iterator gives no parameters, perhaps as it has been gone through: give "
            "a list, or a new one, such as model.parameters()"
        )
    for p in given:
        if not isinstance(p, Tensor) or not p.is_leaf:
            raise GradientError(f"{name}: parameters are leaf tensors; got {p!r:.80}")
        if p.dtype.kind == "c":
            raise DTypeError(f"{name}: parameters are floats; got {describe(p)}")
    leaves = (p.edge[0] for p in given if p.edge is not None)
    return [leaf for leaf in leaves if leaf.grad is not None]


def _norm(g: Any, p: float) -> float:
    """(Σ |g|ᵖ)^(1/p) of one array, in double precision if its own would over- or underflow."""
    xp: Any = backend_of(g)
    if not g.size:
        return 0.0
    if p == math.inf:
        return float(xp.max(xp.abs(g), axis=None, keepdims=False))
    if g.dtype == float16:  # whose powers lose digits
        g = xp.astype(g, float32)
    total = _sum_of_powers(xp, g, p)
    if g.dtype != float64 and not _SAFE[0] < total < _SAFE[1]:
        total = _sum_of_powers(xp, xp.astype(g, float64), p)
    return total ** (1 / p)


def _sum_of_powers(xp: Any, g: Any, p: float) -> float:
    return float(xp.sum(g * g if p == 2 else xp.abs(g) ** p, axis=None, keepdims=False))


def _combined(norms: list[float], p: float) -> float:
    """The norm of all arrays together, from their norms."""
    largest = max(norms, default=0.0)
    if not math.isfinite(sum(norms)) or not largest:
        return sum(norms)
    if p == math.inf:
        return largest
    return largest * sum((norm / largest) ** p for norm in norms) ** (1 / p)
