"""Manipulation of shape, order, dtype and device."""

import math
from collections.abc import Iterable
from typing import Any

from minidl.autograd.inplace import buffer_of
from minidl.autograd.namespace import namespace_of
from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.backends.registry import device_of, find
from minidl.checks import check_flags
from minidl.dtypes import ANY, dtype_of
from minidl.errors import ArgumentError, AxisError, DTypeError, ShapeError, named
from minidl.ops.axes import axes_of, one_axis


@primitive(None, of_complex=True)
def reshape(xp, x, /, shape, *, copy=None):
    """The same elements in another shape, of which one length may be −1: inferred.

    copy    True: always; False: an error if the memory of x cannot be shared; None: if needed

    >>> x = minidl.arange(6)
    >>> minidl.reshape(x, (2, -1))
    Tensor([[0, 1, 2],
            [3, 4, 5]], shape=(2, 3), int64)
    """
    if copy is not None:
        check_flags("reshape", copy=copy)
    y = xp.reshape(x, shape)
    if y.shape != shape:
        _check_lengths(shape)
    if copy is False and _buffer(y) is not _buffer(x):
        raise ArgumentError(f"{x.shape} as {shape} needs a copy, which copy=False forbids")
    return xp.astype(y, y.dtype) if copy else y, lambda dy: xp.reshape(dy, x.shape)


def _check_lengths(shape):
    """Raise for invalid lengths that array libraries accept, like None or −3."""
    lengths = shape if isinstance(shape, list | tuple) else (shape,)
    if not all(hasattr(n, "__index__") and n >= -1 for n in lengths):
        raise ShapeError(f"a shape is made of lengths, one of which may be −1; got {shape}")


def _buffer(x):
    """The memory of a tensor or an array."""
    return buffer_of(x.data if hasattr(x, "edge") else x)


