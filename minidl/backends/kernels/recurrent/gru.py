"""GRU: whole sequences, forward and backward.

As the LSTM's (`lstm`), but W_in·x and W_hn·h, for the candidate n, are two products, since a gate
is between them: r and z have both factors x and h, n has each of them once.  Saved are r, z, n, and
W_hn·h + b_hn.

    K. Cho et al.  Learning phrase representations using RNN encoder-decoder for statistical machine
    translation.  EMNLP 2014, arXiv:1406.1078.

Cost: 2·T·N·3H·(in + H) flops forward, twice as many backward.
"""

from typing import Any

import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.kernels.recurrent.panels import dot_both, dot_rows, multiply, padded, sum_rows
from minidl.backends.kernels.recurrent.sequence import (
    Sequence,
    backward,
    forward_tables,
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
    begin,
    emit,
    full_tiles,
    hand_on,
    is_live,
    load,
    own_rows,
    place,
    sigmoids,
    step_of,
)
from minidl.backends.kernels.runtime.kernel import carray, inlined, inner, parallel
from minidl.backends.kernels.simd.intrinsics import LANES, advance, pointer
from minidl.backends.kernels.simd.math import tanh32
from minidl.backends.kernels.simd.micro_kernel import NR, tile_count
from minidl.backends.recurrent import with_layer_axis

_ONE, _ZERO = np.float32(1), np.float32(0)


@with_layer_axis(1)
def gru(
    x: np.ndarray,
    h: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray | None = None,
    bias_hh: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    /,
    *,
    reverse: bool = False,
) -> Any:
    """y and h_n:  n = tanh(i_n + σ(i_r + h_r)·h_n);   z = σ(i_z + h_z);   h′ = (1 − z)·n + z·h."""
    if not suits(3, x, h, weight_ih, weight_hh, bias_ih, bias_hh, mask, reverse):
        return NotImplemented
    at, hidden = sequence(x, h, weight_ih, weight_hh, None, mask, reverse), h.shape[1]
    gates, bias = at.saved_gates(4 * hidden), _biases(bias_ih, bias_hh, hidden)
    tables = forward_tables(at.rows, at.inputs, hidden, 1)
    workspace = at.workspace(at.length, at.inputs + 3 * padded(hidden) + padded(2 * hidden))
    _forward(at.steps, at.weights(2 * hidden), tables, bias, gates, *workspace)
    value = at.y, at.last(at.steps.states)
    if not at.recorded:
        return value, None
    return value, Joint(lambda needed, *dys: _pull(at, gates, needed, *dys))


def _biases(bias_ih: np.ndarray | None, bias_hh: np.ndarray | None, hidden: int) -> np.ndarray:
    """Those of r and z, added up, and both of n."""
    both, bias = 2 * hidden, np.zeros(4 * hidden, np.float32)
    bias[:both] = summed_bias(bias_ih, bias_hh, 3 * hidden)[:both]
    if bias_ih is not None:
        bias[both : 3 * hidden] = bias_ih[both:]
    if bias_hh is not None:
        bias[3 * hidden :] = bias_hh[both:]
    return bias


def _pull(
    at: Sequence, gates: np.ndarray, needed: tuple[bool, ...], dy: np.ndarray | None, dh: np.ndarray
) -> tuple[np.ndarray | None, ...]:
    """The gradients of all arguments."""
    dh, states, hidden = dh.copy(order="C"), at.steps.states, at.outputs

    def step(block: Block, weights: Weights, tables: Tables, *workspace: Any) -> None:
        _backward(block, weights, tables, states, gates, *workspace)

    dx, dw_ih, dw_hh, db = backward(at, needed, dy, dh, 2 * hidden, 0, step)
    db_hh = np.concatenate([db[: 2 * hidden], db[3 * hidden :]])
    return dx, dh, dw_ih, dw_hh, db[: 3 * hidden], db_hh, None


@parallel(
    f"{STEPS} {WEIGHTS} {TABLES} f32[gates] f32[slot,n,gates] f32[chunks,size]",
    then=FOLLOWING,
)
def _forward(steps, weights, tables, bias, gates, workspace, chunk, chunks):
    """The states after all steps, and the gates."""
    steps, weights, tables = Steps(*steps), Weights(*weights), Tables(*tables)
    start, count = own_rows(steps.x.shape[1], chunk, chunks)
    hidden, inputs = bias.size // 4, steps.x.shape[2]
    rows, width = full_tiles(count), tables.rows[1] - tables.rows[0]
    n_x = (2 * hidden + LANES - 1) // LANES * LANES
    n_h = n_x + (hidden + LANES - 1) // LANES * LANES
    own = workspace[chunk]
    z = carray(pointer(own, 0), (rows, width))
    pre = carray(pointer(own, rows * width), (rows, 2 * n_h - n_x))
    begin(steps, z, start, count)
    for s in range(steps.x.shape[0]):
        t, before, after = place(steps, s)
        load(steps, t, z, start, count)
        _products(weights, tables, z, pre, n_x, n_h, count)
        for i in range(count):
            saved = gates[t % gates.shape[0], start + i]
            _activate(pre[i], pre[i, n_x:], pre[i, n_h:], bias, saved)
            _update(saved, z[i, inputs : inputs + hidden])
        emit(steps, t, before, after, z, start, count)


