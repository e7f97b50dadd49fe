"""Recomputation: what a function computes on its way is not kept for backward, but computed again.

The graph gets one node for the whole call.  When its turn comes in backward, the function runs
again and is recorded this time, and the walk goes on through that record.  What must not happen
twice (taking random numbers, tracking the statistics of a batch) goes through `once`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

from minidl.autograd import engine, inplace
from minidl.autograd.graph import Edge, Node, tick
from minidl.autograd.mode import Mode, Watcher, as_in, current, watched_by
from minidl.autograd.tensor import Tensor
from minidl.errors import DTypeError, GradientError, describe


def checkpoint(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """f(*args, **kwargs), which keeps nothing for backward but its arguments, and then runs again.

    First derivatives are those of f(*args, **kwargs) to the bit, higher ones up to rounding.
    f gives a tensor, or a tuple or list of tensors and other values.  It does the same each time:
    random numbers come from minidl's generators, which hand out the same ones again.  If it did
    something else, or if what it reads was written in between, backward raises GradientError.

    Chen, Xu, Zhang, Guestrin 2016.

    >>> x = minidl.tensor([0.5, 1.0], requires_grad=True)
    >>> def block(x):
    ...     for _ in range(10):  # the tensors between are freed, and made again in backward
    ...         x = x * 2
    ...     return x
    >>> minidl.checkpoint(block, x).sum().backward()
    >>> x.grad.tolist()
    [1024.0, 1024.0]
    """
    if not callable(f):
        raise DTypeError(f"checkpoint: needs a function; got {describe(f)}")
    mode = current.get()
    if not mode.record:
        return f(*args, **kwargs)
    call = _Call(f, args, kwargs, mode)
    tape = _Tape(_tape.get(), call.results)
    with _using(tape):
        value = f(*args, **kwargs)
    tensors = call.outputs_in(value)
    edges = [y.edge for y in tensors]
    call.edges = _edges_before(call.start, edges)
    if not call.edges:
        return value
    call.outputs = [(y.shape, y.dtype) for y in tensors]
    again = engine.Recomputed(call.record)
    kept = ((again,), {}) if mode.keep_inputs else None
    node = Node(_OPERATION, again, list(call.edges), call.outputs, kept)
    shown = iter([Tensor(y.data, (node, i)) if y.edge else y for i, y in enumerate(tensors)])
    if isinstance(value, Tensor):
        return next(shown)
    return type(value)([next(shown) if isinstance(y, Tensor) else y for y in value])


# What a node of the graph needs to know of the operation; its pullback is the same on Tensors.
_OPERATION = SimpleNamespace(__name__="checkpoint", body=lambda xp, again: (None, again))


def once(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), or, when a checkpointed call runs again, what this gave the first time."""
    tape = _tape.get()
    return function(*args) if tape is None else tape(function, *args)


class _Call:
    """A call that can be repeated."""

    def __init__(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], mode: Mode
    ) -> None:
        self.f, self.mode = f, mode
        # Snapshots: a later write may give an argument another array and edge.
        self.args = [_snapshot(x) for x in args]
        self.kwargs = {name: _snapshot(x) for name, x in kwargs.items()}
        self.results: list[Any] = []  # of what happens only once
        self.start = tick()
        self.edges: dict[Edge, None] = {}  # what it depends on
        self.outputs: list[tuple[tuple[int, ...], Any]] = []

    def outputs_in(self, value: Any) -> list[Tensor]:
        """The tensors that f gave."""
        if isinstance(value, Tensor):
            return [value]
        if type(value) not in (tuple, list):
            raise DTypeError(
                f"checkpoint: f gave {describe(value)}; needs a tensor, or a tuple or list of them"
            )
        return [y for y in value if isinstance(y, Tensor)]

    def record(self) -> list[Edge | None]:
        """Run again, recorded: the edges of the outputs."""
        start = tick()
        tape = _Replay(self.results)
        with as_in(self.mode), watched_by(_Unwritten(self.start, start)), _using(tape):
            tensors = self.outputs_in(self.f(*self.args, **self.kwargs))
        edges = [y.edge for y in tensors]
        same = (
            [(y.shape, y.dtype) for y in tensors] == self.outputs
            and _edges_before(start, edges).keys() == self.edges.keys()
            and tape.used == len(self.results)
        )
        if not same:
            raise _otherwise()
        return edges


class _Tape:
    """Keeps the results of what happens only once, in their order."""

    def __init__(self, outer: "_Tape | _Replay | None", results: list[Any]) -> None:
        self.outer, self.results = outer, results

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        with _using(self.outer):  # of a call that this one is a part of
            result = once(function, *args)
        self.results.append(result)
        return result


class _Replay:
    """Gives the results that a tape kept."""

    def __init__(self, results: list[Any]) -> None:
        self.results, self.used = results, 0

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        if self.used == len(self.results):
            raise _otherwise()
        self.used += 1
        return self.results[self.used - 1]


_tape: ContextVar[_Tape | _Replay | None] = ContextVar("minidl checkpoint", default=None)


@contextmanager
def _using(tape: _Tape | _Replay | None) -> Iterator[None]:
    """What happens once goes through this tape, inside the context."""
    token = _tape.set(tape)
    try:
        yield
    finally:
        _tape.reset(token)


class _Unwritten(Watcher):
    """Refuses what was written after the first run had begun, and before the second did."""

    def __init__(self, first: int, second: int) -> None:
        self.first, self.second = first, second

    def ran(self, operation: Any, inputs: Any, outputs: list[Any], node: Any) -> None:
        """Look at the inputs; writes of the second run itself are as they were in the first."""
        if inplace.latest_write < self.first:
            return
        for x in inputs:
            array = x.data if isinstance(x, Tensor) else x
            if hasattr(array, "base") and self.first < inplace.last_write(array) < self.second:
                raise GradientError(
                    f"checkpoint: {operation.__name__} reads an array of shape "
                    f"{tuple(array.shape)} which was written in place before backward; write to a "
                    "copy, or call backward first"
                )


def _snapshot(x: Any) -> Any:
    return Tensor(x.data, x.edge) if isinstance(x, Tensor) else x


def _edges_before(start: int, edges: list[Edge | None]) -> dict[Edge, None]:
    """What these edges lead to among what was there at `start`; a dict, for its order."""
    since = engine.reachable([edge[0] for edge in edges if edge], start)
    behind = [edge for source in since for edge in getattr(source, "edges", ())]
    return {edge: None for edge in (*edges, *behind) if edge and edge[0].order < start}


def _otherwise() -> GradientError:
    return GradientError(
        "checkpoint: f did something else when it ran again: other outputs, other tensors or other "
        "random numbers; it must not depend on what changes, such as the mode of a module, or a "
        "tensor of the outside that is written between forward and backward"
    )
