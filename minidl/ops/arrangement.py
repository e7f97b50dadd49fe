"""Broadcasting, repeating, rolling, rotating and unstacking: composites of `manipulation`."""

from collections.abc import Sequence
from itertools import combinations as choices
from itertools import combinations_with_replacement as choices_with_replacement
from typing import Any

import numpy as np

from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, is_integer
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe, named
from minidl.ops.axes import along, one_axis
from minidl.ops.constants import constant
from minidl.ops.creation import arange, asarray
from minidl.ops.manipulation import astype, broadcast_to, concat, permute_dims, reshape


def _as_tuple(value):
    """A single value as a tuple of one."""
    return tuple(value) if isinstance(value, Sequence) else (value,)


def joint_shape(shapes):
    """The shape that these shapes broadcast to."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(f"the shapes {', '.join(map(str, shapes))} do not broadcast") from None


@composite(outputs=list)
def broadcast_arrays(xp, *arrays):
    """The arrays, broadcast to their common shape: a list.

    >>> x, y = minidl.broadcast_arrays(minidl.ones((3, 1)), minidl.ones(4))
    >>> x.shape, y.shape
    ((3, 4), (3, 4))
    """
    shape = joint_shape([x.shape for x in arrays])
    return [xp.broadcast_to(x, shape) for x in arrays]


@composite(outputs=list)
def meshgrid(xp, *arrays, indexing="xy"):
    """Coordinate matrices of a grid from coordinate vectors: a list.

    indexing    "xy": the first vector runs along axis 1, the second along axis 0; "ij": in order

    >>> x, y = minidl.meshgrid(minidl.arange(3), minidl.arange(2))
    >>> x
    Tensor([[0, 1, 2],
            [0, 1, 2]], shape=(2, 3), int64)
    >>> y
    Tensor([[0, 0, 0],
            [1, 1, 1]], shape=(2, 3), int64)
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f'indexing must be "xy" or "ij"; got {indexing!r}')
    if any(x.ndim > 1 for x in arrays):
        raise ShapeError(f"needs vectors; got shapes {', '.join(str(x.shape) for x in arrays)}")
    order = list(range(len(arrays)))
    if indexing == "xy":
        order[:2] = reversed(order[:2])
    shapes = [[1] * i + [-1] + [1] * (len(order) - i - 1) for i in order]
    return xp.broadcast_arrays(*map(xp.reshape, arrays, shapes))


