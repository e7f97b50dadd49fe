"""RNN, LSTM and GRU: whole sequences, forward and backward, and single steps.

W_ih·x of all steps is one product, W_hh·h one of each step, both cuBLAS's; a kernel does the rest
of a step (recurrent.cu).  Backward goes the same way back, and then the gradients of the weights
are one product each over all steps, whose sums are long, so `precise_matmul` computes them.

Saved are the gates and all states, and of a GRU W_hn·h + b_hn; tanh c is computed again.  Products
with what padding holds are avoided by zeros in its place, since NaN · 0 would be NaN.

J. Appleyard, T. Kočiský, P. Blunsom 2016, arXiv:1604.01946.
"""

from typing import Any

import cupy
import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.recurrent import one_step, with_layer_axis
from minidl_cuda.kernels.sequence import (
    Array,
    Gradients,
    Sequence,
    backward,
    gradients,
    launch,
    module,
    saved_states,
    sequence,
)
from minidl_cuda.products import precise_matmul

_keep_state, _state_gradient = map(module.kernel, ("keep_state_f32", "state_gradient_f32"))
_rnn_forward, _rnn_backward = map(module.kernel, ("rnn_forward_f32", "rnn_backward_f32"))
_lstm_forward, _lstm_backward = map(module.kernel, ("lstm_forward_f32", "lstm_backward_f32"))
_lstm_outputs = module.kernel("lstm_outputs_f32")
_gru_forward, _gru_backward = map(module.kernel, ("gru_forward_f32", "gru_backward_f32"))