@inner
def _products(weights, tables, z, pre, n_x, n_h, count):
    """W_ih·x + W_hh·h for r and z, and from columns n_x and n_h on, W_in·x and W_hn·h."""
    inputs, hidden = weights.ih.shape[1], weights.hh.shape[1]
    if weights.panels.size:
        depth, both, stride = inputs + hidden, 2 * hidden, pre.shape[1]
        rows, depths = pointer(tables.rows, 0), pointer(tables.depths, 0)
        a, panels = pointer(z, 0), pointer(weights.panels, 0)
        multiply(count, depth, a, rows, depths, panels, depth, both, pointer(pre, 0), stride, False)
        panels = advance(panels, _panel_count(both) * depth * NR)
        multiply(
            count, inputs, a, rows, depths, panels, depth, hidden, pointer(pre, n_x), stride, False
        )
        panels, depths = advance(panels, inputs * NR), advance(depths, inputs)
        multiply(
            count, hidden, a, rows, depths, panels, depth, hidden, pointer(pre, n_h), stride, False
        )
        return
    for i in range(count):
        x, h = z[i, :inputs], z[i, inputs : inputs + hidden]
        dot_both(weights.ih[: 2 * hidden], x, weights.hh[: 2 * hidden], h, pre[i])
        dot_rows(weights.ih[2 * hidden :], x, pre[i, n_x:])
        dot_rows(weights.hh[2 * hidden :], h, pre[i, n_h:])


@inlined
def _panel_count(columns):
    return tile_count((columns + LANES - 1) // LANES)


@inner
def _activate(pre, n_x, n_h, bias, gates):
    """r, z, n, and W_hn·h + b_hn."""
    h = bias.size // 4
    r, n, product = gates[:h], gates[2 * h : 3 * h], gates[3 * h :]
    bias_x, bias_h = bias[2 * h : 3 * h], bias[3 * h :]
    sigmoids(pre, bias, gates[: 2 * h])
    for j in range(h):
        product[j] = n_h[j] + bias_h[j]
    for j in range(h):
        n[j] = tanh32(n_x[j] + bias_x[j] + r[j] * product[j])


@inner
def _update(gates, state):
    """h′ = (1 − z)·n + z·h."""
    h = state.size
    z, n = gates[h : 2 * h], gates[2 * h : 3 * h]
    for j in range(h):
        state[j] = (_ONE - z[j]) * n[j] + z[j] * state[j]


@parallel(f"{BLOCK} {WEIGHTS} {TABLES} f32[slot,n,h] f32[t,n,gates] f32[chunks,size]")
def _backward(block, weights, tables, states, gates, workspace, chunk, chunks):
    """The gradients of the gates of a block of steps; dh before it; and dx."""
    block, weights, tables = Block(*block), Weights(*weights), Tables(*tables)
    start, count = own_rows(block.dh.shape[0], chunk, chunks)
    column = (block.dx.shape[2] + LANES - 1) // LANES * LANES if block.dx.size else 0
    width = column + (block.dh.shape[1] + LANES - 1) // LANES * LANES
    dz = carray(pointer(workspace[chunk], 0), (full_tiles(count), width))
    for s in range(block.last - block.first):
        t = step_of(block, s)
        before = t + 1 if block.reverse else t
        add_dy(block, t, start, count)
        for n in range(start, start + count):
            dgates = block.dgates[t - block.first, n]
            if is_live(block.mask, t, n):
                _gate_gradients(gates[t, n], states[before, n], block.dh[n], dgates)
            else:
                dgates[:] = _ZERO
        _back_products(weights, tables, block, t, dz, column, start, count)
        hand_on(block, t, dz, column, True, start, count)


@inner
def _gate_gradients(gates, state, dh, dgates):
    """The gradients before σ and tanh, and of W_hn·h; dh becomes dh·z, its part that passes z."""
    h = state.size
    r, z, n, product = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    dr, dz, dn = dgates[:h], dgates[h : 2 * h], dgates[2 * h : 3 * h]
    dproduct = dgates[3 * h : 4 * h]
    for j in range(h):
        dn[j] = dh[j] * (_ONE - z[j]) * (_ONE - n[j] * n[j])
    for j in range(h):
        dz[j] = dh[j] * (state[j] - n[j]) * (z[j] * (_ONE - z[j]))
    for j in range(h):
        dproduct[j] = dn[j] * r[j]
    for j in range(h):
        dr[j] = dn[j] * product[j] * (r[j] * (_ONE - r[j]))
    for j in range(h):
        dh[j] *= z[j]


@inner
def _back_products(weights, tables, block, t, dz, column, start, count):
    """dz = [dx | dh]: the gates that have a factor x times W_ih, those that have h times W_hh."""
    products, inputs, hidden = weights.ih.shape[0], weights.ih.shape[1], weights.hh.shape[1]
    own, inputs = block.dgates[t - block.first], inputs if column else 0
    if weights.panels.size:
        a, rows, stride = pointer(own, 0), pointer(tables.rows, start), dz.shape[1]
        panels = pointer(weights.panels, 0)
        multiply(
            count, products, a, rows, pointer(tables.depths, 0), panels, products, inputs,
            pointer(dz, 0), stride, False,
        )  # fmt: skip
        panels = advance(panels, _panel_count(inputs) * products * NR)
        multiply(
            count, products, a, rows, pointer(tables.depths_h, 0), panels, products, hidden,
            pointer(dz, column), stride, False,
        )  # fmt: skip
        return
    both = 2 * hidden
    for i in range(count):
        dgates, dh = own[start + i], dz[i, column : column + hidden]
        if inputs:
            sum_rows(dgates, weights.ih, dz[i, :inputs], False)
        sum_rows(dgates, weights.hh[:both], dh, False)
        sum_rows(dgates[products:], weights.hh[both:], dh, True)
