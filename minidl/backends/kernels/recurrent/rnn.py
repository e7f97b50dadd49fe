"""Elman's recurrent network: whole sequences, forward and backward.

As the LSTM's (`lstm`), with one gate: its state is all that is saved.

    J. Elman.  Finding structure in time.  Cognitive Science 14(2), 1990.

Cost: 2·T·N·H·(in + H) flops forward, twice as many backward.
"""

from typing import Any

import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.kernels.recurrent.panels import padded
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
    step_of,
    tanhs,
)
from minidl.backends.kernels.runtime.kernel import carray, inner, parallel
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.recurrent import with_layer_axis

_ONE, _ZERO = np.float32(1), np.float32(0)


@with_layer_axis(1)
def rnn(
    x: np.ndarray,
    h: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray | None = None,
    bias_hh: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    /,
    *,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> Any:
    """y and h_n:  h′ = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu."""
    if not suits(1, x, h, weight_ih, weight_hh, bias_ih, bias_hh, mask, reverse):
        return NotImplemented
    if nonlinearity not in ("tanh", "relu"):
        return NotImplemented
    at, relu = sequence(x, h, weight_ih, weight_hh, None, mask, reverse), nonlinearity == "relu"
    inputs, hidden = at.inputs, at.outputs
    tables, bias = forward_tables(at.rows, inputs, hidden, 1), summed_bias(bias_ih, bias_hh, hidden)
    workspace = at.workspace(at.length, inputs + 2 * padded(hidden))
    _forward(at.steps, at.weights(hidden), tables, bias, relu, *workspace)
    value = at.y, at.last(at.steps.states)
    if not at.recorded:
        return value, None
    return value, Joint(lambda needed, *dys: _pull(at, relu, needed, *dys))


def _pull(
    at: Sequence, relu: bool, needed: tuple[bool, ...], dy: np.ndarray | None, dh: np.ndarray
) -> tuple[np.ndarray | None, ...]:
    """The gradients of all arguments."""
    dh, states = dh.copy(order="C"), at.steps.states

    def step(block: Block, weights: Weights, tables: Tables, *workspace: Any) -> None:
        _backward(block, weights, tables, states, relu, *workspace)

    dx, dw_ih, dw_hh, db = backward(at, needed, dy, dh, at.outputs, 0, step)
    return dx, dh, dw_ih, dw_hh, db, db.copy(), None


@parallel(f"{STEPS} {WEIGHTS} {TABLES} f32[h] bool f32[chunks,size]", then=FOLLOWING)
def _forward(steps, weights, tables, bias, relu, workspace, chunk, chunks):
    """The states after all steps."""
    steps, weights, tables = Steps(*steps), Weights(*weights), Tables(*tables)
    start, count = own_rows(steps.x.shape[1], chunk, chunks)
    hidden, inputs = bias.size, steps.x.shape[2]
    rows, width = full_tiles(count), tables.rows[1] - tables.rows[0]
    own = workspace[chunk]
    z = carray(pointer(own, 0), (rows, width))
    pre = carray(pointer(own, rows * width), (rows, (hidden + LANES - 1) // LANES * LANES))
    begin(steps, z, start, count)
    for s in range(steps.x.shape[0]):
        t, before, after = place(steps, s)
        load(steps, t, z, start, count)
        products(weights, tables, z, pre, count)
        for i in range(count):
            _activate(pre[i], bias, relu, z[i, inputs:])
        emit(steps, t, before, after, z, start, count)


@inner
def _activate(pre, bias, relu, state):
    """tanh or relu; of NaN, NaN."""
    if relu:
        for j in range(bias.size):
            value = pre[j] + bias[j]
            state[j] = _ZERO if value < _ZERO else value
    else:
        tanhs(pre, bias, state[: bias.size])


@parallel(f"{BLOCK} {WEIGHTS} {TABLES} f32[slot,n,h] bool f32[chunks,size]")
def _backward(block, weights, tables, states, relu, workspace, chunk, chunks):
    """The gradients before tanh or relu of a block of steps; dh before it; and dx."""
    block, weights, tables = Block(*block), Weights(*weights), Tables(*tables)
    start, count = own_rows(block.dh.shape[0], chunk, chunks)
    column = block.dx.shape[2] if block.dx.size else 0
    width = (column + block.dh.shape[1] + LANES - 1) // LANES * LANES
    dz = carray(pointer(workspace[chunk], 0), (full_tiles(count), width))
    for s in range(block.last - block.first):
        t = step_of(block, s)
        after = t if block.reverse else t + 1
        add_dy(block, t, start, count)
        for n in range(start, start + count):
            dgates = block.dgates[t - block.first, n]
            if is_live(block.mask, t, n):
                _gradient(states[after, n], block.dh[n], relu, dgates)
            else:
                dgates[:] = _ZERO
        back_products(weights, tables, block, t, dz, start, count)
        hand_on(block, t, dz, column, False, start, count)


@inner
def _gradient(state, dh, relu, dgates):
    """dh·(1 − h²), or dh where h > 0."""
    if relu:
        for j in range(state.size):
            dgates[j] = dh[j] if state[j] > _ZERO else _ZERO
    else:
        for j in range(state.size):
            dgates[j] = dh[j] * (_ONE - state[j] * state[j])
