"""LSTM: whole sequences, forward and backward.

Forward, each thread takes some of the sequences through all steps, without waiting for the others:
a GEMM of their [x | h] with the weights of all gates, then the gates and the new state, while they
are in its cache.  The gates and the cells are saved; tanh c is computed again.

Backward comes from the last step: the gradients of the gates, and a GEMM of them with the weights
for dx and the dh of the step before.  After each block of steps their sum of products with x and h,
the gradients of the weights, are added (`weight_gradient`).

    S. Hochreiter, J. Schmidhuber.  Long short-term memory.  Neural Computation 9(8), 1997.

Cost: 2·T·N·4H·(in + H) flops forward, twice as many backward.
"""

from typing import Any

import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.kernels.recurrent.lstm_step import (
    activate,
    is_single_step,
    single_step,
    update,
)
from minidl.backends.kernels.recurrent.panels import copy, dot_rows, multiply, padded, sum_rows
from minidl.backends.kernels.recurrent.sequence import (
    Sequence,
    backward,
    forward_tables,
    saved_states,
    sequence,
    suits,
    summed_bias,
)
from minidl.backends.kernels.recurrent.steps import (
    BLOCK,
    FOLLOWING,
    STEPS,
    TABLES,
    WEIGHTS,
    Block,
    Steps,
    Tables,
    Weights,
    add_dy,
    back_products,
    begin,
    emit,
    full_tiles,
    hand_on,
    is_live,
    load,
    own_rows,
    place,
    products,
    slot,
    step_of,
)
from minidl.backends.kernels.recurrent.weight_gradient import WeightGradient
from minidl.backends.kernels.runtime.kernel import carray, inner, parallel
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.math import tanh32
from minidl.backends.recurrent import with_layer_axis

_ONE, _ZERO = np.float32(1), np.float32(0)


@with_layer_axis(2)
def lstm(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray | None = None,
    bias_hh: np.ndarray | None = None,
    weight_hr: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    /,
    *,
    reverse: bool = False,
) -> Any:
    """y, h_n and c_n:  c′ = σ(f)·c + σ(i)·tanh g;   h′ = σ(o)·tanh c′, or W_hr times that."""
    if not suits(4, x, h, weight_ih, weight_hh, bias_ih, bias_hh, mask, reverse, c, weight_hr):
        return NotImplemented
    if is_single_step(x, mask, weight_hr):
        return single_step(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh), None
    at = sequence(x, h, weight_ih, weight_hh, weight_hr, mask, reverse)
    hidden, inputs, outputs = c.shape[1], at.inputs, at.outputs
    cells = saved_states(c, at.length, reverse, at.recorded)
    gates, bias = at.saved_gates(4 * hidden), summed_bias(bias_ih, bias_hh, 4 * hidden)
    tables = forward_tables(at.rows, inputs, outputs, hidden)
    row = inputs + padded(outputs) + padded(4 * hidden) + padded(hidden)
    workspace = at.workspace(at.length, row)
    _forward(at.steps, at.weights(4 * hidden), tables, bias, cells, gates, *workspace)
    value = at.y, at.last(at.steps.states), at.last(cells, owned=not at.recorded)
    if not at.recorded:
        return value, None
    return value, Joint(lambda needed, *dys: _pull(at, cells, gates, needed, *dys))


def _pull(
    at: Sequence,
    cells: np.ndarray,
    gates: np.ndarray,
    needed: tuple[bool, ...],
    dy: np.ndarray | None,
    dh: np.ndarray,
    dc: np.ndarray,
) -> tuple[np.ndarray | None, ...]:
    """The gradients of all arguments."""
    (length, rows, _), outputs, hidden = at.steps.x.shape, at.outputs, dc.shape[1]
    dh, dc = dh.copy(order="C"), dc.copy(order="C")
    kept = at.block_length() if at.weight_hr.size else 0
    projected = np.empty((kept, rows, outputs), np.float32)
    unprojected = np.empty((kept, rows, hidden), np.float32)
    sums_hr = WeightGradient(hidden, 0, outputs, outputs, length * rows) if kept else None

    def step(block: Block, weights: Weights, tables: Tables, *workspace: Any) -> None:
        _backward(block, weights, tables, cells, gates, dc, projected, unprojected, *workspace)
        if sums_hr is not None:
            m = unprojected[: block.last - block.first].reshape(-1, hidden)
            mask = at.factors(block.first, block.last)[2]
            sums_hr.add(projected.reshape(-1, outputs), m, m[:, :0], mask)

    row = padded(hidden) + hidden
    dx, dw_ih, dw_hh, db = backward(at, needed, dy, dh, 4 * hidden, row, step)
    dw_hr = None if sums_hr is None else sums_hr.weights()[0]
    return dx, dh, dc, dw_ih, dw_hh, db, db.copy(), dw_hr, None


