"""Clipping: gradients that are too large, made smaller before a step."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from minidl.autograd.graph import Leaf
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, cpu
from minidl.backends.rows import RowGradient
from minidl.dtypes import default_float, float64, result_type
from minidl.errors import ArgumentError, DTypeError, GradientError, check_flags, describe, listed
from minidl.optim.checks import check_not_negative

_SAFE = 1e-30, 1e30  # sums of powers in between have neither overflowed nor lost much


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """g ← g · min(1, max_norm / (n + 1e-6)), n = (Σ |g|ᵖ)^(1/p) over all gradients together.

    norm_type             p, above 0; infinity: the largest |g|
    error_if_nonfinite    raise GradientError if n is infinite or NaN; else, as in PyTorch, the
                          gradients become 0 or NaN

    Returns n, as it was before.  Parameters without a gradient are skipped.  A gradient that is
    changed becomes a new array; others that hold the old one keep it as it was.  Pascanu, Mikolov,
    Bengio 2013.

    >>> w = nn.Parameter(minidl.zeros((2,), dtype="float64"))
    >>> w.grad = minidl.tensor([3.0, 4.0], dtype="float64")
    >>> optim.clip_grad_norm_([w], max_norm=1.0).item(), w.grad.numpy().round(4).tolist()
    (5.0, [0.6, 0.8])
    """
    name = "clip_grad_norm_"
    check_not_negative(name, {"max_norm": max_norm}, "max_norm", infinite=True)
    check_flags(f"{name}: ", error_if_nonfinite=error_if_nonfinite)
    try:
        p = float(norm_type)  # PyTorch's "inf", too
    except (TypeError, ValueError):
        p = math.nan
    if not p > 0:
        raise ArgumentError(f"{name}: norm_type is a number above 0; got {norm_type!r}")
    found = {leaf: _plain(leaf.grad) for leaf in _leaves("clip_grad_norm_", parameters)}
    gradients = [g.rows if type(g) is RowGradient else g for g in found.values()]
    with cpu.quiet():
        total = _combined([_norm(g, p) for g in gradients], p)
        if error_if_nonfinite and not math.isfinite(total):
            raise GradientError(
                f"clip_grad_norm_: the norm of the gradients is {total}; error_if_nonfinite=False "
                "clips them nevertheless"
            )
        coefficient = float(max_norm) / (total + 1e-6)
        if not coefficient >= 1:  # NaN is not, either
            _replace(found, lambda xp, g: g * coefficient)
        dtype = result_type(*gradients) if gradients else default_float
        xp = backend_of(gradients[0]) if gradients else cpu
        return Tensor(xp.asarray(total, dtype=dtype))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """g ← min(max(g, −clip_value), clip_value), element by element; NaN stays.

    Parameters without a gradient are skipped.  A gradient becomes a new array; others that hold the
    old one keep it as it was.

    >>> w = nn.Parameter(minidl.zeros((3,)))
    >>> w.grad = minidl.tensor([3.0, -0.5, -4.0])
    >>> optim.clip_grad_value_([w], 1.0)
    >>> w.grad.tolist()
    [1.0, -0.5, -1.0]
    """
    check_not_negative("clip_grad_value_", {"clip_value": clip_value}, "clip_value", infinite=True)
    bound = float(clip_value)
    found = {leaf: _plain(leaf.grad) for leaf in _leaves("clip_grad_value_", parameters)}
    _replace(found, lambda xp, g: xp.minimum(xp.maximum(g, -bound), bound))


def _leaves(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Leaf]:
    """Where the gradients are, of the parameters that have one."""
    alone = isinstance(parameters, Tensor)
    given = [parameters] if alone else listed(name, "a list of parameters", parameters)
    for p in given:
        if not isinstance(p, Tensor) or not p.is_leaf:
            raise GradientError(f"{name}: parameters are leaf tensors; got {p!r:.80}")
        if p.dtype.kind == "c":
            raise DTypeError(f"{name}: parameters are floats; got {describe(p)}")
    leaves = (p.edge[0] for p in given if p.edge is not None)
    return [leaf for leaf in leaves if leaf.grad is not None]


def _plain(gradient: Any) -> Any:
    """A gradient as an array, or as a RowGradient that has each of its rows once."""
    if type(gradient) is not RowGradient:
        return gradient.data if isinstance(gradient, Tensor) else gradient
    xp, indices = gradient.backend, gradient.indices.tolist()
    places = {index: place for place, index in enumerate(dict.fromkeys(indices))}
    where = xp.asarray([places[index] for index in indices], dtype=gradient.indices.dtype)
    shape = len(places), *gradient.rows.shape[1:]
    rows = xp.scatter_at(gradient.rows, (where,), shape)
    once = xp.asarray(list(places), dtype=gradient.indices.dtype)
    return RowGradient(xp, once, rows, gradient.shape)


def _replace(found: dict[Leaf, Any], function: Callable[[Any, Any], Any]) -> None:
    """Give each leaf what the function makes of its gradient."""
    for leaf, g in found.items():
        if type(g) is RowGradient:
            leaf.grad = RowGradient(g.backend, g.indices, function(g.backend, g.rows), g.shape)
        else:
            xp = backend_of(g)
            leaf.grad = xp.asarray(function(xp, g))


def _norm(g: Any, p: float) -> float:
    """(Σ |g|ᵖ)^(1/p) of one array, in double precision where its own would not hold the sum."""
    xp = backend_of(g)
    if not g.size:
        return 0.0
    if p == math.inf:
        return float(xp.max(xp.abs(g), axis=None, keepdims=False))
    total = _sum_of_powers(xp, g, p)
    if g.dtype != float64 and not _SAFE[0] < total < _SAFE[1]:
        total = _sum_of_powers(xp, xp.astype(g, float64), p)
    return total ** (1 / p)


def _sum_of_powers(xp: Any, g: Any, p: float) -> float:
    return float(xp.sum(g * g if p == 2 else xp.abs(g) ** p, axis=None, keepdims=False))


def _combined(norms: list[float], p: float) -> float:
    """The norm of all, from the norm of each."""
    largest = max(norms, default=0.0)
    if not math.isfinite(sum(norms)) or not largest:
        return sum(norms)
    if p == math.inf:
        return largest
    return largest * sum((norm / largest) ** p for norm in norms) ** (1 / p)
