"""Checks of the parameters of optimisers."""

from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

from minidl.autograd import inplace
from minidl.autograd.tensor import Tensor
from minidl.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    MinidlError,
    describe,
    listed,
)


def ordered(name: str, needs: str, value: Any) -> list[Any]:
    """The items of an iterable as a list; ArgumentError for a set, whose order varies.

    State is saved by position: in another order, parameters would get each other's.
    """
    if isinstance(value, set | frozenset | WeakSet):
        raise ArgumentError(
            f"{name}: needs {needs}; got a {type(value).__name__}, whose order changes from run to "
            "run, while state is saved by position: give a list"
        )
    return listed(name, needs, value)


def check_learnable(name: str, p: Any) -> None:
    """Raise unless it is a float leaf; a frozen Parameter may be unfrozen later."""
    if not isinstance(p, Tensor) or not p.is_leaf:
        raise GradientError(f"{name}: parameters are leaf tensors; got {p!r:.80}")
    if p.dtype.kind != "f":
        raise DTypeError(f"{name}: parameters are floats; got {describe(p)}")
    if type(p) is Tensor and not p.requires_grad:
        raise GradientError(
            f"{name}: this tensor, {describe(p)}, requires no gradient, and would never change; "
            "create it with requires_grad=True"
        )


def check_writeable(name: str, params: Iterable[Tensor]) -> None:
    """Raise for a parameter that cannot be updated in place, before any other has been."""
    for p in params:
        if not inplace.is_writeable(p.data):
            raise ArgumentError(
                f"{name}: a parameter of shape {p.shape} lies in read-only memory; make it of a "
                "copy: nn.Parameter(minidl.tensor(values))"
            )


def step_count(name: str, value: Any) -> int:
    """The number of steps in a state that was put in by hand, as a tensor perhaps."""
    try:
        step = int(value)
        if step == value and step >= 0:
            return step
    except (MinidlError, TypeError, ValueError, OverflowError):
        pass
    raise ArgumentError(f"{name}: state['step'] is an integer ≥ 0; got {describe(value)}")