@parallel(
    f"{STEPS} {WEIGHTS} {TABLES} f32[gates] f32[slot,n,h] f32[slot,n,gates] f32[chunks,size]",
    then=FOLLOWING,
    wide=True,
)
def _forward(steps, weights, tables, bias, cells, gates, workspace, chunk, chunks):
    """The states after all steps, cells and gates."""
    steps, weights, tables = Steps(*steps), Weights(*weights), Tables(*tables)
    start, count = own_rows(steps.x.shape[1], chunk, chunks)
    hidden, inputs = cells.shape[2], steps.x.shape[2]
    rows, width = full_tiles(count), tables.rows[1] - tables.rows[0]
    stride, padded_hidden = (4 * hidden + LANES - 1) // LANES * LANES, tables.rows_hr[1]
    own = workspace[chunk]
    z = carray(pointer(own, 0), (rows, width))
    pre = carray(pointer(own, rows * width), (rows, stride))
    m = carray(pointer(own, rows * (width + stride)), (rows, padded_hidden))
    begin(steps, z, start, count)
    for s in range(steps.x.shape[0]):
        t, before, after = place(steps, s)
        load(steps, t, z, start, count)
        products(weights, tables, z, pre, count)
        for i in range(count):
            n = start + i
            if is_live(steps.mask, t, n):
                saved = gates[t % gates.shape[0], n]
                state = m[i] if weights.hr.size else z[i, inputs:]
                activate(pre[i], bias, saved)
                update(saved, slot(cells, before, n), slot(cells, after, n), state)
            else:
                kept = pointer(slot(cells, before, n), 0)
                copy(kept, pointer(slot(cells, after, n), 0), hidden)
        if weights.hr.size:
            _project(weights, tables, m, z, inputs, count)
        emit(steps, t, before, after, z, start, count)


@inner
def _project(weights, tables, m, z, inputs, count):
    """h = W_hr·m, into z."""
    outputs, hidden = weights.hr.shape
    if weights.panels_hr.size:
        multiply(
            count, hidden, pointer(m, 0), pointer(tables.rows_hr, 0), pointer(tables.depths, 0),
            pointer(weights.panels_hr, 0), hidden, outputs,
            pointer(z, inputs), z.shape[1], False,
        )  # fmt: skip
        return
    for i in range(count):
        dot_rows(weights.hr, m[i, :hidden], z[i, inputs:])


@parallel(
    f"{BLOCK} {WEIGHTS} {TABLES} f32[slot,n,h] f32[t,n,gates] f32[n,h]"
    " f32[step,n,out] f32[step,n,h] f32[chunks,size]",
    wide=True,
)
def _backward(
    block, weights, tables, cells, gates, dc, projected, unprojected, workspace, chunk, chunks
):
    """The gradients of the gates of a block of steps; dh and dc before it; and dx.

    projected      with a projection, dh of each step
    unprojected    and what was projected, o·tanh c
    """
    block, weights, tables = Block(*block), Weights(*weights), Tables(*tables)
    start, count = own_rows(dc.shape[0], chunk, chunks)
    hidden, column = dc.shape[1], block.dx.shape[2] if block.dx.size else 0
    rows, stride = full_tiles(count), (hidden + LANES - 1) // LANES * LANES
    width = (column + block.dh.shape[1] + LANES - 1) // LANES * LANES
    own = workspace[chunk]
    dz = carray(pointer(own, 0), (rows, width))
    dm = carray(pointer(own, rows * width), (rows, stride))
    tanh = carray(pointer(own, rows * (width + stride)), hidden)
    for s in range(block.last - block.first):
        t = step_of(block, s)
        before, after = (t + 1, t) if block.reverse else (t, t + 1)
        add_dy(block, t, start, count)
        if weights.hr.size:
            _unproject(weights, tables, block, t, dm, projected, start, count)
        for i in range(count):
            n = start + i
            dgates = block.dgates[t - block.first, n]
            if is_live(block.mask, t, n):
                dm_row = dm[i] if weights.hr.size else block.dh[n]
                _gate_gradients(
                    gates[t, n], cells[before, n], cells[after, n], dm_row, dc[n], tanh, dgates
                )
            else:
                dgates[:] = _ZERO
            if weights.hr.size:
                _recompute(gates[t, n], cells[after, n], unprojected[t - block.first, n])
        back_products(weights, tables, block, t, dz, start, count)
        hand_on(block, t, dz, column, False, start, count)


@inner
def _gate_gradients(gates, before, after, dm, dc, tanh, dgates):
    """The gradients of the gates before σ and tanh, from dm and dc, which becomes that before."""
    h = before.size
    i, f, g, o = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    di, df, dg = dgates[:h], dgates[h : 2 * h], dgates[2 * h : 3 * h]
    do = dgates[3 * h : 4 * h]
    for j in range(h):
        tanh[j] = tanh32(after[j])
    for j in range(h):
        do[j] = dm[j] * tanh[j] * (o[j] * (_ONE - o[j]))
    for j in range(h):
        dc[j] += dm[j] * o[j] * (_ONE - tanh[j] * tanh[j])
    for j in range(h):
        di[j] = dc[j] * g[j] * (i[j] * (_ONE - i[j]))
    for j in range(h):
        dg[j] = dc[j] * i[j] * (_ONE - g[j] * g[j])
    for j in range(h):
        df[j] = dc[j] * before[j] * (f[j] * (_ONE - f[j]))
    for j in range(h):
        dc[j] *= f[j]


@inner
def _recompute(gates, cell, m):
    """m = o·tanh c."""
    o = gates[3 * m.size :]
    for j in range(m.size):
        m[j] = o[j] * tanh32(cell[j])


@inner
def _unproject(weights, tables, block, t, dm, projected, start, count):
    """dm = dh·W_hr; the dh are kept for the gradient of W_hr, without those where no step is."""
    outputs, hidden = weights.hr.shape
    own = projected[t - block.first]
    for n in range(start, start + count):
        copy(pointer(block.dh[n], 0), pointer(own[n], 0), outputs)
    if weights.panels_hr.size:
        multiply(
            count, outputs, pointer(own, 0), pointer(tables.rows_hr, start),
            pointer(tables.depths, 0), pointer(weights.panels_hr, 0), outputs, hidden,
            pointer(dm, 0), dm.shape[1], False,
        )  # fmt: skip
        return
    for i in range(count):
        sum_rows(own[start + i], weights.hr, dm[i, :hidden], False)
