"""Recomputation: intermediate results are not saved for backward, but computed again.

Gradient checkpointing trades time for memory.  The graph gets one node for the whole call.  When
backward visits it, the function runs again, recorded this time, and the walk goes on in that
record.  Random numbers are drawn `once`.  State that the function writes (running statistics, a
module's own buffers) is announced to `before_write`: the second run starts from copies of the
values that the first one found, and the state itself stays as it is.

T. Chen, B. Xu, C. Zhang, C. Guestrin 2016, arXiv:1604.06174.
"""

import math
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any
from weakref import ref

from minidl.autograd import inplace
from minidl.autograd.graph import Edge, Node, Source, paths_to, reachable, tick
from minidl.autograd.mode import (
    Mode,
    Observer,
    casting_anew,
    current,
    observed_by,
    replaying_in,
)
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, cpu
from minidl.errors import DTypeError, GradientError, describe


def checkpoint(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """f(*args, **kwargs), which saves only its arguments for backward, and then runs again.

    First derivatives are those of f(*args, **kwargs) to the bit, higher ones up to rounding.
    f returns a tensor, or a tuple or list of tensors and other values.  It must be deterministic:
    random numbers come from minidl's generators, which draw the same ones again.  Buffers and other
    tensors that it writes in place are written once.  If what it reads was written in between, or
    if it did something else, backward raises GradientError: if its outputs have other shapes,
    dtypes, sums or samples (64 elements at equal distances), depend on other tensors, or took other
    random numbers.  So Python state that it changes (`self.n += 1`) is noticed by what it does to
    the outputs.

    Chen, Xu, Zhang, Guestrin 2016.

    >>> x = minidl.tensor([0.5, 1.0], requires_grad=True)
    >>> def block(x):
    ...     for _ in range(10):  # intermediate tensors are freed, and computed again in backward
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
    tape = _Tape(_tape.get(), call)
    with _using(tape), casting_anew(mode):
        value = f(*args, **kwargs)
    tape.finish()
    tensors = call.outputs_in(value)
    edges = [y.edge for y in tensors]
    call.edges = _edges_before(call.start, edges)
    if not call.edges:
        return value
    call.outputs = [(y.shape, y.dtype) for y in tensors]
    call.digests = _digests(tensors)
    node = _CheckpointNode(call)
    shown = iter([Tensor(y.data, (node, i)) if y.edge else y for i, y in enumerate(tensors)])
    if isinstance(value, Tensor):
        return next(shown)
    return type(value)([next(shown) if isinstance(y, Tensor) else y for y in value])


def once(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), or, when a checkpointed call is replayed, its result of the first run."""
    tape = _tape.get()
    return function(*args) if tape is None else tape(function, *args)


def before_write(*owners: Any, name: str = "data") -> None:
    """Announce that an attribute is about to be written: the data of tensors, by default.

    Whoever writes state in `forward` other than by `tensor[...] = values` or `tensor += values`
    calls this first; then the state is written once, also in a checkpointed call.
    """
    tape = _tape.get()
    if tape is not None:
        for owner in owners:
            tape.keep(owner, name)


def is_checkpointed() -> bool:
    """Whether this runs inside a checkpointed call."""
    return _tape.get() is not None


class _Call:
    """A call that can be replayed."""

    def __init__(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], mode: Mode
    ) -> None:
        self.f, self.mode = f, mode
        # Snapshots: a later write may give an argument another array and edge.
        self.args = [_snapshot(x) for x in args]
        self.kwargs = {name: _snapshot(x) for name, x in kwargs.items()}
        self.results: list[Any] = []  # of what happens only once: see `once`
        # Of what the call wrote, by id and name: the owner, and its value before.
        self.state: dict[tuple[int, str], tuple[ref, Any]] = {}
        self.start = tick()
        self.edges: dict[Edge, None] = {}  # on which it depends
        self.outputs: list[tuple[tuple[int, ...], Any]] = []
        self.digests: list[str] = []  # of the outputs' values

    def outputs_in(self, value: Any) -> list[Tensor]:
        """The tensors in the result of f."""
        if isinstance(value, Tensor):
            return [value]
        if type(value) not in (tuple, list):
            raise DTypeError(
                f"checkpoint: f gave {describe(value)}; needs a tensor, or a tuple or list of them"
            )
        return [y for y in value if isinstance(y, Tensor)]

    def replay(self) -> list[Edge | None]:
        """Run again, recorded: the edges of the outputs."""
        start = tick()
        observer = _Unwritten(self.start, start)
        tape = _Replay(self.results, observer)
        with self._rewound(), replaying_in(self.mode), observed_by(observer), _using(tape):
            tensors = self.outputs_in(self.f(*self.args, **self.kwargs))
        edges = [y.edge for y in tensors]
        same = (
            [(y.shape, y.dtype) for y in tensors] == self.outputs
            and _edges_before(start, edges).keys() == self.edges.keys()
            and tape.used == len(self.results)
            and _digests(tensors) == self.digests
        )
        if not same:
            raise _otherwise()
        return edges

    @contextmanager
    def _rewound(self) -> Iterator[None]:
        """Inside this context, what the call wrote is as the call found it, in copies."""
        found = [(owner(), name, value) for (_, name), (owner, value) in self.state.items()]
        now = [(x, name, getattr(x, name)) for x, name, _ in found if x is not None]
        try:
            for owner, name, value in found:
                if owner is not None:
                    _put(owner, name, _copied(value))
            yield
        finally:
            for owner, name, value in now:
                _put(owner, name, value)