@with_layer_axis(1)
def rnn(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    mask: Array | None = None,
    /,
    *,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> Any:
    """y and h_n:  h′ = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu."""
    at = sequence(1, x, h, weight_ih, weight_hh, bias_ih, bias_hh, mask, reverse)
    if at is None or nonlinearity not in ("tanh", "relu"):
        return NotImplemented
    relu, size, states = (np.int32(nonlinearity == "relu"),), h.shape[1], at.states
    inputs, product = at.inputs(), cupy.empty(h.shape, np.float32)
    for t, before, after in at.steps():
        before, after = states[before % len(states)], states[after % len(states)]
        cupy.matmul(before, at.weight_hh.T, out=product)
        pointers = inputs[t], product, *at.biases, before, after, at.y_of(t), at.mask_of(t)
        launch(_rnn_forward, at.rows, size, *pointers, relu)
    value = at.y, at.last(states)
    if not at.recorded:
        return value, None

    def pullback(needed: tuple[bool, ...], dy: Array | None, dh: Array) -> Gradients:
        dgates = cupy.empty((len(at.x), at.rows, size), np.float32)

        def step(t: int, before: int, after: int, *of_state: Any) -> None:
            pointers = at.states[after], *of_state, at.mask_of(t), dgates[t]
            launch(_rnn_backward, at.rows, size, *pointers, relu)

        dh = backward(at, dy, dh, dgates, at.mask is not None, step)
        dx, dw_ih, dw_hh, db_ih, db_hh = gradients(at, dgates, dgates, needed, 2)
        return dx, dh, dw_ih, dw_hh, db_ih, db_hh, None

    return value, Joint(pullback)


@with_layer_axis(2)
def lstm(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    weight_hr: Array | None = None,
    mask: Array | None = None,
    /,
    *,
    reverse: bool = False,
) -> Any:
    """y, h_n and c_n:  c′ = σ(f)·c + σ(i)·tanh g;   h′ = σ(o)·tanh c′, or W_hr times that."""
    if c is None:
        return NotImplemented
    at = sequence(4, x, h, weight_ih, weight_hh, bias_ih, bias_hh, mask, reverse, c, weight_hr)
    if at is None:
        return NotImplemented
    rows, size = c.shape
    gates, cells = at.inputs(), saved_states(c, len(x), reverse, at.recorded)
    product = cupy.empty((rows, 4 * size), np.float32)
    projected = None if weight_hr is None else cupy.empty(c.shape, np.float32)
    for t, before, after in at.steps():
        states = [s[i % len(s)] for s in (cells, at.states) for i in (before, after)]
        cupy.matmul(states[2], at.weight_hh.T, out=product)
        pointers = gates[t], product, *at.biases, *states, at.y_of(t), projected, at.mask_of(t)
        launch(_lstm_forward, rows, size, *pointers, ())
        if weight_hr is not None:
            pointers = projected @ weight_hr.T, *states[2:], at.y_of(t), at.mask_of(t)
            launch(_keep_state, *h.shape, *pointers, ())
    value = at.y, at.last(at.states), at.last(cells)
    if not at.recorded:
        return value, None
    return value, Joint(lambda needed, *dys: _lstm_back(at, gates, cells, weight_hr, needed, *dys))


def _lstm_back(
    at: Sequence,
    gates: Array,
    cells: Array,
    weight_hr: Array | None,
    needed: tuple[bool, ...],
    dy: Array | None,
    dh: Array,
    dc: Array,
) -> Gradients:
    """The gradients of all arguments."""
    (rows, size), outputs, dc = dc.shape, dh.shape[1], dc.copy(order="C")
    dgates = cupy.empty(gates.shape, np.float32)
    dstates: Any = None if weight_hr is None else cupy.empty((len(gates), *dh.shape), np.float32)

    def step(t: int, before: int, after: int, *of_state: Any) -> None:
        mask = at.mask_of(t)
        if weight_hr is not None:
            launch(_state_gradient, rows, outputs, *of_state, mask, dstates[t], ())
            of_state = dstates[t] @ weight_hr, None, None
        pointers = gates[t], cells[before], cells[after], *of_state, mask, dc, dgates[t]
        launch(_lstm_backward, rows, size, *pointers, ())

    dh = backward(at, dy, dh, dgates, at.mask is not None, step)
    dx, dw_ih, dw_hh, db_ih, db_hh = gradients(at, dgates, dgates, needed, 3)
    dw_hr = None
    if weight_hr is not None and needed[7]:
        m = cupy.empty((len(gates) * rows, size), np.float32)
        after = cells[:-1] if at.reverse else cells[1:]
        launch(_lstm_outputs, *m.shape, gates, after, at.mask, m, ())
        dw_hr = precise_matmul(dstates.reshape((-1, outputs)).T, m)
    return dx, dh, dc, dw_ih, dw_hh, db_ih, db_hh, dw_hr, None


@with_layer_axis(1)
def gru(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    mask: Array | None = None,
    /,
    *,
    reverse: bool = False,
) -> Any:
    """y and h_n:  n = tanh(i_n + σ(i_r + h_r)·h_n);   z = σ(i_z + h_z);   h′ = (1 − z)·n + z·h."""
    at = sequence(3, x, h, weight_ih, weight_hh, bias_ih, bias_hh, mask, reverse)
    if at is None:
        return NotImplemented
    (rows, size), states, gates = h.shape, at.states, at.inputs()
    product = cupy.empty((rows, 3 * size), np.float32)
    candidates = cupy.empty((len(x) if at.recorded else 1, rows, size), np.float32)
    for t, before, after in at.steps():
        before, after = states[before % len(states)], states[after % len(states)]
        cupy.matmul(before, at.weight_hh.T, out=product)
        pointers = gates[t], candidates[t % len(candidates)], product, *at.biases, before, after
        launch(_gru_forward, rows, size, *pointers, at.y_of(t), at.mask_of(t), ())
    value = at.y, at.last(states)
    if not at.recorded:
        return value, None

    def pullback(needed: tuple[bool, ...], dy: Array | None, dh: Array) -> Gradients:
        of_x, of_h = (cupy.empty(gates.shape, np.float32) for _ in range(2))

        def step(t: int, before: int, after: int, *of_state: Any) -> None:
            pointers = gates[t], candidates[t], at.states[before], *of_state, at.mask_of(t)
            launch(_gru_backward, rows, size, *pointers, of_x[t], of_h[t], ())

        dh = backward(at, dy, dh, of_h, True, step)
        dx, dw_ih, dw_hh, db_ih, db_hh = gradients(at, of_x, of_h, needed, 2)
        return dx, dh, dw_ih, dw_hh, db_ih, db_hh, None

    return value, Joint(pullback)


def rnn_cell(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    /,
    *,
    nonlinearity: str = "tanh",
) -> Any:
    """h′ = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu."""
    weights = weight_ih, weight_hh, bias_ih, bias_hh, None
    return one_step(x, (h,), lambda x, h: rnn(x, h, *weights, nonlinearity=nonlinearity))


def lstm_cell(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    weight_hr: Array | None = None,
    /,
) -> Any:
    """h′ and c′."""
    weights = weight_ih, weight_hh, bias_ih, bias_hh, weight_hr
    return one_step(x, (h, c), lambda x, h, c: lstm(x, h, c, *weights))


def gru_cell(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    /,
) -> Any:
    """h′."""
    weights = weight_ih, weight_hh, bias_ih, bias_hh
    return one_step(x, (h,), lambda x, h: gru(x, h, *weights))
