"""The parts of a step that all recurrent cells have; functions that their kernels call."""

from typing import NamedTuple

import numpy as np

from minidl.backends.kernels.recurrent.panels import copy, dot_both, multiply, sum_rows
from minidl.backends.kernels.runtime.kernel import chunk_bounds, inlined, inner
from minidl.backends.kernels.simd.intrinsics import pointer
from minidl.backends.kernels.simd.math import gate32, tanh32
from minidl.backends.kernels.simd.micro_kernel import MR

_ZERO = np.float32(0)

# Kernels that are needed after that of the first step forward.
FOLLOWING = [
    "_backward",
    "recurrent.weight_gradient:_add_block",
    "recurrent.weight_gradient:_finish",
    "recurrent.panels:pack",
    "simd.micro_kernel:micro_kernel",
]


class Steps(NamedTuple):
    """A sequence, forward.

    Of the states there are T + 1, that before the first step included; or, if nothing is recorded,
    two, which take turns.
    """

    x: np.ndarray  # (T, N, in)
    mask: np.ndarray  # (T, N), or empty
    states: np.ndarray  # (T + 1 or 2, N, out)
    y: np.ndarray  # (T, N, out), where it differs from the states; else empty
    reverse: bool


class Weights(NamedTuple):
    """The weights, and their panels, which are empty where there are few rows."""

    ih: np.ndarray  # (gates, in)
    hh: np.ndarray  # (gates, out)
    hr: np.ndarray  # (out, H), of an LSTM with a projection; else empty
    panels: np.ndarray
    panels_hr: np.ndarray


class Tables(NamedTuple):
    """Offsets for the micro-kernel."""

    rows: np.ndarray  # of the rows of the factor, padded to full tiles
    rows_hr: np.ndarray  # of the factor of the projection
    depths: np.ndarray  # along a row
    depths_h: np.ndarray  # along the gates that have a factor h, backward


class Block(NamedTuple):
    """Some steps, backward; what is large has only these steps."""

    dy: np.ndarray  # (T, N, out), or empty
    mask: np.ndarray  # (T, N), or empty
    dgates: np.ndarray  # (steps, N, stride)
    dh: np.ndarray  # (N, out), of the state after the step
    dx: np.ndarray  # (T, N, in), or empty
    first: int
    last: int
    reverse: bool


STEPS = "(f32[t,n,in] bool[t,n] f32[slot,n,out] f32[t,n,out] bool)"
WEIGHTS = "(f32[gate,in] f32[gate,out] f32[out,h] f32[size] f32[size])"
TABLES = "(i64[row] i64[row] i64[k] i64[k])"
BLOCK = "(f32[t,n,out] bool[t,n] f32[step,n,stride] f32[n,out] f32[t,n,in] i64 i64 bool)"


