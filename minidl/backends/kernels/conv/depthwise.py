"""Depthwise convolution: each feature map is convolved by itself, forward and backward.

A group has one channel, so that a product of matrices would have a depth of KH·KW and be bound by
its loads.  Here a plane is computed directly, in strips of rows (`simd/stencil.py`): what is loaded
for one row serves the rows around it too, and nothing is packed.

The input gradient is a convolution by the window rotated by 180°, with K − 1 − p in the place of
the padding p.  In the gradient of the weights a thread sums all images of its channels, the partial
sums of some rows in float64: the result does not depend on the number of threads.

An image takes KH·KW multiply-adds for each position of each output, whole vectors of a row.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.conv.pack import (
    GRADIENT_OPERANDS,
    OPERANDS,
    GradientOperands,
    Operands,
    copy_masked,
)
from minidl.backends.kernels.runtime.kernel import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.micro_kernel import MULTIPLY_ADDS_PER_NS
from minidl.backends.kernels.simd.stencil import (
    WINDOWS,
    stencil,
    stencil_gradient,
    sum_of_lanes,
)
from minidl.backends.window import Convolution

_MOST_OUTPUTS = 2  # of a channel; more of them share their loads in a product of matrices
_RUN = 32  # rows that are summed in float32


class DepthwiseTables(NamedTuple):
    """What the loops need to know."""

    outputs: int  # of each channel
    window: int  # its height and width
    step: int  # between its columns, in x: the dilation
    top: int  # padding
    left: int
    rotated: bool  # whether the weights are to be rotated by 180°
    zeros: np.ndarray  # a row of them


_TABLES = "(i64 i64 i64 i64 i64 bool f32[w])"


class DepthwisePlan(NamedTuple):
    """A depthwise convolution, or its gradient."""

    tables: DepthwiseTables


def forward(at: Convolution, channels: int, outputs: int) -> DepthwisePlan | None:
    """y, and dw and db; None if a group has several channels, or the window is another."""
    each = outputs // at.groups
    fits = (
        at.groups == channels
        and each <= _MOST_OUTPUTS
        and at.stride == (1, 1)
        and at.dilation[0] == 1
        and at.window[0] == at.window[1]
        and at.window[0] in WINDOWS
    )
    if not fits:
        return None
    zeros, (top, left) = np.zeros(at.image[1], np.float32), at.padding
    tables = DepthwiseTables(each, at.window[0], at.dilation[1], top, left, False, zeros)
    return DepthwisePlan(tables)


def backward(at: Convolution, channels: int, outputs: int) -> DepthwisePlan | None:
    """dx; or None."""
    plan = forward(at, channels, outputs)
    if plan is None or outputs != channels:
        return None
    each = zip(at.window, at.dilation, at.padding, strict=True)
    top, left = (d * (k - 1) - p for k, d, p in each)
    zeros = np.zeros(at.output[1], np.float32)
    return DepthwisePlan(plan.tables._replace(top=top, left=left, rotated=True, zeros=zeros))


def depthwise(operands: Operands, plan: DepthwisePlan) -> None:
    """y = max(Σ x·w + b, clamp_min)."""
    x, y, tables = operands.x, operands.y, plan.tables
    chunks = threads.chunks(y.size * tables.window**2 / MULTIPLY_ADDS_PER_NS)
    masked = x.shape[2] * x.shape[3] + LANES if operands.relu_mask.size else 0
    workspace = scratch(chunks, masked)
    if tables.rotated:
        rotated = operands.weight[:, :, ::-1, ::-1]
        operands = operands._replace(weight=np.ascontiguousarray(rotated))
    _planes(operands, tables, workspace, chunks)


@parallel(f"{OPERANDS} {_TABLES} f32[chunk,scratch]", then=["_sums"])
def _planes(operands, tables, workspace, chunk, chunks):
    """Each feature map of y is a unit of work."""
    operands, tables = Operands(*operands), DepthwiseTables(*tables)
    y, taps = operands.y, tables.window * tables.window
    height, width = operands.x.shape[2:]
    start, stop = chunk_bounds(y.shape[0] * y.shape[1], chunk, chunks)
    for unit in range(start, stop):
        o = unit % y.shape[1]
        plane = _masked(operands.x, operands.relu_mask, unit // tables.outputs, workspace[chunk])
        stencil(
            tables.window, plane, height, width, pointer(tables.zeros, 0), tables.top, tables.left,
            pointer(operands.weight, o * taps), tables.step,
            pointer(y, unit * y.shape[2] * y.shape[3]), y.shape[2], y.shape[3], operands.bias[o],
            operands.clamp_min,
        )  # fmt: skip


@inner
def _masked(x, relu_mask, plane, workspace):
    """The address of a feature map, if there is a mask, read through it."""
    count = x.shape[2] * x.shape[3]
    if not relu_mask.size:
        return pointer(x, plane * count)
    copy_masked(x, relu_mask, plane * count, count, workspace, 0)
    return pointer(workspace, 0)


def depthwise_gradient(
    operands: GradientOperands, plan: DepthwisePlan
) -> tuple[np.ndarray, np.ndarray]:
    """dw (outputs, weights) and db."""
    dy, tables = operands.dy, plan.tables
    outputs, depth = dy.shape[1], tables.window**2
    chunks = min(threads.chunks(dy.size * depth / MULTIPLY_ADDS_PER_NS), outputs)
    dw, db = np.zeros((outputs, depth)), np.zeros(outputs)
    masked = dy.shape[2] * dy.shape[3] + LANES if operands.relu_mask.size else 0
    workspace = scratch(chunks, tables.window * (tables.window + 1) * LANES + masked)
    _sums(operands, tables, workspace, dw, db, chunks)
    return dw.astype(np.float32), db.astype(np.float32)


@parallel(f"{GRADIENT_OPERANDS} {_TABLES} f32[chunk,scratch] f64[o,ab] f64[o]")
def _sums(operands, tables, workspace, dw, db, chunk, chunks):
    """Each output is a unit of work, with all images of it."""
    operands, tables = GradientOperands(*operands), DepthwiseTables(*tables)
    images, outputs = operands.dy.shape[:2]
    start, stop = chunk_bounds(outputs, chunk, chunks)
    for o in range(start, stop):
        for n in range(images):
            _add_image(operands, tables, n * outputs + o, workspace[chunk], dw[o], db, o)


@inner
def _add_image(operands, tables, unit, workspace, dw, db, o):
    """What a feature map contributes to dw and db of its output, some rows of it at a time."""
    x, dy = operands.x, operands.dy
    rows = tables.window + 1  # of sums, for each column of the window
    size = tables.window * rows * LANES
    sums = workspace[:size]
    gradient = _masked(dy, operands.relu_mask, unit, workspace[size:])
    plane = pointer(x, unit // tables.outputs * x.shape[2] * x.shape[3])
    for first in range(0, dy.shape[2], _RUN):
        last = min(first + _RUN, dy.shape[2])
        sums[:] = 0
        for b in range(tables.window):
            stencil_gradient(
                tables.window, plane, x.shape[2], x.shape[3], pointer(tables.zeros, 0),
                tables.top, b * tables.step - tables.left, gradient, dy.shape[3], first, last,
                pointer(sums, b * rows * LANES),
            )  # fmt: skip
        for b in range(tables.window):
            for a in range(tables.window):
                dw[a * tables.window + b] += sum_of_lanes(pointer(sums, (b * rows + a) * LANES))
        db[o] += sum_of_lanes(pointer(sums, tables.window * LANES))
