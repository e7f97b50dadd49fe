"""How operations run: whether they are recorded, what they keep, which kernels, who watches."""

from collections.abc import Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, NamedTuple, Self

from minidl.errors import ArgumentError, DTypeError, describe


class Watcher:
    """Sees what operations and pullbacks compute, and may raise."""

    def ran(self, operation: Any, inputs: Sequence[Any], outputs: list[Any], node: Any) -> None:
        """See an operation: its inputs as given, its output arrays, its node or None."""

    def pulled(self, node: Any, dys: list[Any], edge: Any, gradient: Any) -> None:
        """See a pullback: the gradients of the outputs, and that of one input."""


class Mode(NamedTuple):
    """The settings in force; every thread starts with these defaults."""

    record: bool = True  # operations on tracked tensors leave a node in the graph
    keep_inputs: bool = False  # nodes keep their inputs, so that gradients can be recorded too
    fast: bool = True  # a backend's kernels run where it has them
    watch: tuple[Watcher, ...] = ()  # who sees what is computed
    again: bool = False  # what ran before runs again, on arrays as they were then


_DEFAULT = Mode()
current: ContextVar[Mode] = ContextVar("minidl mode", default=_DEFAULT)


class _Change(ContextDecorator):
    """A `with` block, or a decorator, under which some settings differ."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._tokens: list[Any] = []

    def __call__(self, function: Any) -> Any:
        if not callable(function):
            raise DTypeError(f"a decorator needs a function; got {describe(function)}")
        return super().__call__(function)

    def _recreate_cm(self) -> Self:
        return type(self)(**self._settings)  # each call of a decorated function has its own

    def __enter__(self) -> None:
        self._tokens.append(current.set(current.get()._replace(**self._settings)))

    def __exit__(self, *_: object) -> None:
        current.reset(self._tokens.pop())


class _Watch(_Change):
    """A block in which one more watches."""

    def __enter__(self) -> None:
        mode = current.get()
        others = [w for w in mode.watch if w is not self._settings["watcher"]]
        watch = (*others, self._settings["watcher"])
        self._tokens.append(current.set(mode._replace(watch=watch)))


def no_grad() -> _Change:
    """Record nothing: results are constants to every gradient.

    >>> w = minidl.tensor(3.0, requires_grad=True)
    >>> with minidl.no_grad():
    ...     w -= 1  # a step of an optimiser is no part of the graph
    >>> w.is_leaf, (w * 2).requires_grad, minidl.no_grad()(lambda: w * 2)().requires_grad
    (True, True, False)
    """
    return _Change(record=False)


def enable_grad() -> _Change:
    """Record again, inside a `no_grad` block.

    >>> w = minidl.tensor(3.0, requires_grad=True)
    >>> with minidl.no_grad(), minidl.enable_grad():
    ...     (w**2).backward()
    >>> w.grad.item()
    6.0
    """
    return _Change(record=True)


def higher_order() -> _Change:
    """Record so that the gradients can be differentiated again (`create_graph=True`).

    Nodes keep their inputs, and operations run as their parts rather than as kernels.

    >>> x = minidl.tensor(2.0, requires_grad=True)
    >>> with minidl.higher_order():
    ...     y = x**3
    >>> (slope,) = minidl.gradients(y, [x], create_graph=True)
    >>> slope.backward()  # the second derivative
    >>> slope.item(), x.grad.item()
    (12.0, 12.0)
    """
    return _Change(keep_inputs=True)


def recording_everything() -> _Change:
    """What a walk with `create_graph` runs in."""
    return _Change(record=True, keep_inputs=True, again=True)


def watched_by(watcher: Watcher) -> _Change:
    """Let a watcher see operations and pullbacks, besides those that do already."""
    return _Watch(watcher=watcher)


def as_in(mode: Mode) -> _Change:
    """Record, as another mode would; whoever watches goes on."""
    return _Change(record=True, keep_inputs=mode.keep_inputs, fast=mode.fast, again=True)


def kernels(which: str) -> _Change:
    """Choose what runs: "fast", the backend's kernels, or "reference", the operations' bodies.

    >>> with minidl.kernels("reference"):
    ...     minidl.relu(minidl.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    if which not in ("fast", "reference"):
        raise ArgumentError(f'kernels: takes "fast" or "reference"; got {describe(which)}')
    return _Change(fast=which == "fast")