@inlined
def own_rows(n, chunk, chunks):
    """The sequences of a chunk, whole tiles of them: the first one, and their number."""
    start, stop = chunk_bounds((n + MR - 1) // MR, chunk, chunks)
    return start * MR, min(stop * MR, n) - start * MR


@inlined
def full_tiles(count):
    """The count, rounded up to whole tiles."""
    return (count + MR - 1) // MR * MR


@inlined
def is_live(mask, t, n):
    """Whether there is a step t in sequence n."""
    return mask.size == 0 or mask[t, n]


# Forward.


@inlined
def place(steps, s):
    """Of the s-th step: t, and the numbers of the states before and after it."""
    t = steps.x.shape[0] - 1 - s if steps.reverse else s
    return (t, t + 1, t) if steps.reverse else (t, t, t + 1)


@inlined
def slot(states, number, n):
    """The state of this number of a sequence, where all are kept or two take turns."""
    return states[number % states.shape[0], n]


@inner
def begin(steps, z, start, count):
    """z = [x | h] gets h, the state before the first step."""
    inputs, outputs = steps.x.shape[2], steps.states.shape[2]
    z[:] = _ZERO
    _, before, _ = place(steps, 0)
    for i in range(count):
        copy(pointer(slot(steps.states, before, start + i), 0), pointer(z[i], inputs), outputs)


@inner
def load(steps, t, z, start, count):
    """z = [x | h] gets x."""
    inputs = steps.x.shape[2]
    for i in range(count):
        copy(pointer(steps.x[t, start + i], 0), pointer(z[i], 0), inputs)


@inner
def products(weights, tables, z, gates, count):
    """gates = W_ih·x + W_hh·h."""
    inputs, outputs = weights.ih.shape[1], weights.hh.shape[1]
    if weights.panels.size:
        depth = inputs + outputs
        multiply(
            count, depth, pointer(z, 0), pointer(tables.rows, 0), pointer(tables.depths, 0),
            pointer(weights.panels, 0), depth, weights.ih.shape[0],
            pointer(gates, 0), gates.shape[1], False,
        )  # fmt: skip
        return
    for i in range(count):
        x, h = z[i, :inputs], z[i, inputs : inputs + outputs]
        dot_both(weights.ih, x, weights.hh, h, gates[i])


@inner
def emit(steps, t, before, after, z, start, count):
    """Store the states that are in z; where there is no step, the one before goes on."""
    inputs, outputs = steps.x.shape[2], steps.states.shape[2]
    for i in range(count):
        n = start + i
        state, new = pointer(z[i], inputs), pointer(slot(steps.states, after, n), 0)
        if is_live(steps.mask, t, n):
            copy(state, new, outputs)
        else:
            old = pointer(slot(steps.states, before, n), 0)
            copy(old, new, outputs)
            copy(old, state, outputs)
        if steps.y.size:
            if is_live(steps.mask, t, n):
                copy(state, pointer(steps.y[t, n], 0), outputs)
            else:
                steps.y[t, n, :] = _ZERO


@inner
def sigmoids(x, bias, y):
    """y = σ(x + bias)."""
    for j in range(y.size):
        y[j] = gate32(x[j] + bias[j])


@inner
def tanhs(x, bias, y):
    """y = tanh(x + bias)."""
    for j in range(y.size):
        y[j] = tanh32(x[j] + bias[j])


# Backward.


@inlined
def step_of(block, s):
    """t of the s-th step from the end."""
    return block.first + s if block.reverse else block.last - 1 - s


@inner
def add_dy(block, t, start, count):
    """dh += dy, where there is a step."""
    if block.dy.size == 0:
        return
    for n in range(start, start + count):
        if is_live(block.mask, t, n):
            dh, dy = block.dh[n], block.dy[t, n]
            for j in range(dh.size):
                dh[j] += dy[j]


@inner
def back_products(weights, tables, block, t, dz, start, count):
    """dz = dgates·[W_ih | W_hh], or without the columns of x if dx is not needed."""
    gates, inputs, outputs = weights.ih.shape[0], weights.ih.shape[1], weights.hh.shape[1]
    own = block.dgates[t - block.first]
    inputs = inputs if block.dx.size else 0
    if weights.panels.size:
        multiply(
            count, gates, pointer(own, 0), pointer(tables.rows, start), pointer(tables.depths, 0),
            pointer(weights.panels, 0), gates, inputs + outputs,
            pointer(dz, 0), dz.shape[1], False,
        )  # fmt: skip
        return
    for i in range(count):
        if inputs:
            sum_rows(own[start + i], weights.ih, dz[i, :inputs], False)
        sum_rows(own[start + i], weights.hh, dz[i, inputs : inputs + outputs], False)


@inner
def hand_on(block, t, dz, column, add, start, count):
    """dx, and dh of the state before, from dz, where the latter is from that column on.

    add    dh has another part already, to which that from dz is added
    """
    inputs, outputs = block.dx.shape[2], block.dh.shape[1]
    for i in range(count):
        n = start + i
        if is_live(block.mask, t, n):
            if add:
                dh, own = block.dh[n], dz[i, column:]
                for j in range(outputs):
                    dh[j] += own[j]
            else:
                copy(pointer(dz[i], column), pointer(block.dh[n], 0), outputs)
            if block.dx.size:
                copy(pointer(dz[i], 0), pointer(block.dx[t, n], 0), inputs)
        elif block.dx.size:
            block.dx[t, n, :] = _ZERO