@named
def moveaxis(
    x: Any, source: int | tuple[int, ...], destination: int | tuple[int, ...], /
) -> Tensor:
    """The axes `source`, an int or a tuple, moved to `destination`; the others keep their order.

    >>> minidl.moveaxis(minidl.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = asarray(x)
    start, end = ([one_axis(x, axis) for axis in _as_tuple(axes)] for axes in (source, destination))
    if len({*start}) != len(start) or len({*end}) != len(end):
        raise ShapeError(f"an axis is named twice in {start} or {end}")
    if len(start) != len(end):
        raise ShapeError(f"{len(start)} axes do not go to {len(end)} positions")
    order = [axis for axis in range(x.ndim) if axis not in start]
    for position, axis in sorted(zip(end, start, strict=True)):
        order.insert(position, axis)
    return permute_dims(x, tuple(order))


@composite
def roll(xp, x, /, shift, *, axis=None):
    """x shifted cyclically by `shift` along the axis.

    Without an axis, the elements of the flattened tensor; with several, a shift for each, or one
    for all.

    >>> minidl.roll(minidl.arange(5), 2)
    Tensor([3, 4, 0, 1, 2], int64)
    """
    if axis is None:
        return xp.reshape(xp.roll(xp.reshape(x, (-1,)), shift, axis=0), x.shape)
    axes, shifts = _as_tuple(axis), _as_tuple(shift)
    shifts = shifts * len(axes) if len(shifts) == 1 else shifts
    if len(shifts) != len(axes):
        raise ShapeError(f"{len(shifts)} shifts do not go with {len(axes)} axes")
    for by, each in zip(shifts, axes, strict=True):
        each = one_axis(x, each)
        cut = x.shape[each] - by % max(x.shape[each], 1)
        x = concat([x[along(each, cut)], x[along(each, 0, cut)]], axis=each)
    return x


@named
def tile(x: Any, repetitions: tuple[int, ...], /) -> Tensor:
    """x repeated as a whole along each axis; missing axes count as 1.

    >>> minidl.tile(minidl.tensor([1, 2]), 3)
    Tensor([1, 2, 1, 2, 1, 2], int64)
    >>> minidl.tile(minidl.tensor([1, 2]), (2, 1))
    Tensor([[1, 2],
            [1, 2]], shape=(2, 2), int64)
    """
    return _tile(x, _as_tuple(repetitions))


@composite
def _tile(xp, x, /, repetitions):
    if not all(isinstance(n, int) and n >= 0 for n in repetitions):
        raise ArgumentError(f"repetitions are integers ≥ 0; got {repetitions}")
    ndim = max(x.ndim, len(repetitions))
    times = (1,) * (ndim - len(repetitions)) + repetitions
    shape = (1,) * (ndim - x.ndim) + x.shape
    spread = [n for length in shape for n in (1, length)]
    repeated = [n for pair in zip(times, shape, strict=True) for n in pair]
    copies = xp.broadcast_to(xp.reshape(x, spread), repeated)
    return xp.reshape(copies, [n * length for n, length in zip(times, shape, strict=True)])


@composite
def repeat(xp, x, repeats, /, *, axis=None):
    """Each slice of the axis repeated; `repeats` is one count, or a tensor of one for each.

    Without an axis, the elements of the flattened tensor.

    >>> minidl.repeat(minidl.tensor([5, 6, 7]), minidl.tensor([0, 1, 2]))
    Tensor([6, 7, 7], int64)
    """
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    axis = one_axis(x, axis)
    if not hasattr(repeats, "edge"):
        repeats = asarray(repeats, device=x.device)
    counts = _counts(repeats, x.shape[axis])
    total = xp.sum(counts).item()
    positions = arange(total, device=x.device)
    indices = xp.searchsorted(xp.cumulative_sum(counts), positions, side="right")
    return xp.take(x, indices, axis=axis)


def _counts(repeats, length):
    """The count of each slice."""
    if repeats.dtype.kind not in "iu":
        raise DTypeError(f"needs integers for repeats; got {repeats.dtype}")
    if repeats.ndim > 1 or repeats.size not in (1, length):
        raise ShapeError(f"needs repeats for each of {length} slices; got shape {repeats.shape}")
    if (repeats < 0).any():
        raise ArgumentError(f"needs repeats ≥ 0; got {repeats.tolist()}")
    return broadcast_to(reshape(astype(repeats, "int64"), (-1,)), (length,))


@primitive(None, of_complex=True, outputs=tuple)
def unstack(xp, x, /, *, axis=0):
    """The slices along the axis, which is removed: a tuple;   dx = the stack of their gradients.

    >>> x, y = minidl.unstack(minidl.tensor([[1, 2], [3, 4]]), axis=1)
    >>> x, y
    (Tensor([1, 3], int64), Tensor([2, 4], int64))
    """
    axis = one_axis(x, axis)
    slices = tuple([x[(*along(axis, None)[:-1], i)] for i in range(x.shape[axis])])
    return slices, lambda *dslices: xp.stack(dslices, axis=axis)


@composite
def rot90(xp, x, /, k=1, *, axes=(0, 1)):
    """x rotated k times by 90°, from the first of two axes towards the second.

    >>> minidl.rot90(minidl.tensor([[1, 2], [3, 4]]))
    Tensor([[2, 4],
            [1, 3]], shape=(2, 2), int64)
    """
    check_integers("rot90", k=k)
    fits = isinstance(axes, tuple | list) and len(axes) == 2 and all(map(is_integer, axes))
    if not fits or not all(-x.ndim <= axis < x.ndim for axis in axes):
        raise ShapeError(f"rot90: axes are two of those of shape {x.shape}; got {axes!r:.60}")
    first, second = (axis % x.ndim for axis in axes)
    if first == second:
        raise ShapeError(f"rot90: axes are two different ones; got {axes!r}")
    if k % 4 == 2:
        return xp.flip(x, axis=(first, second))
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    if k % 4 == 1:
        return xp.permute_dims(xp.flip(x, axis=second), tuple(order))
    return xp.flip(xp.permute_dims(x, tuple(order)), axis=second) if k % 4 == 3 else x


@composite
def cartesian_prod(xp, *arrays):
    """All tuples of one element of each vector, as rows, the last varying fastest: (n₁·n₂·…, k).

    Of one vector the vector itself, as in PyTorch.

    >>> minidl.cartesian_prod(minidl.tensor([1, 2]), minidl.tensor([5, 6]))
    Tensor([[1, 5],
            [1, 6],
            [2, 5],
            [2, 6]], shape=(4, 2), int64)
    """
    if not arrays or any(getattr(x, "ndim", 0) != 1 for x in arrays):
        raise ShapeError(f"cartesian_prod: needs vectors; got {', '.join(map(describe, arrays))}")
    if len(arrays) == 1:
        return xp.copy(arrays[0])
    grid = xp.meshgrid(*arrays, indexing="ij")
    return xp.stack([xp.reshape(x, (-1,)) for x in grid], axis=-1)


@composite
def combinations(xp, x, /, r=2, *, with_replacement=False):
    """All choices of r elements of a vector in their order, as rows: (n over r, r).

    with_replacement    whether an element may be chosen several times

    >>> minidl.combinations(minidl.tensor([5, 6, 7]))
    Tensor([[5, 6],
            [5, 7],
            [6, 7]], shape=(3, 2), int64)
    """
    check_integers("combinations", 0, r=r)
    check_flags("combinations", with_replacement=with_replacement)
    if x.ndim != 1:
        raise ShapeError(f"combinations: needs a vector; got shape {x.shape}")
    choose = choices_with_replacement if with_replacement else choices
    rows = list(choose(range(x.shape[0]), r))
    return x[constant(rows, x.device, "int64").reshape(len(rows), r)]
