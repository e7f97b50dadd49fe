"""Recurrent operations: masks, directions, empty sequences, float16, many steps, bad input."""

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.errors import ArgumentError, DTypeError, ShapeError
from tests.bad_input import call, every_spoilt, real
from tests.helpers import assert_close
from tests.parity import random

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
each_kind = pytest.mark.parametrize("kind", GATES)
TOLERANCE = {"float64": 1e-13, "float32": 2e-6}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)  # float32 has kernels
T, N, IN, H = 4, 3, 2, 3
MASK = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 1]], bool)


def inputs(kind, n=N, t=T, dtype="float64", seed=0):
    """x, the states and the weights, as leaves."""
    states = 2 if kind == "lstm" else 1
    rows = GATES[kind] * H
    shapes = [(t, n, IN), *[(n, H)] * states, (rows, IN), (rows, H), (rows,), (rows,)]
    arrays = [random(*s, dtype=dtype, seed=seed + i) for i, s in enumerate(shapes)]
    return [minidl.asarray(x, requires_grad=True) for x in arrays]


def run(kind, arrays, mask=None, **settings):
    """The outputs; the mask comes last."""
    empty = [None] * ((9 if kind == "lstm" else 7) - len(arrays) - 1)
    return getattr(ops, kind)(*arrays, *empty, mask, **settings)


def gradients(outputs, leaves):
    """The gradients of a sum of all outputs, weighted to tell them apart."""
    loss = sum((y * y * (i + 1)).sum() + y.sum() for i, y in enumerate(outputs))
    return minidl.gradients(loss, leaves)


@each_kind
@each_dtype
@pytest.mark.parametrize("reverse", [False, True])
def test_the_states_are_those_of_the_cell_one_step_after_the_other(kind, reverse, dtype):
    x, *rest = inputs(kind, dtype=dtype)
    states, weights = rest[:-4], rest[-4:]
    y, *after = run(kind, [x, *rest], reverse=reverse)
    for t in reversed(range(T)) if reverse else range(T):
        states = getattr(ops, f"{kind}_cell")(x[t], *states, *weights)
        states = list(states) if kind == "lstm" else [states]
        assert_close(y[t].detach(), states[0].detach(), TOLERANCE[dtype])
    for found, needed in zip(after, states, strict=True):
        assert_close(found.detach(), needed.detach(), TOLERANCE[dtype])


@each_kind
@each_dtype
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("filling", [0.0, 7.0, np.nan, np.inf])
def test_a_masked_batch_gives_what_its_members_give(kind, reverse, filling, dtype):
    """Whatever is in the steps that are masked, and with gradients."""
    x, *rest = inputs(kind, dtype=dtype)
    there = MASK[:, :, None]
    x = minidl.asarray(np.where(there, x.numpy(), filling).astype(dtype), requires_grad=True)
    leaves = [x, *rest]
    together = run(kind, leaves, minidl.asarray(MASK), reverse=reverse)
    grads = gradients(together, leaves)
    assert not together[0].detach().numpy()[~MASK].any()
    assert not grads[0].numpy()[~MASK].any()

    total = [np.zeros(leaf.shape, dtype) for leaf in leaves]
    for i in range(N):
        steps = minidl.asarray(np.flatnonzero(MASK[:, i]))
        alone = [x[steps][:, i : i + 1], *[s[i : i + 1] for s in rest[:-4]], *rest[-4:]]
        outputs = run(kind, alone, reverse=reverse)
        assert_close(together[0][steps][:, i].detach(), outputs[0][:, 0].detach(), TOLERANCE[dtype])
        for one, other in zip(together[1:], outputs[1:], strict=True):
            assert_close(one[i].detach(), other[0].detach(), TOLERANCE[dtype])
        total = [a + g.numpy() for a, g in zip(total, gradients(outputs, leaves), strict=True)]
    for found, needed in zip(grads, total, strict=True):
        assert_close(found, needed, TOLERANCE[dtype])


