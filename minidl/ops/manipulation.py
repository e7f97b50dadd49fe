"""The same numbers in another shape, order or dtype."""

import math

from minidl.autograd.inplace import buffer_of
from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import ANY, dtype_of
from minidl.errors import ArgumentError, DTypeError, ShapeError


@primitive(None)
def reshape(xp, x, /, shape, *, copy=None):
    """The elements in order in another shape, of which one length may be −1: what is left.

    copy    True: of its own memory; False: an error if it cannot share that of x; None: either
    """
    y = xp.reshape(x, shape)
    if copy is False and _buffer(y) is not _buffer(x):
        raise ArgumentError(f"{x.shape} as {shape} needs a copy, which copy=False forbids")
    return xp.astype(y, y.dtype) if copy else y, lambda dy: xp.reshape(dy, x.shape)


def _buffer(x):
    """The memory of a tensor or an array."""
    return buffer_of(x.data if hasattr(x, "edge") else x)


@composite
def flatten(xp, x, /, start_dim=0, end_dim=-1):
    """The axes from start_dim to end_dim as one."""
    ndim = max(x.ndim, 1)
    if not -ndim <= start_dim < ndim or not -ndim <= end_dim < ndim:
        raise ShapeError(f"flatten({start_dim}, {end_dim}): shape {x.shape} has no such axes")
    start, stop = start_dim % ndim, end_dim % ndim + 1
    if start >= stop:
        raise ShapeError(f"flatten({start_dim}, {end_dim}): no axes of {x.shape} lie between")
    length = math.prod(x.shape[start:stop])
    return xp.reshape(x, (*x.shape[:start], length, *x.shape[stop:]))


@primitive(None)
def permute_dims(xp, x, /, axes):
    """Axis i of the result is axis axes[i] of x."""
    backwards = tuple(sorted(range(x.ndim), key=lambda i: axes[i] % x.ndim))
    return xp.permute_dims(x, axes), lambda dy: xp.permute_dims(dy, backwards)


@primitive(None)
def matrix_transpose(xp, x, /):
    """The last two axes exchanged."""
    if x.ndim < 2:
        raise ShapeError(f"needs at least two axes; got shape {x.shape}")
    return xp.matrix_transpose(x), lambda dy: xp.matrix_transpose(dy)


@primitive(None)
def expand_dims(xp, x, /, axis=0):
    """New axes of length 1 at these places of the result."""
    return xp.expand_dims(x, axis=axis), lambda dy: xp.reshape(dy, x.shape)


@primitive(None)
def squeeze(xp, x, /, axis):
    """Without these axes, which must have length 1."""
    return xp.squeeze(x, axis), lambda dy: xp.reshape(dy, x.shape)


@primitive(None)
def broadcast_to(xp, x, /, shape):
    """x repeated along new axes and axes of length 1; the engine sums the gradient back."""
    return xp.broadcast_to(x, shape), lambda dy: dy


@primitive(None)
def flip(xp, x, /, *, axis=None):
    """Backwards along these axes, or all."""
    return xp.flip(x, axis=axis), lambda dy: xp.flip(dy, axis=axis)


@primitive(None)
def astype(xp, x, /, dtype, *, copy=True, device=None):
    """A copy in another dtype, on another device; the gradient returns in that of x.

    copy    False: the memory of x itself where dtype and device are those of x
    """
    dtype = dtype_of(dtype, "astype")
    home = getattr(xp, "name", None) or x.device
    if x.dtype.kind == "c" and dtype.kind != "c":
        raise DTypeError(f"{x.dtype} numbers are not made {dtype}: their imaginary part would go")
    y = xp.astype(x, dtype) if copy or x.dtype != dtype else x
    if device in (None, home):
        return y, lambda dy: dy
    return xp.to_device(y, device), lambda dy: xp.to_device(dy, home)


@primitive(None)
def _to_device(xp, x, /, *, home, device):
    return xp.to_device(x, device), lambda dy: xp.to_device(dy, home)


def to_device(x, device, /):
    """The same values on another device; the gradient comes back to that of x."""
    return x if x.device == device else _to_device(x, home=x.device, device=device)


@primitive(None)
def copy(xp, x, /):
    """A tensor of its own memory with the same values;   dx = dy."""
    return xp.astype(x, x.dtype), lambda dy: dy


@primitive(ANY)
def _concat(xp, *arrays, axis=0):
    def split(dz):
        pieces, start = [], 0
        for x in arrays:
            stop = start + x.shape[axis]
            index = (slice(None),) * (axis % x.ndim) + (slice(start, stop),)
            pieces.append(dz[index])
            start = stop
        return tuple(pieces)

    return xp.concat(arrays, axis=axis), split


@primitive(ANY)
def _stack(xp, *arrays, axis=0):
    def split(dz):
        before = (slice(None),) * (axis % dz.ndim)
        return tuple(dz[(*before, i)] for i in range(len(arrays)))

    return xp.stack(arrays, axis=axis), split


def concat(arrays, /, *, axis=0):
    """Tensors end to end along an axis; None flattens them first.  The gradient is cut up again."""
    if axis is None:
        arrays, axis = [reshape(x, (-1,)) for x in arrays], 0
    return _concat(*_some(arrays, "concat"), axis=axis)


def stack(arrays, /, *, axis=0):
    """Tensors of one shape along a new axis."""
    return _stack(*_some(arrays, "stack"), axis=axis)


def _some(arrays, name):
    if hasattr(arrays, "shape") or not (arrays := list(arrays)):
        raise ShapeError(f"{name}: needs a list of at least one tensor")
    return arrays
