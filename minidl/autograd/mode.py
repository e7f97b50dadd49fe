"""Execution modes: whether operations are recorded, what nodes save, which kernels run."""

from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, NamedTuple, Self, TypeVar

from minidl.errors import ArgumentError, DTypeError, describe

Function = TypeVar("Function", bound=Callable[..., Any])


class Observer:
    """Sees what operations and pullbacks compute, and may raise."""

    def ran(self, operation: Any, inputs: Sequence[Any], outputs: list[Any], node: Any) -> None:
        """See an operation: its inputs as given, its output arrays, its node or None."""

    def pulled(self, node: Any, dys: list[Any], edge: Any, gradient: Any) -> None:
        """See a pullback: the gradients of the outputs, and the gradient of one input."""


class Mode(NamedTuple):
    """The settings in force; every thread starts with these defaults."""

    record: bool = True  # operations on tensors that require gradients leave a node in the graph
    save_inputs: bool = False  # nodes save their inputs, so that gradients can be recorded too
    fast: bool = True  # a backend's kernels run where it has them
    observers: tuple[Observer, ...] = ()
    replaying: bool = False  # an earlier computation is repeated, on its inputs as they were then


_DEFAULT = Mode()
current: ContextVar[Mode] = ContextVar("minidl mode", default=_DEFAULT)


class ModeChange(ContextDecorator):
    """A `with` block, or a decorator, under which some settings differ."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._before: list[Mode] = []

    def __call__(self, function: Function) -> Function:
        """Decorate a function, which then runs under these settings."""
        if not callable(function):
            raise DTypeError(f"a decorator needs a function; got {describe(function)}")
        return super().__call__(function)

    def _recreate_cm(self) -> Self:
        return type(self)(**self._settings)  # each call of a decorated function has its own

    def __enter__(self) -> None:
        before = current.get()
        try:
            self._before.append(before)
            current.set(self._changed(before))
        except BaseException:  # interrupted: there will be no exit
            current.set(before)
            raise

    def __exit__(self, *_: object) -> None:
        current.set(self._before.pop())

    def _changed(self, mode: Mode) -> Mode:
        """The mode inside of the block."""
        return mode._replace(**self._settings)


class _Observed(ModeChange):
    """A block that one more observer sees."""

    def _changed(self, mode: Mode) -> Mode:
        observer = self._settings["observer"]
        others = [other for other in mode.observers if other is not observer]
        return mode._replace(observers=(*others, observer))


def no_grad() -> ModeChange:
    """Record nothing: results are constants to every gradient.

    >>> w = minidl.tensor(3.0, requires_grad=True)
    >>> with minidl.no_grad():
    ...     w -= 1  # a step of an optimiser is not part of the graph
    >>> w.is_leaf, (w * 2).requires_grad, minidl.no_grad()(lambda: w * 2)().requires_grad
    (True, True, False)
    """
    return ModeChange(record=False)


def enable_grad() -> ModeChange:
    """Record again, inside a `no_grad` block.

    >>> w = minidl.tensor(3.0, requires_grad=True)
    >>> with minidl.no_grad(), minidl.enable_grad():
    ...     (w**2).backward()
    >>> w.grad.item()
    6.0
    """
    return ModeChange(record=True)


def higher_order() -> ModeChange:
    """Record so that the gradients can be differentiated again (`create_graph=True`).

    Nodes save their inputs, and operations run as their parts rather than as kernels.

    >>> x = minidl.tensor(2.0, requires_grad=True)
    >>> with minidl.higher_order():
    ...     y = x**3
    >>> (slope,) = minidl.gradients(y, [x], create_graph=True)
    >>> slope.backward()  # the second derivative
    >>> slope.item(), x.grad.item()
    (12.0, 12.0)
    """
    return ModeChange(save_inputs=True)


def replaying() -> ModeChange:
    """What backpropagation with `create_graph` runs in: bodies run again, and are recorded."""
    return ModeChange(record=True, save_inputs=True, replaying=True)


def replaying_in(mode: Mode) -> ModeChange:
    """Repeat a computation as it ran in another mode, recorded; observers stay those of now."""
    return ModeChange(record=True, save_inputs=mode.save_inputs, fast=mode.fast, replaying=True)


def observed_by(observer: Observer) -> ModeChange:
    """Show operations and pullbacks to an observer, besides the present ones."""
    return _Observed(observer=observer)


def kernels(which: str) -> ModeChange:
    """Choose what runs: "fast", the backend's kernels, or "reference", the operations' bodies.

    >>> with minidl.kernels("reference"):
    ...     minidl.relu(minidl.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    if which not in ("fast", "reference"):
        raise ArgumentError(f'kernels: takes "fast" or "reference"; got {describe(which)}')
    return ModeChange(fast=which == "fast")
