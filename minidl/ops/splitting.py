"""Parts of a tensor along an axis: split, chunk and sliding windows."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.checks import check_integers, is_integer
from minidl.errors import ArgumentError, ShapeError, describe, named
from minidl.ops.axes import along, axes_of, one_axis
from minidl.ops.creation import asarray


@named
def split(
    x: Any,
    /,
    *ambiguous: Any,
    sections: int | None = None,
    indices: Sequence[int] | None = None,
    lengths: int | Sequence[int] | None = None,
    axis: int = 0,
) -> tuple[Tensor, ...]:
    """x in parts along the axis: x[…, start:stop, …] one after the other.  The gradient is joined.

    Say one of

    sections    how many equal parts: NumPy's and Keras's `split(x, 3)`
    indices     where the second part begins, the third, …: NumPy's `split(x, [2, 5])`; slices, so
                that they may lie beyond the end and count from it
    lengths     how long each part is, PyTorch's `split(x, [2, 3, 1])`; or all but the last, which
                is what remains: PyTorch's `split(x, 2)`

    They are not told apart by position, since a number and a list mean different things there.
    Raises ArgumentError unless exactly one is given, ShapeError if the axis does not divide so.

    >>> x = minidl.arange(6)
    >>> minidl.split(x, sections=2)
    (Tensor([0, 1, 2], int64), Tensor([3, 4, 5], int64))
    >>> minidl.split(x, lengths=4)
    (Tensor([0, 1, 2, 3], int64), Tensor([4, 5], int64))
    >>> [part.tolist() for part in minidl.split(x, indices=[1, 4])]
    [[0], [1, 2, 3], [4, 5]]
    """
    given = [value for value in (sections, indices, lengths) if value is not None]
    if ambiguous or len(given) != 1:
        raise ArgumentError(
            "say one of sections=n or indices=[…], which are NumPy's, or lengths=n or lengths=[…], "
            f"which are PyTorch's; got {', '.join(map(describe, (*ambiguous, *given))) or 'none'}"
        )
    x = asarray(x)
    axis = one_axis(x, axis)
    if indices is not None:
        return _between(x, axis, [0, *_integers("indices", indices), x.shape[axis]])
    if sections is not None:
        edges = _equal_parts(x, axis, sections)
    else:
        edges = _parts_of_length(x, axis, lengths)
    return consecutive_parts(x, axis=axis, edges=edges)


def _equal_parts(x, axis, sections):
    """Where parts begin, and the end."""
    check_integers("split", 1, sections=sections)
    length = x.shape[axis]
    if length % sections:
        raise ShapeError(
            f"{length} along axis {axis} of {x.shape} are not {sections} equal parts; "
            f"chunk(x, {sections}) gives a shorter last one"
        )
    return [i * (length // sections) for i in range(sections + 1)]


def _parts_of_length(x, axis, lengths):
    """Where parts begin, and the end."""
    length = x.shape[axis]
    if is_integer(lengths):
        check_integers("split", 1, lengths=lengths)
        return [*range(0, max(length, 1), lengths), length]
    lengths = _integers("lengths", lengths)
    if sum(lengths) != length or min(lengths, default=0) < 0:
        raise ShapeError(
            f"lengths are ≥ 0 and have the sum {length}, of axis {axis} of {x.shape}; got {lengths}"
        )
    return [*accumulate(lengths, initial=0)]


def _integers(name, values):
    """A list of integers."""
    if not isinstance(values, Sequence) or not all(map(is_integer, values)):
        raise ArgumentError(f"{name} is a list of integers; got {describe(values)}")
    return list(values)


def _between(x, axis, edges):
    """The parts of x from each edge to the next."""
    return tuple(x[along(axis, start, stop)] for start, stop in pairwise(edges))


@primitive(None, of_complex=True, outputs=tuple)
def consecutive_parts(xp, x, /, *, axis, edges):
    """x[edges[i] : edges[i + 1]] along the axis, which they cover;   dx: the dys side by side.

    >>> consecutive_parts(minidl.arange(5), axis=0, edges=(0, 2, 5))
    (Tensor([0, 1], int64), Tensor([2, 3, 4], int64))
    """
    axis = one_axis(x, axis)
    return _between(x, axis, edges), lambda *dys: xp.concat(dys, axis=axis)


@composite(outputs=tuple)
def chunk(xp, x, /, chunks, *, axis=0):
    """At most `chunks` parts along the axis, each ⌈n/chunks⌉ long but the last, which may be less.

    There are fewer where that length is enough for the whole axis, as in PyTorch.

    >>> [part.tolist() for part in minidl.chunk(minidl.arange(7), 3)]
    [[0, 1, 2], [3, 4, 5], [6]]
    >>> len(minidl.chunk(minidl.arange(6), 4))
    3
    """
    check_integers("chunk", 1, chunks=chunks)
    axis = one_axis(x, axis)
    length = x.shape[axis]
    step = max(-(-length // chunks), 1)
    edges = [*range(0, length, step), length] if length else [0] * (chunks + 1)
    return xp.consecutive_parts(x, axis=axis, edges=edges)


@composite
def sliding_window_view(xp, x, /, window_shape, *, axis=None):
    """Every window of x, along new axes at the end: y[…, i, …, j] = x[…, i + j, …].

    window_shape    the length of the windows, or one for each axis that they slide along
    axis            that axis, or several; default: all, one window length for each

    An axis of length n has n − w + 1 windows of length w.  A copy.  PyTorch's
    `x.unfold(axis, size, step)` takes every `step`-th of them.

    >>> minidl.sliding_window_view(minidl.arange(5), 3)
    Tensor([[0, 1, 2],
            [1, 2, 3],
            [2, 3, 4]], shape=(3, 3), int64)
    >>> minidl.sliding_window_view(minidl.zeros((4, 6)), (2, 3)).shape
    (3, 4, 2, 3)
    """
    sizes = tuple(window_shape) if isinstance(window_shape, Sequence) else (window_shape,)
    axes = [one_axis(x, i) for i in axes_of(x, axis)]
    if len(sizes) != len(axes):
        raise ShapeError(f"{len(sizes)} window lengths do not go with axes {axes} of {x.shape}")
    for size, i in zip(sizes, axes, strict=True):
        check_integers("sliding_window_view", 1, window_shape=size)
        count = x.shape[i] - size + 1
        if count < 1:
            raise ShapeError(f"a window of {size} is longer than axis {i} of shape {x.shape}")
        x = xp.stack([x[along(i, j, j + count)] for j in range(size)], axis=-1)
    return x