class _CheckpointNode(Node):
    """The node of a whole call, whose graph is recorded only when backward visits it."""

    __slots__ = ()

    def __init__(self, call: _Call) -> None:
        saved: Any = ((call,), {}) if call.mode.save_inputs else None
        super().__init__(_OPERATION, call, list(call.edges), call.outputs, saved)

    def pull(
        self, dys: list[Any], create_graph: bool, needed: set[Source] | None
    ) -> Iterator[tuple[Edge, Any]]:
        """Hand the gradients of the outputs on to the graph of the replayed call."""
        self.check_alive()
        if create_graph:
            self.saved_for_higher_order()
        edges = self.pullback.replay()
        if needed is not None:
            sources = [edge[0] for edge in edges if edge is not None]
            needed |= paths_to(needed, sources, after=self.order)
        for edge, dy in zip(edges, dys, strict=True):
            if edge is not None and dy is not None:
                yield edge, dy


_OPERATION = SimpleNamespace(__name__="checkpoint")


class _Tape:
    """Saves what happens only once, in its order, and the state before it is written."""

    def __init__(self, outer: "_Tape | _Replay | None", call: _Call) -> None:
        self.outer, self.results, self.state = outer, call.results, call.state
        self.memory = _Memory()

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        with _using(self.outer):  # the tape of an enclosing checkpointed call
            result = once(function, *args)
        self.results.append(result)
        return result

    def keep(self, owner: Any, name: str) -> None:
        """Keep the value of an attribute, unless it was written before; forget that of the dead."""
        if self.outer is not None:
            self.outer.keep(owner, name)
        key, state = (id(owner), name), self.state
        if key in state:
            return
        value = getattr(owner, name)
        value = self.memory.keep(value, key) if isinstance(owner, Tensor) else _copied(value)
        state[key] = ref(owner, lambda _: state.pop(key, None)), value

    def finish(self) -> None:
        """The run is over: find what those tensors held whose memory was written by others."""
        for key, value in self.memory.values_before(self.state).items():
            self.state[key] = self.state[key][0], value


class _Memory:
    """What memory held before it was written, in pieces, as several tensors may share it.

    `total[:1] += 1` writes to the memory of `total` through another tensor, before it writes to
    `total` itself.  What `total` held at the beginning is found by undoing the writes.
    """

    def __init__(self) -> None:
        # By the id of a buffer: arrays in it that were written, in their order, and the values that
        # each had before.
        self.written: dict[int, list[tuple[Any, Any]]] = {}
        self.late: dict[Any, Any] = {}  # by key: arrays in memory of which some was written before

    def keep(self, array: Any, key: Any) -> Any:
        """A copy of an array that is about to be written; that may come late, for this key."""
        buffer = inplace.buffer_of(array)
        written = self.written.setdefault(id(buffer), [])
        if written:
            self.late[key] = array
        if any(other is buffer for other, _ in written):
            return None  # all of its memory is kept
        value = array.copy()
        written.append((array, value))
        return value

    def values_before(self, wanted: Container[Any]) -> dict[Any, Any]:
        """By key, as far as it is wanted: what the late arrays held before the first write."""
        found = {}
        for key, array in self.late.items():
            if key in wanted:
                with _undone(self.written[id(inplace.buffer_of(array))]):
                    found[key] = array.copy()
        return found