@composite
def flatten(xp, x, /, start_dim=0, end_dim=-1):
    """The axes from start_dim to end_dim as one:  (a, b, c) → (a, b·c) for start_dim=1.

    Raises AxisError for axes that x does not have.

    >>> minidl.flatten(minidl.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    ndim = max(x.ndim, 1)
    if not -ndim <= start_dim < ndim or not -ndim <= end_dim < ndim:
        raise AxisError(f"flatten({start_dim}, {end_dim}): shape {x.shape} has no such axes")
    start, stop = start_dim % ndim, end_dim % ndim + 1
    if start >= stop:
        raise ShapeError(f"flatten({start_dim}, {end_dim}): no axes of {x.shape} lie between")
    length = math.prod(x.shape[start:stop])
    return xp.reshape(x, (*x.shape[:start], length, *x.shape[stop:]))


@composite
def unflatten(xp, x, /, axis, shape):
    """One axis as several, of these lengths, one of which may be −1: inferred.

    Raises ShapeError unless their product is the length of the axis.

    >>> minidl.unflatten(minidl.zeros((2, 12)), 1, (3, -1)).shape
    (2, 3, 4)
    """
    if not -x.ndim <= axis < x.ndim:
        raise AxisError(f"unflatten: shape {x.shape} has no axis {axis}")
    axis, length, shape = axis % x.ndim, x.shape[axis], tuple(shape)
    known = math.prod(n for n in shape if n != -1)
    fits = length % known == 0 if known and shape.count(-1) == 1 else length == known
    if not shape or min(shape) < -1 or shape.count(-1) > 1 or not fits:
        raise ShapeError(f"unflatten: axis {axis} of {x.shape} does not split into {shape}")
    shape = tuple(length // known if n == -1 else n for n in shape)
    return xp.reshape(x, (*x.shape[:axis], *shape, *x.shape[axis + 1 :]))


@primitive(None, of_complex=True)
def permute_dims(xp, x, /, axes):
    """Axis i of the result is axis axes[i] of x;   dx: the inverse permutation of dy.

    >>> minidl.permute_dims(minidl.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    backwards = tuple(sorted(range(x.ndim), key=lambda i: axes[i] % x.ndim))
    return xp.permute_dims(x, axes), lambda dy: xp.permute_dims(dy, backwards)


@primitive(None, of_complex=True)
def matrix_transpose(xp, x, /):
    """The last two axes exchanged: (…, m, n) → (…, n, m).  Raises ShapeError for fewer axes.

    >>> minidl.matrix_transpose(minidl.tensor([[1, 2], [3, 4]]))
    Tensor([[1, 3],
            [2, 4]], shape=(2, 2), int64)
    """
    if x.ndim < 2:
        raise ShapeError(f"needs at least two axes; got shape {x.shape}")
    return xp.matrix_transpose(x), lambda dy: xp.matrix_transpose(dy)


@primitive(None, of_complex=True)
def expand_dims(xp, x, /, axis=0):
    """New axes of length 1 at these positions of the result.

    Raises AxisError for positions that the result does not have.

    >>> x = minidl.zeros((3, 4))
    >>> minidl.expand_dims(x, axis=1).shape, minidl.expand_dims(x, axis=(0, -1)).shape
    ((3, 1, 4), (1, 3, 4, 1))
    """
    return xp.expand_dims(x, axis=axis), lambda dy: xp.reshape(dy, x.shape)


@primitive(None, of_complex=True)
def squeeze(xp, x, /, axis):
    """Without these axes, which must have length 1: else ShapeError.

    >>> minidl.squeeze(minidl.zeros((1, 3, 1)), axis=0).shape
    (3, 1)
    """
    axes_of(x, axis)
    return xp.squeeze(x, axis), lambda dy: xp.reshape(dy, x.shape)


@primitive(None, of_complex=True)
def broadcast_to(xp, x, /, shape):
    """x repeated along new axes and axes of length 1; the engine sums the gradient back.

    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> y = minidl.broadcast_to(x, (3, 2))
    >>> y.sum().backward()
    >>> y.shape, x.grad
    ((3, 2), Tensor([3., 3.], float32))
    """
    return xp.broadcast_to(x, shape), lambda dy: dy


@primitive(None, of_complex=True)
def flip(xp, x, /, *, axis=None):
    """x reversed along these axes, or all;   dx = dy, reversed likewise.

    >>> minidl.flip(minidl.tensor([[1, 2], [3, 4]]), axis=1)
    Tensor([[2, 1],
            [4, 3]], shape=(2, 2), int64)
    """
    return xp.flip(x, axis=axis), lambda dy: xp.flip(dy, axis=axis)


@primitive(None, of_complex=True)
def astype(xp, x, /, dtype, *, copy=True, device=None):
    """A copy in another dtype, on another device; the gradient is cast back to that of x.

    copy      False: the memory of x itself where dtype and device are those of x
    raises    DTypeError for complex numbers that are to be real: take their `real`

    >>> minidl.astype(minidl.tensor([1.7, -1.7]), "int64")
    Tensor([ 1, -1], int64)
    """
    if copy is not True and copy is not False:
        check_flags("astype", copy=copy)
    dtype = dtype_of(dtype, "astype")
    home = device_of(x)
    if x.dtype.kind == "c" and dtype.kind != "c":
        raise DTypeError(f"{x.dtype} numbers are not made {dtype}: their imaginary part would go")
    y = xp.astype(x, dtype) if copy or x.dtype != dtype else x
    if device is None or (device := find(device)[1]) == home:
        return y, lambda dy: dy
    return xp.to_device(y, device), _back_to(home)


@primitive(None, of_complex=True)
def _to_device(xp, x, /, *, home, device, non_blocking=False):
    settings = {"non_blocking": True} if non_blocking else {}
    return xp.to_device(x, device, **settings), _back_to(home)


def _back_to(home):
    """The pullback of a move: dy is of the namespace of the other device."""
    return lambda dy: namespace_of(dy).to_device(dy, home)


@named
def to_device(x: Any, device: str, /, *, non_blocking: bool = False) -> Tensor:
    """The same values on another device; the gradient returns to that of x.

    `x.to(device)` is the same as a method, as in PyTorch.

    >>> minidl.to_device(minidl.ones(2), "cpu").device
    'cpu'
    """
    check_flags("to_device", non_blocking=non_blocking)
    if x.device == device or x.device == (found := find(device)[1]):
        return x
    return _to_device(x, home=x.device, device=found, non_blocking=non_blocking)


@primitive(None, of_complex=True)
def copy(xp, x, /):
    """A tensor of its own memory with the same values;   dx = dy.

    >>> x = minidl.ones(2)
    >>> y = minidl.copy(x)
    >>> y[0] = 5
    >>> x, y
    (Tensor([1., 1.], float32), Tensor([5., 1.], float32))
    """
    return xp.astype(x, x.dtype), lambda dy: dy


@primitive(ANY, of_complex=True)
def _concat(xp, *arrays, axis=0):
    axis = one_axis(arrays[0], axis)

    def split(dz):
        parts, start = [], 0
        for x in arrays:
            stop = start + x.shape[axis]
            index = (slice(None),) * axis + (slice(start, stop),)
            parts.append(dz[index])
            start = stop
        return tuple(parts)

    return xp.concat(arrays, axis=axis), split


@primitive(ANY, of_complex=True)
def _stack(xp, *arrays, axis=0):
    def split(dz):
        before = (slice(None),) * (axis % dz.ndim)
        return tuple(dz[(*before, i)] for i in range(len(arrays)))

    return xp.stack(arrays, axis=axis), split


@named
def concat(arrays: Iterable[Any], /, *, axis: int | None = 0) -> Tensor:
    """Tensors end to end along an axis; None flattens them first.  The gradient is split.

    Raises ShapeError unless their other axes have the same lengths.

    >>> x, y = minidl.zeros((2, 3)), minidl.ones((2, 1))
    >>> minidl.concat([x, y], axis=1)
    Tensor([[0., 0., 0., 1.],
            [0., 0., 0., 1.]], shape=(2, 4), float32)
    """
    if axis is None:
        arrays, axis = [reshape(x, (-1,)) for x in arrays], 0
    return _concat(*_at_least_one(arrays), axis=axis)


@named
def stack(arrays: Iterable[Any], /, *, axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis of the result.

    Raises ShapeError unless their shapes are the same.

    >>> x, y = minidl.zeros(3), minidl.ones(3)
    >>> minidl.stack([x, y], axis=1).shape
    (3, 2)
    """
    return _stack(*_at_least_one(arrays), axis=axis)


def _at_least_one(arrays):
    """The arrays of a list or another iterable, at least one."""
    if not isinstance(arrays, Iterable) or hasattr(arrays, "shape") or not (arrays := list(arrays)):
        raise ShapeError("needs a list of at least one tensor")
    return arrays