@each_kind
@each_dtype
def test_a_sequence_that_is_masked_throughout_keeps_its_state(kind, dtype):
    arrays = inputs(kind, dtype=dtype)
    mask = minidl.asarray(np.array([[True, False, True]] * T))
    before = arrays[1].detach().numpy().copy()
    _, h_n, *_ = run(kind, arrays, mask)
    assert (h_n[1].detach().numpy() == before[1]).all()
    (dh,) = minidl.gradients(h_n[1].sum(), [arrays[1]])
    assert dh.tolist() == [[0.0] * H, [1.0] * H, [0.0] * H]


@each_kind
@each_dtype
def test_a_state_that_is_infinite_harms_no_other_sequence(kind, dtype):
    """Of one that is masked throughout: its product with the weights is never computed."""
    x, h, *rest = inputs(kind, dtype=dtype)
    values = h.numpy().copy()
    values[1] = np.inf
    h = minidl.asarray(values, requires_grad=True)
    y, *_ = run(kind, [x, h, *rest], minidl.asarray(np.array([[True, False, True]] * T)))
    grads = gradients([y], [x, *rest])
    assert all(np.isfinite(g.numpy()).all() for g in grads)


@each_kind
@each_dtype
def test_without_steps_the_state_stays(kind, dtype):
    arrays = inputs(kind, t=0, dtype=dtype)
    y, *after = run(kind, arrays)
    assert y.shape == (0, N, H)
    for found, before in zip(after, arrays[1:], strict=False):
        assert (found.detach().numpy() == before.detach().numpy()).all()
        assert not np.shares_memory(found.detach().numpy(), before.detach().numpy())
    grads = minidl.gradients(after[0].sum(), arrays[:2], allow_unused=True)
    assert grads[1].tolist() == [[1.0] * H] * N


@each_kind
@each_dtype
def test_without_sequences_all_is_empty_and_gradients_are_zero(kind, dtype):
    arrays = inputs(kind, n=0, dtype=dtype)
    y, h_n, *_ = run(kind, arrays)
    assert (y.shape, h_n.shape) == ((T, 0, H), (0, H))
    grads = gradients([y, h_n], arrays[-4:])
    assert all(not g.numpy().any() for g in grads)


@each_kind
def test_float16_is_computed_in_float32(kind):
    arrays = [x.detach().astype("float16") for x in inputs(kind)]
    outputs = run(kind, arrays)
    wide = run(kind, [x.astype("float32") for x in arrays])
    for half, single in zip(outputs, wide, strict=True):
        assert half.dtype == "float16"
        assert (half.numpy() == single.numpy().astype("float16")).all()


@each_kind
def test_integers_and_layouts(kind):
    """Integers count as float32; no layout in memory, nor a read-only one, makes a difference."""
    arrays = [x.detach().numpy() for x in inputs(kind, dtype="float32")]
    needed = run(kind, [minidl.asarray(x) for x in arrays])
    strided = [np.repeat(x, 2, axis=-1)[..., ::2] for x in arrays]
    for x in strided:
        x.flags.writeable = False
    for one, other in zip(run(kind, strided), needed, strict=True):
        assert_close(one, other, 1e-6)
    whole = run(kind, [np.ones((T, N, IN), int), *arrays[1:]])
    floats = run(kind, [np.ones((T, N, IN), "float32"), *arrays[1:]])
    for one, other in zip(whole, floats, strict=True):
        assert_close(one, other, 1e-6)


@each_kind
def test_two_thousand_steps_forwards_and_backwards_without_recursion(kind):
    arrays = inputs(kind, n=1, t=2000)
    y, *_ = run(kind, arrays)
    grads = gradients([y[-1]], arrays)
    assert all(np.isfinite(g.numpy()).all() for g in grads)


def test_the_gradient_of_unstack_takes_memory_for_one_stack():
    """With a gradient of the whole for each slice, these would be 80 GB."""
    x = minidl.zeros((100_000, 1), requires_grad=True)
    last = minidl.unstack(x)[-1]
    (dx,) = minidl.gradients((last * 3).sum(), [x])
    assert dx.numpy().sum() == dx[-1].item() == 3