@contextmanager
def _undone(written: list[tuple[Any, Any]]) -> Iterator[None]:
    """Inside this context, memory is as it was before these arrays were written."""
    now = [array.copy() for array, _ in written]
    try:
        for array, before in reversed(written):
            backend_of(array).set_at(array, ..., before)
        yield
    finally:
        for (array, _), value in zip(written, now, strict=True):
            backend_of(array).set_at(array, ..., value)


class _Replay:
    """Returns the results that a tape saved."""

    def __init__(self, results: list[Any], observer: "_Unwritten") -> None:
        self.results, self.used, self.observer = results, 0, observer

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        if self.used == len(self.results):
            raise _otherwise()
        self.used += 1
        return self.results[self.used - 1]

    def keep(self, owner: Any, name: str) -> None:
        """The state was kept by the first run, and copied; other memory is not written again."""
        if isinstance(owner, Tensor):
            self.observer.check(owner.data, "an in-place write")


_tape: ContextVar[_Tape | _Replay | None] = ContextVar("minidl checkpoint", default=None)


@contextmanager
def _using(tape: _Tape | _Replay | None) -> Iterator[None]:
    """Inside this context, `once` goes through this tape."""
    token = _tape.set(tape)
    try:
        yield
    finally:
        _tape.reset(token)


class _Unwritten(Observer):
    """Refuses arrays that were written after the first run began, and before the second did."""

    def __init__(self, first: int, second: int) -> None:
        self.first, self.second = first, second

    def ran(self, operation: Any, inputs: Any, outputs: list[Any], node: Any) -> None:
        """Check the inputs; writes by the second run itself repeat those of the first."""
        if inplace.latest_write < self.first:
            return
        for x in inputs:
            array = x.data if isinstance(x, Tensor) else x
            if hasattr(array, "base"):
                self.check(array, operation.__name__)

    def check(self, array: Any, name: str) -> None:
        """Raise if this array, which `name` is about to use, was written in between."""
        if 0 < inplace.last_write(array, self.first) < self.second:
            raise GradientError(
                f"checkpoint: {name} reads an array of shape {tuple(array.shape)} which was "
                "written in place before backward; write to a copy, or call backward first"
            )


def _copied(value: Any) -> Any:
    """An array, copied; tensors, which are replaced rather than written, are not."""
    return value if isinstance(value, Tensor) or not hasattr(value, "copy") else value.copy()


def _put(owner: Any, name: str, value: Any) -> None:
    """Set an attribute, of a module without its own checks."""
    if hasattr(owner, "__dict__"):
        vars(owner)[name] = value
    else:
        setattr(owner, name, value)


_SAMPLES = 64


def _digests(tensors: list[Tensor]) -> list[str]:
    """What tells the values of each tensor from others, cheaply: the sum, and some elements.

    They are compared to the bit, as kernels give the same bits for the same arrays; as text, in
    which NaN is NaN.
    """
    digests = []
    for y in tensors:
        xp: Any = backend_of(y.data)
        flat = xp.reshape(y.data, (-1,))
        with cpu.quiet():
            total = xp.sum(flat, axis=0, keepdims=True)
        samples = flat[:: max(math.ceil(y.size / _SAMPLES), 1)]
        digests.append(f"{xp.to_numpy(total).tolist()} {xp.to_numpy(samples).tolist()}")
    return digests


def _snapshot(x: Any) -> Any:
    return Tensor(x.data, x.edge) if isinstance(x, Tensor) else x


def _edges_before(start: int, edges: list[Edge | None]) -> dict[Edge, None]:
    """What these edges depend on that was there at `start`; a dict, for its order."""
    since = reachable([edge[0] for edge in edges if edge], start)
    behind = [edge for source in since for edge in getattr(source, "edges", ())]
    return {edge: None for edge in (*edges, *behind) if edge and edge[0].order < start}


def _otherwise() -> GradientError:
    return GradientError(
        "checkpoint: f did something else when it ran again: other outputs, other tensors or other "
        "random numbers; it must not depend on what changes, such as the mode of a module, a "
        "counter that it raises itself, or a tensor of the outside that is written between forward "
        "and backward"
    )
