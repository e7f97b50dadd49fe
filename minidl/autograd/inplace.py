"""In-place safety: whatever is written into an array, gradients are correct, or refused.

There are two kinds of writes.

*A write that is not recorded* (constants into a tensor without gradients, an optimiser's step) goes
into the memory itself.  The tick of the last write to each buffer is stored, and before a node's
pullback runs, the arrays that it saved are checked for writes since the node was recorded.

*A write that is recorded* gives its tensor a new array and a new edge, so that saved arrays stay as
they were.  The old buffer is superseded: a view of it no longer shows the values of the tensor, and
using one is an error.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any
from weakref import ref

from minidl.autograd.graph import Node, tick
from minidl.errors import GradientError

latest_write = 0
_last_write: dict[int, tuple[ref, int]] = {}  # by id of the buffer; gone when the buffer is
superseded: dict[int, ref] = {}


def buffer_of(array: Any) -> Any:
    """The array that owns the memory of `array`."""
    while (base := array.base) is not None and hasattr(base, "shape"):
        array = base
    return array


def mark_written(*arrays: Any) -> None:
    """Store that the memory of these arrays has been written."""
    global latest_write
    latest_write = tick()
    for buffer in map(buffer_of, arrays):
        key = id(buffer)
        entry = _last_write.get(key)
        buffer_ref = entry[0] if entry else ref(buffer, partial(_forget, key))
        _last_write[key] = buffer_ref, latest_write


def _forget(key: int, _: ref) -> None:
    """Drop the entry of a buffer that has been freed."""
    _last_write.pop(key, None)


def last_write(array: Any) -> int:
    """The tick of the last write to the memory of `array`; 0: never."""
    return _last_write.get(id(buffer_of(array)), (None, 0))[1]


def mark_superseded(array: Any) -> None:
    """Store that the tensor whose memory this was has a new array."""
    buffer = buffer_of(array)
    key = id(buffer)
    superseded[key] = ref(buffer, lambda _: superseded.pop(key, None))


def refuse_superseded(array: Any, name: str) -> None:
    """Raise if `array` is a view of memory that a recorded write has replaced."""
    if id(buffer_of(array)) in superseded:
        raise GradientError(
            f"{name}: this tensor shares memory with one that was then written in place while "
            "gradients were recorded, and no longer shows its values; take the view after the "
            "write, or write to a copy"
        )


def check_unwritten(node: Node) -> None:
    """Raise if an array that `node` saved has been written since it was recorded."""
    for array in _arrays_in((node.pullback, node.saved)):
        if last_write(array) > node.order:
            raise GradientError(
                f"{node.name} saved an array of shape {tuple(array.shape)} for its gradient, which "
                "was written in place before backward; write to a copy, or call backward first"
            )


def _arrays_in(value: Any) -> Iterator[Any]:
    """The arrays in closures, containers and tensors, however deeply nested."""
    if callable(value):
        for cell in getattr(value, "__closure__", None) or ():
            yield from _arrays_in(cell.cell_contents)
    elif isinstance(value, tuple | list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _arrays_in(item)
    elif hasattr(value, "edge"):
        yield value.data
    elif hasattr(value, "shape"):
        yield value