X, H0 = real(3, 2, 4), real(2, 5)
CALLS = [
    call(ops.rnn, X, H0, real(5, 4), real(5, 5), real(5), real(5), allowed=["4: None", "5: None"]),
    call(
        *(ops.lstm, X, H0, H0, real(20, 4), real(20, 5), real(20), real(20)),
        allowed=["5: None", "6: None"],
        reverse=True,
    ),
    call(
        *(ops.lstm, X, real(2, 3), H0, real(20, 4), real(20, 3), real(20), real(20), real(3, 5)),
        allowed=["5: None", "6: None"],
    ),
    call(ops.gru, X, H0, real(15, 4), real(15, 5), reverse=False),
    call(ops.rnn_cell, X[0], H0, real(5, 4), real(5, 5), nonlinearity="relu"),
    call(ops.lstm_cell, X[0], H0, H0, real(20, 4), real(20, 5)),
    call(ops.gru_cell, X[0], H0, real(15, 4), real(15, 5)),
]


@every_spoilt(CALLS)
def test_bad_input(spoilt):
    spoilt.check()


@pytest.mark.parametrize(
    ("kind", "spoil", "error", "says"),
    [
        (
            "gru",
            {1: (2, 5)},
            ShapeError,
            r"gru: needs h of shape \(N, H\) = \(3, 3\); got \(2, 5\)",
        ),
        ("lstm", {2: (3, 2)}, ShapeError, r"lstm: needs c of shape \(N, H\) = \(3, 3\); got"),
        ("rnn", {0: (4, 3, 5)}, ShapeError, r"needs x of shape \(T, N, in\) = \(4, 3, 2\); got"),
        ("rnn", {0: (3, 2)}, ShapeError, r"rnn: needs x of shape \(T, N, in\) = \(T, N, 2\); got"),
        ("lstm", {3: (10, 2)}, ShapeError, r"needs weight_ih of shape \(4·H, in\)"),
        ("lstm", {4: (8, 3)}, ShapeError, r"needs weight_hh of shape \(4·H, H\) = \(12, 3\)"),
        ("gru", {4: (3,)}, ShapeError, r"needs bias_ih of shape \(3·H,\) = \(9,\); got \(3,\)"),
    ],
)
def test_errors_name_the_array_and_the_shape_that_it_needs(kind, spoil, error, says):
    arrays = [x.detach() for x in inputs(kind)]
    for i, shape in spoil.items():
        arrays[i] = minidl.zeros(shape)
    with pytest.raises(error, match=says):
        run(kind, arrays)


@each_kind
def test_a_mask_is_of_bools_and_has_steps_and_sequences(kind):
    arrays = inputs(kind)
    with pytest.raises(DTypeError, match=rf"{kind}: needs a mask of bools, True where"):
        run(kind, arrays, minidl.ones((T, N)))
    with pytest.raises(ShapeError, match=r"needs mask of shape \(T, N\) = \(4, 3\); got \(3, 4\)"):
        run(kind, arrays, minidl.ones((N, T), dtype="bool"))


def test_other_arguments():
    arrays = inputs("rnn")
    with pytest.raises(ArgumentError, match=r'rnn: nonlinearity is one of "tanh", "relu"; got'):
        run("rnn", arrays, nonlinearity="sigmoid")
    with pytest.raises(ArgumentError, match="rnn: reverse is True or False; got 2"):
        run("rnn", arrays, reverse=2)
    x, h, c, *weights = inputs("lstm")
    with pytest.raises(DTypeError, match=r"lstm: input 1 is tuple \(float64 \(3, 3\), float64"):
        ops.lstm(x, (h, c), c, *weights)
    with pytest.raises(DTypeError, match=r"lstm: needs a tensor for h; got 0\.0"):
        ops.lstm(x, 0.0, c, *weights)
    with pytest.raises(DTypeError, match="lstm: needs real numbers; got complex64"):
        ops.lstm(x, h, c, *[w.detach().astype("complex64") for w in weights])
