"""Convolution, and both of its gradients, without a matrix of all windows.

The plans (`conv_plan`) say where everything lies; here it is computed, tile by tile.  y and dx are
the same loop with other plans: the lanes of a tile are positions in the picture, its rows are
channels of the result, and k runs over what is summed.  For dw, k runs over the positions, the rows
are places of the window in a channel, and the lanes are outputs.
"""

from typing import Any

import numpy as np
from numba import carray, njit, prange

from minidl.backends import threads
from minidl.backends.joint import Joint
from minidl.backends.kernels import conv_plan
from minidl.backends.kernels.activation import passed
from minidl.backends.kernels.compile import compiled, parallel, share
from minidl.backends.kernels.conv_plan import Plan
from minidl.backends.kernels.tile import (
    COLUMNS,
    LANES,
    ROWS,
    VECTORS,
    clear,
    copy,
    copy_passed,
    moved,
    pointer,
    strip,
    tile,
    turn,
    write,
)
from minidl.backends.kernels.workspace import scratch
from minidl.backends.window import Convolution, convolution

_CHUNK = 128  # positions of dy that are kept in the nearest cache
_EVERYWHERE = np.empty((0, 0, 0, 0), np.float32)  # for y, where all of dy passes
_SPEED = 50  # multiplications that a core adds up in a nanosecond, roughly


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y = Σ x·w + b, and its pullbacks, for float32 pictures (N, C, H, W)."""
    at = _suited(x, weight, bias, stride, padding, dilation, groups)
    if at is None:
        return NotImplemented
    y = _forward(x, weight, bias, at, -np.inf)
    return y, Joint(lambda wanted, dy: _gradients(wanted, x, weight, dy, _EVERYWHERE, at))


def conv2d_relu(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """max(y, 0) while y is written;   only where it is positive does dy pass."""
    at = _suited(x, weight, bias, stride, padding, dilation, groups)
    if at is None:
        return NotImplemented
    y = _forward(x, weight, bias, at, 0.0)
    return y, Joint(lambda wanted, dy: _gradients(wanted, x, weight, dy, y, at))


def _suited(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, *settings: Any
) -> Convolution | None:
    """Where the windows lie; None if the kernels are not made for these arrays."""
    given = (x, weight) if bias is None else (x, weight, bias)
    if any(type(array) is not np.ndarray or array.dtype != np.float32 for array in given):
        return None
    if x.ndim != 4 or weight.ndim != 4 or bias is not None and bias.shape != weight.shape[:1]:
        return None
    if not x.size or not weight.size:
        return None
    return convolution("conv2d", x.shape, weight.shape, *settings)


def _forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, at: Convolution, least: float
) -> np.ndarray:
    outputs = weight.shape[0]
    y = np.empty((x.shape[0], outputs, *at.output), np.float32)
    bias = np.zeros(outputs, np.float32) if bias is None else np.ascontiguousarray(bias)
    x, weight = np.ascontiguousarray(x), np.ascontiguousarray(weight)
    _run(x, weight, bias, y, least, conv_plan.forward(at, x.shape[1], outputs))
    return y


def _gradients(
    wanted: tuple[bool, ...],
    x: np.ndarray,
    weight: np.ndarray,
    dy: np.ndarray,
    y: np.ndarray,
    at: Convolution,
) -> tuple[np.ndarray | None, ...]:
    """dx, dw and db, as far as they are wanted, of dy where y is positive."""
    dx = dw = db = None
    x, dy, weight = map(np.ascontiguousarray, (x, dy, weight))
    if wanted[0]:
        dx = np.empty(x.shape, np.float32)
        zeros = np.zeros(x.shape[1], np.float32)
        plan = conv_plan.backward(at, x.shape[1], weight.shape[0])
        _run(dy, weight, zeros, dx, -np.inf, plan, y)
    if wanted[1] or wanted[2]:
        dw, db = _weight_gradient(x, dy, y, at)
    return dx, dw, db


def _run(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    least: float,
    plan: Plan,
    passes: np.ndarray = _EVERYWHERE,
) -> None:
    """y = Σ x·w + b as the plan says, of x where `passes` is positive."""
    units = x.shape[0] * plan.groups
    operations = units * plan.outputs * int(plan.targets[:, 1].sum()) * plan.run
    pieces = threads.pieces(operations / _SPEED)
    splits = 1 if units % pieces == 0 or units > 4 * pieces else pieces
    space = scratch(pieces, plan.space + ROWS * (plan.run + LANES))
    _correlate(x, passes, weight, bias, y, np.float32(least), plan, splits, space, pieces)


@parallel
def _correlate(x, passes, weight, bias, y, least, plan, splits, scratch, pieces):
    """Every picture and group, its outputs in `splits` parts."""
    for piece in prange(pieces):
        start, stop = share(x.shape[0] * plan.groups * splits, piece, pieces)
        for unit in range(start, stop):
            panels = share(plan.rows.size // ROWS, unit % splits, splits)
            _correlate_part(
                x, passes, weight, bias, y, least, plan, scratch[piece], unit // splits, panels
            )


@compiled
def _correlate_part(x, passes, weight, bias, y, least, plan, scratch, unit, panels):
    """Some panels of outputs of one group of one picture.

    Where the planes are large, a few rows of them go through all panels before the next rows do.
    """
    n, group = unit // plan.groups, unit % plan.groups
    planes = pointer(scratch, 0)
    begin = unit * plan.channels * plan.height * plan.width
    last = unit + 1 == x.shape[0] * plan.groups  # behind which nothing may be read
    if plan.as_it_is and not last and not passes.size:
        planes = pointer(x, begin)
    else:
        _lay_out(x, passes, begin, plan, scratch)
    sums = scratch[plan.space :]
    weights = pointer(weight, group * plan.weight_group)
    for target in range(plan.targets.shape[0]):
        height, width, row, column = plan.targets[target, 2:]
        for first in range(0, height, plan.block):
            last = min(first + plan.block, height)
            for panel in range(panels[0], panels[1]):
                _sum_panel(planes, weights, plan, target, first, last, panel, sums)
                for i in range(min(ROWS, plan.outputs - panel * ROWS)):
                    channel = group * plan.outputs + panel * ROWS + i
                    found, into = pointer(sums, i * (plan.run + LANES)), y[n, channel]
                    if plan.step_y == plan.step_x == 1:
                        room = into.size - first * width
                        into = pointer(into, first * width)
                        _put(
                            found,
                            plan.plane_columns,
                            into,
                            width,
                            last - first,
                            room,
                            bias[channel],
                            least,
                        )
                    else:
                        _put_apart(
                            found,
                            plan.plane_columns,
                            into,
                            width,
                            last - first,
                            row + first * plan.step_y,
                            plan.step_y,
                            column,
                            plan.step_x,
                            bias[channel],
                            least,
                        )


@compiled
def _sum_panel(planes, weights, plan, target, first, last, panel, sums):
    """The sums of some rows of a panel of outputs."""
    begin, depth, _, width = plan.targets[target, :4]
    rows, stride = pointer(plan.rows, panel * ROWS), plan.run + LANES
    depth_a, depth_b = pointer(plan.depth_a, begin), pointer(plan.depth_b, begin)
    run = (last - first - 1) * plan.plane_columns + width
    if depth == 0:
        sums[:] = 0
        return
    for j in range(0, run, COLUMNS):
        seen, out = moved(planes, first * plan.plane_columns + j), pointer(sums, j)
        if plan.outputs == 1:
            strip(depth, weights, rows, depth_a, seen, depth_b, out, stride, 0)
        else:
            vectors = min(VECTORS, (run - j + LANES - 1) // LANES)
            tile(vectors, depth, weights, rows, depth_a, seen, depth_b, out, stride, 0)


@compiled
def _lay_out(x, passes, begin, plan, planes):
    """The planes of the channels of the picture that begins there in x, with zeros around it.

    What does not pass is 0 too.  Rows are written in whole vectors, in order: what is
    too much is overwritten by what follows.
    """
    columns = plan.plane_columns
    row = 0
    for c in range(plan.channels):
        for r, q in plan.phases:
            # Column j of a plane shows column j·stride + offset of the picture.
            offset = q - plan.left
            first = min(max(-(offset // plan.stride_x), 0), columns)
            last = max(min((plan.width - 1 - offset) // plan.stride_x + 1, columns), first)
            for i in range(plan.plane_rows):
                at, row = row * columns, row + 1
                y = i * plan.stride_y + r - plan.top
                if y < 0 or y >= plan.height:
                    for j in range(0, columns, LANES):
                        clear(pointer(planes, at + j))
                    continue
                for j in range(0, first, LANES):
                    clear(pointer(planes, at + j))
                source = begin + (c * plan.height + y) * plan.width + first * plan.stride_x + offset
                if plan.stride_x == 1 and source + last - first + LANES <= x.size:
                    for j in range(0, last - first, LANES):
                        here, target = source + j, pointer(planes, at + first + j)
                        if passes.size:
                            copy_passed(pointer(x, here), pointer(passes, here), target)
                        else:
                            copy(pointer(x, here), target)
                else:
                    seen = carray(pointer(x, source), x.size - source)
                    for j in range(last - first):
                        planes[at + first + j] = seen[j * plan.stride_x]
                    if passes.size:  # of dy, which has no stride
                        y = carray(pointer(passes, source), last - first)
                        for j in range(last - first):
                            if not y[j] > 0:
                                planes[at + first + j] = 0
                for j in range(last, columns, LANES):
                    clear(pointer(planes, at + j))


@compiled
def _put(sums, row_length, y, width, height, room, bias, least):
    """Rows of sums, finished, into the rows of y, which has `room` numbers from there on.

    A row is written in whole vectors; what is too much lies in rows that are written later.
    """
    whole = (width + LANES - 1) // LANES * LANES
    safe = min(height, max(0, (room - whole) // width + 1))
    for i in range(safe):
        for j in range(0, whole, LANES):
            write(moved(sums, i * row_length + j), moved(y, i * width + j), bias, least)
    for i in range(safe, height):
        found, row = carray(moved(sums, i * row_length), width), carray(moved(y, i * width), width)
        for j in range(width):
            value = found[j] + bias
            row[j] = least if value < least else value


@compiled
def _put_apart(sums, row_length, y, width, height, row, step_y, column, step_x, bias, least):
    """Rows of sums, finished, into every so-manieth row and column of y."""
    for i in range(height):
        found = carray(moved(sums, i * row_length), width)
        for j in range(width):
            value = found[j] + bias
            y[row + i * step_y, column + j * step_x] = least if value < least else value


def _weight_gradient(
    x: np.ndarray, dy: np.ndarray, y: np.ndarray, at: Convolution
) -> tuple[np.ndarray, np.ndarray]:
    """dw and db: for every place of the window Σ seen·dy, and Σ dy."""
    channels, outputs = x.shape[1], dy.shape[1]
    plan = conv_plan.forward(at, channels, outputs)
    positions = conv_plan.positions(at, channels, outputs, _CHUNK)
    dw = np.empty((at.groups, plan.outputs, plan.depth_a.size), np.float32)
    pieces = min(threads.pieces(dy.size * plan.depth_a.size / _SPEED), len(dy))
    if plan.outputs * 2 < LANES:
        dy = passed(dy, y) if y.size else dy
        _narrow_weights(x, dy, plan, scratch(pieces, plan.space + positions.run), dw, pieces)
        db = np.add.reduce(dy, axis=(0, 2, 3))
    else:
        blocks = -(-plan.outputs // COLUMNS)
        sums = np.empty((pieces, at.groups, blocks, positions.places.size, COLUMNS), np.float32)
        totals = np.zeros((pieces, outputs), np.float32)
        space = scratch(pieces, plan.space + 2 * _CHUNK * COLUMNS)
        _weights(x, dy, y, plan, positions, space, sums, totals, pieces)
        _collect(sums, dw)
        db = np.add.reduce(totals, axis=0)
    return dw.reshape(outputs, channels // at.groups, *at.window), db


@parallel
def _weights(x, dy, y, plan, positions, scratch, sums, totals, pieces):
    """The sums over the pictures of each piece."""
    for piece in prange(pieces):
        start, stop = share(x.shape[0], piece, pieces)
        for n in range(start, stop):
            for group in range(plan.groups):
                _weights_of_picture(
                    x, dy, y, n, group, plan, positions, scratch[piece], sums[piece, group],
                    totals[piece], n > start,
                )  # fmt: skip


@compiled
def _weights_of_picture(x, dy, y, n, group, plan, positions, scratch, sums, totals, add):
    """What one group of one picture contributes, chunk by chunk of its positions."""
    unit = n * plan.groups + group
    planes, begin = pointer(scratch, 0), unit * plan.channels * plan.height * plan.width
    if plan.as_it_is:
        planes = pointer(x, begin)
    else:
        _lay_out(x, _EVERYWHERE, begin, plan, scratch)
    chunk, rows = scratch[plan.space :], scratch[plan.space + _CHUNK * COLUMNS :]
    count = positions.seen.size
    for first in range(0, count, _CHUNK):
        length = min(_CHUNK, count - first)
        seen = pointer(positions.seen, first)
        for block in range(sums.shape[0]):
            output = group * plan.outputs + block * COLUMNS
            outputs = min(COLUMNS, plan.outputs - block * COLUMNS)
            begin = (n * plan.groups * plan.outputs + output) * count + first
            for o in range(outputs):
                totals[output + o] += _pass_row(dy, y, begin + o * count, rows, o * _CHUNK, length)
            turn(pointer(rows, 0), _CHUNK, outputs, length, pointer(chunk, 0), COLUMNS)
            vectors = (outputs + LANES - 1) // LANES
            for place in range(0, positions.places.size, ROWS):
                tile(
                    vectors, length, planes, pointer(positions.places, place), seen,
                    pointer(chunk, 0), pointer(positions.lanes, 0), pointer(sums[block, place], 0),
                    COLUMNS, add or first > 0,
                )  # fmt: skip


@njit(fastmath={"reassoc", "contract"}, nogil=True)
def _pass_row(dy, y, begin, rows, place, length):
    """rows = dy where y is positive; their sum."""
    total = np.float32(0)
    given, target = carray(pointer(dy, begin), length), carray(pointer(rows, place), length)
    if y.size:
        result = carray(pointer(y, begin), length)
        for k in range(length):
            target[k] = given[k] if result[k] > 0 else np.float32(0)
            total += target[k]
    else:
        for k in range(length):
            target[k] = given[k]
            total += given[k]
    return total


@compiled
def _collect(sums, dw):
    """dw[group, o, k]: the sums of the pieces, in order."""
    pieces, groups, _, _, columns = sums.shape
    for group in range(groups):
        for o in range(dw.shape[1]):
            for k in range(dw.shape[2]):
                total = sums[0, group, o // columns, k, o % columns]
                for piece in range(1, pieces):
                    total += sums[piece, group, o // columns, k, o % columns]
                dw[group, o, k] = total


@parallel
def _narrow_weights(x, dy, plan, scratch, dw, pieces):
    """dw where a group has fewer outputs than a vector has lanes: one dot product after another.

    dy is laid out in rows as long as those of the planes, with zeros between them.
    """
    for piece in prange(pieces):
        start, stop = share(plan.groups, piece, pieces)
        for group in range(start, stop):
            dw[group] = 0
            for n in range(x.shape[0]):
                _narrow_weights_of_picture(x, dy, n, group, plan, scratch[piece], dw[group])


@compiled
def _narrow_weights_of_picture(x, dy, n, group, plan, scratch, dw):
    """What one group of one picture contributes."""
    begin = (n * plan.groups + group) * plan.channels * plan.height * plan.width
    _lay_out(x, _EVERYWHERE, begin, plan, scratch)
    spread = scratch[plan.space :]
    for o in range(plan.outputs):
        rows = dy[n, group * plan.outputs + o]
        _lay_rows(rows, plan.plane_columns, spread)
        for k in range(plan.depth_b.size):
            seen = scratch[plan.depth_b[k] : plan.depth_b[k] + spread.size]
            dw[o, k] += _dot(seen, spread)


@compiled
def _lay_rows(rows, length, spread):
    """The rows of a picture, each filled up with zeros to this length."""
    for i in range(rows.shape[0]):
        row = spread[i * length : i * length + rows.shape[1]]
        for j in range(row.size):
            row[j] = rows[i, j]
        spread[i * length + row.size : (i + 1) * length] = 0
    spread[rows.shape[0] * length :] = 0


@njit(fastmath={"reassoc", "contract"}, nogil=True)
def _dot(a, b):
    """Σ a·b, in any order."""
    total = np.float32(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total
