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

import numpy as np

from minidl.autograd.graph import Node, tick
from minidl.backends import by_type
from minidl.errors import GradientError

latest_write = 0
_last_write: dict[int, tuple[ref, int]] = {}  # by id of the buffer; gone when the buffer is
superseded: dict[int, ref] = {}

# Memory of other owners: (first byte, end) → the tick of its last write, the latest one last.
_foreign_writes: dict[tuple[int, int], int] = {}
_MOST_FOREIGN_WRITES = 10_000


def buffer_of(array: Any) -> Any:
    """The array that owns the memory of `array`; that of others, the first array made of it.

    `array.base` is another array, None for an owner, or whatever keeps memory alive that NumPy did
    not allocate: bytes, a file, another library's tensor.  Where that is only a handle to an array
    (a memoryview, the placeholder of `as_strided`), its owner is.
    """
    while (base := array.base) is not None:
        arrays = tuple(by_type)
        if not isinstance(base, arrays):
            base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
            if not isinstance(base, arrays):
                break
        array = base
    return array


def is_writeable(array: Any) -> bool:
    """Whether the memory of an array may be written.

    A broadcast view, of stride 0, may not; where a library has no mark for that, strides tell.
    """
    marked = getattr(getattr(array, "flags", None), "writeable", None)
    strides = getattr(array, "strides", ())
    if marked is not None or 0 not in strides or not array.size:
        return marked is not False
    return all(n < 2 or step for n, step in zip(array.shape, strides, strict=True))


def mark_written(*arrays: Any) -> None:
    """Store that the memory of these arrays has been written."""
    global latest_write
    latest_write = tick()
    for buffer in map(buffer_of, arrays):
        if buffer.base is not None:
            _mark_foreign(buffer)
            continue
        key = id(buffer)
        entry = _last_write.get(key)
        buffer_ref = entry[0] if entry else ref(buffer, partial(_forget, key))
        _last_write[key] = buffer_ref, latest_write


def _mark_foreign(buffer: Any) -> None:
    """Store a write into memory of another owner, of which there may be several arrays.

    Each is its own buffer, and their owner may be unknown; so the addresses are what they share.
    An entry may outlive the memory: what is saved there afterwards is newer than the entry.
    """
    extent = np.lib.array_utils.byte_bounds(buffer)
    _foreign_writes.pop(extent, None)
    _foreign_writes[extent] = latest_write
    if len(_foreign_writes) > _MOST_FOREIGN_WRITES:
        del _foreign_writes[next(iter(_foreign_writes))]


def _forget(key: int, _: ref) -> None:
    """Drop the entry of a buffer that has been freed."""
    _last_write.pop(key, None)


def last_write(array: Any, after: int = 0) -> int:
    """The tick of the last write to the memory of `array`; 0 if there was none after that tick."""
    buffer = buffer_of(array)
    if buffer.base is None:
        tick = _last_write.get(id(buffer), (None, 0))[1]
        return tick if tick > after else 0
    first, end = np.lib.array_utils.byte_bounds(array)
    for (start, stop), tick in reversed(_foreign_writes.items()):
        if tick <= after:
            break
        if start < end and first < stop:
            return tick
    return 0


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
        if last_write(array, node.order):
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
