"""Padding: constant, reflect, replicate and circular."""

from minidl.autograd.primitive import composite
from minidl.checks import is_integer
from minidl.errors import ArgumentError, ShapeError

_MODES = ("constant", "reflect", "replicate", "circular")


@composite
def pad(xp, x, /, widths, mode="constant", value=None):
    """x padded at the ends of its last axes.

    widths    (left, right), (left, right, top, bottom), …: pairs from the last axis backwards;
              negative widths crop
    mode      "constant": the value, default 0; "reflect": mirrored at the first and the last
              element, which are not repeated; "replicate": the first and the last element;
              "circular": from the other end

    >>> x = minidl.tensor([[1, 2, 3]])
    >>> minidl.pad(x, (1, 2))
    Tensor([[0, 1, 2, 3, 0, 0]], shape=(1, 6), int64)
    >>> minidl.pad(x, (2, 2), mode="reflect")
    Tensor([[3, 2, 1, 2, 3, 2, 1]], shape=(1, 7), int64)
    """
    pairs = _pairs(x.shape, widths)
    if mode not in _MODES:
        raise ArgumentError(f"pad: mode is one of {', '.join(_MODES)}; got {mode!r:.60}")
    if mode == "constant":
        return _crop(_constant(xp, x, pairs, 0 if value is None else value), pairs)
    if value is not None:
        raise ArgumentError(f'pad: a value needs mode="constant"; got value={value!r} for {mode!r}')
    if mode == "circular":  # cropped elements are not used as padding
        x = _crop(x, pairs)
    for axis, before, after in pairs:
        x = _pad_axis(xp, x, axis, max(before, 0), max(after, 0), mode)
    return x if mode == "circular" else _crop(x, pairs)


def _pairs(shape, widths):
    """For each padded axis, from the last backwards: the axis, and the widths before and after."""
    fits = isinstance(widths, tuple | list) and all(map(is_integer, widths))
    if not fits or len(widths) % 2 or len(widths) > 2 * len(shape):
        raise ArgumentError(
            f"pad: widths are pairs of numbers, one for each axis from the last on, of a tensor of "
            f"shape {tuple(shape)}; got {widths!r:.60}"
        )
    pairs = []
    for i, (before, after) in enumerate(zip(widths[::2], widths[1::2], strict=True)):
        axis = len(shape) - 1 - i
        if shape[axis] + before + after < 0:
            raise ShapeError(f"pad: widths {before} and {after} on an axis of {shape[axis]}")
        pairs.append((axis, int(before), int(after)))
    return pairs


def _crop(x, pairs):
    """x cropped by the negative widths."""
    index = [slice(None)] * x.ndim
    for axis, before, after in pairs:
        index[axis] = slice(max(-before, 0), x.shape[axis] - max(-after, 0))
    return x[tuple(index)] if any(min(before, after) < 0 for _, before, after in pairs) else x


def _constant(xp, x, pairs, value):
    """x surrounded by one value."""
    shape, index = list(x.shape), [slice(None)] * x.ndim
    for axis, before, after in pairs:
        before, after = max(before, 0), max(after, 0)
        index[axis] = slice(before, before + shape[axis])
        shape[axis] += before + after
    if value == 0:
        return xp.scatter_at(x, tuple(index), tuple(shape))
    filled = xp.full(tuple(shape), value, dtype=x.dtype, device=x.device)
    return xp.put_at(filled, x, tuple(index))


def _pad_axis(xp, x, axis, before, after, mode):
    """x padded along one axis with elements of its own."""
    length = x.shape[axis]
    limit = {"reflect": length - 1, "replicate": before + after if length else 0}.get(mode, length)
    if max(before, after) > limit:
        raise ShapeError(
            f"pad: {mode} takes at most {max(limit, 0)} elements from an axis of {length}; "
            f"got {before} and {after}"
        )

    def part(start, stop):
        return x[(slice(None),) * axis + (slice(start, stop),)]

    def repeated(start, count):
        return xp.broadcast_to(
            part(start, start + 1), (*x.shape[:axis], count, *x.shape[axis + 1 :])
        )

    def mirrored(start, stop):
        return xp.flip(part(start, stop), axis=axis)

    if mode == "reflect":
        ends = lambda: mirrored(1, before + 1), lambda: mirrored(length - 1 - after, length - 1)
    elif mode == "replicate":
        ends = lambda: repeated(0, before), lambda: repeated(length - 1, after)
    else:
        ends = lambda: part(length - before, length), lambda: part(0, after)
    first = [ends[0]()] if before else []
    last = [ends[1]()] if after else []
    return xp.concat([*first, x, *last], axis=axis) if first or last else x
