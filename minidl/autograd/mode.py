"""Execution modes: whether operations are recorded, what nodes save, which kernels run."""

from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from typing import Any, Self, TypeVar

from minidl.backends.mode import Mode, current
from minidl.errors import ArgumentError, DTypeError, describe

Function = TypeVar("Function", bound=Callable[..., Any])


class Observer:
    """Sees what operations and pullbacks compute, and may raise."""

    def ran(self, operation: Any, inputs: Sequence[Any], outputs: list[Any], node: Any) -> None:
        """See an operation: its inputs as given, its output arrays, its node or None."""

    def pulled(self, node: Any, dys: list[Any], edge: Any, gradient: Any) -> None:
        """See a pullback: the gradients of the outputs, and the gradient of one input."""


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
    return ModeChange(record=True, save_inputs=True, replaying=True, autocast=None)


def replaying_in(mode: Mode) -> ModeChange:
    """Repeat a computation as it ran in another mode, recorded; observers stay those of now."""
    return ModeChange(
        record=True,
        save_inputs=mode.save_inputs,
        fast=mode.fast,
        winograd=mode.winograd,
        replaying=True,
        autocast=mode.autocast and mode.autocast.anew(),
    )


def casting_anew(mode: Mode) -> ModeChange:
    """Parameters that `autocast` has cast are cast again, as when a computation is repeated."""
    return ModeChange(autocast=mode.autocast and mode.autocast.anew())


def without_autocast() -> ModeChange:
    """A block in which no inputs are cast."""
    return ModeChange(autocast=None)


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


def allow_winograd(allowed: bool = True) -> ModeChange:
    """Allow convolutions to use Winograd's algorithm, which is faster and less exact.

    By default each element of a convolution, and of its gradients, obeys the componentwise bound

        |error| ≤ n·ε/2·Σ|x||w|        n: the number of terms; ε/2 = 2⁻²⁴ for float32

    Winograd's algorithm, for windows of 3 × 3 and stride 1, adds neighbouring elements before it
    multiplies: its errors are relative to the largest of them.  Where neighbours differ by many
    decades, small results then have no correct digit; where they are of one size, as in most
    networks, errors grow by a small factor.  MINIDL_WINOGRAD=1 in the environment allows it from
    the start.  Gradients are computed as the convolution was.

    N. Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 23.2.4, on the bounds
    of such algorithms.

    >>> x = minidl.tensor([[[[1e8, 0.0, 0.0], [0.0, 1.25, 0.0], [0.0, 0.0, 0.0]]]])
    >>> identity = minidl.tensor([[[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]])
    >>> minidl.conv2d(x, identity, padding=1)[0, 0, 1, 1].item()
    1.25
    >>> with minidl.allow_winograd():
    ...     minidl.conv2d(x, identity, padding=1).shape
    (1, 1, 3, 3)
    """
    if type(allowed) is not bool:
        raise ArgumentError(f"allow_winograd: takes True or False; got {describe(allowed)}")
    return ModeChange(winograd=allowed)
