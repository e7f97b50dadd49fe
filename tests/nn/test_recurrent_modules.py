"""Recurrent layers as modules: weights, dropout, cells, hooks, dtypes, long sequences, errors."""

import copy
import math
import pickle

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.errors import AnomalyError, ArgumentError, DTypeError, GradientError, ShapeError
from minidl.nn.utils.rnn import PackedSequence, pack_sequence
from tests.helpers import assert_all_close, assert_close, told
from tests.oracle import torch
from tests.parity import random, twins

KINDS = ["RNN", "LSTM", "GRU"]
each_kind = pytest.mark.parametrize("kind", KINDS)
T, N, IN, H = 5, 3, 4, 6


def made(kind, dtype="float64", **settings):
    return getattr(nn, kind)(IN, H, **settings, dtype=dtype)


def tensors(output):
    """The tensors in an output, one after the other."""
    if isinstance(output, minidl.Tensor):
        return [output]
    return [x for part in output if part is not None for x in tensors(part)]


def input_of(*shape, dtype="float64"):
    return minidl.asarray(random(*(shape or (T, N, IN)), dtype=dtype), requires_grad=True)


# Weights.


@each_kind
def test_all_weights_start_uniform_within_one_over_the_root_of_h(kind):
    minidl.manual_seed(0)
    layer = getattr(nn, kind)(20, 64, 2, bidirectional=True)
    for parameter in layer.parameters():
        values = parameter.detach().numpy()
        assert abs(values).max() <= 1 / 8
        assert abs(values).max() > 0.97 / 8
        assert values.std() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.15)
    before = layer.weight_hh_l1_reverse.detach().copy()
    layer.reset_parameters()
    assert (layer.weight_hh_l1_reverse != before).any()


@each_kind
def test_all_weights_are_listed_as_by_pytorch(kind):
    ours, theirs = twins(kind, input_size=IN, hidden_size=H, num_layers=2, bidirectional=True)
    for mine, other in zip(ours.all_weights, theirs.all_weights, strict=True):
        assert_all_close([w.detach() for w in mine], [w.detach() for w in other], 0)
    assert ours.flatten_parameters() is None


@each_kind
def test_a_weight_can_be_shared_frozen_and_replaced(kind):
    one, other = made(kind), made(kind)
    other.weight_hh_l0 = one.weight_hh_l0
    one.bias_ih_l0.requires_grad = False
    x = input_of()
    y = one(x)[0] + other(x)[0]
    y.sum().backward()
    separate = minidl.gradients(one(x)[0].sum(), [one.weight_hh_l0])[0]
    separate += minidl.gradients(other(x)[0].sum(), [one.weight_hh_l0])[0]
    assert_close(one.weight_hh_l0.grad, separate, 1e-12)
    assert one.bias_ih_l0.grad is None
    assert len([*nn.ModuleList([one, other]).parameters()]) == 7

    with_norm = nn.utils.weight_norm(made(kind), "weight_hh_l0")
    assert "weight_hh_l0_v" in with_norm.state_dict()
    with_norm(x)[0].sum().backward()
    assert with_norm.get_parameter("weight_hh_l0_g").grad.numpy().any()


@each_kind
def test_copies_compute_the_same(kind):
    layer = made(kind, num_layers=2)
    x = input_of()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == repr(layer)
        assert_all_close(
            [y.detach() for y in tensors(other(x))], [y.detach() for y in tensors(layer(x))], 0
        )


def test_a_network_learns_to_add():
    """Which of two marked numbers in a sequence are to be added: Hochreiter, Schmidhuber 1997."""
    minidl.manual_seed(3)
    rng = np.random.default_rng(0)

    class Adder(nn.Module):
        def __init__(self):
            self.rnn, self.out = nn.GRU(2, 16, batch_first=True), nn.Linear(16, 1)

        def forward(self, x):
            _, h_n = self.rnn(x)
            return self.out(h_n[-1])[:, 0]

    net = Adder()
    optimizer = optim.Adam(net.parameters(), 0.02)
    for _ in range(150):
        numbers, marks = rng.uniform(size=(32, 8)), np.zeros((32, 8))
        for row in marks:
            row[rng.choice(8, 2, replace=False)] = 1
        x = minidl.asarray(np.stack([numbers, marks], -1).astype("float32"))
        target = minidl.asarray((numbers * marks).sum(1).astype("float32"))
        loss = minidl.mse_loss(net(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02  # the variance of the sum is 1/6


# Dropout.


@each_kind
def test_dropout_is_between_layers_and_in_training_alone(kind):
    x = input_of(2, 500, IN)
    layer = made(kind, num_layers=2, dropout=0.5)
    minidl.manual_seed(0)
    first = layer(x)[0]
    second = layer(x)[0]
    minidl.manual_seed(0)
    assert (layer(x)[0] == first).all()
    assert (first != second).any()
    assert (layer.eval()(x)[0] == layer(x)[0]).all()
    single = made(kind, num_layers=1)
    single.dropout = 0.5
    assert (single(x)[0] == single(x)[0]).all()

    layer.train().dropout = 1.0  # the second layer sees nothing
    other = copy.deepcopy(layer)
    blank = other(minidl.zeros_like(x) + 100)[0]
    assert_close(layer(x)[0].detach(), blank.detach(), 0)


def test_dropout_takes_its_numbers_from_the_layers_generator():
    x = input_of()
    layers = [
        nn.GRU(IN, H, 2, dropout=0.3, dtype="float64", generator=minidl.random.Generator(7))
        for _ in range(2)
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    assert (layers[0](x)[0] == layers[1](x)[0]).all()


@each_kind
def test_dropout_without_a_layer_between_is_told(kind):
    with told(rf"^{kind}: dropout=0.5 acts between layers, and there is nothing between"):
        made(kind, dropout=0.5)


# Cells.


@pytest.mark.parametrize("batch", [(N,), ()])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("name", ["RNNCell", "RNNCell relu", "LSTMCell", "GRUCell"])
def test_cells_are_pytorchs(name, given, bias, batch):
    name, _, what = name.partition(" ")
    settings = {"nonlinearity": what} if what else {}
    ours, theirs = twins(name, input_size=IN, hidden_size=H, bias=bias, **settings)
    x = random(*batch, IN)
    states = [random(*batch, H, seed=i + 1) for i in range(1 + (name == "LSTMCell"))]
    found = []
    for library, layer in ((minidl, ours), (torch, theirs)):
        leaves = [library.tensor(v, requires_grad=True) for v in (x, *states)]
        state = leaves[1:] if len(states) > 1 else leaves[1]
        output = layer(leaves[0], (tuple(state) if len(states) > 1 else state) if given else None)
        ys = list(output) if isinstance(output, tuple) else [output]
        sum((y * y * (i + 1)).sum() for i, y in enumerate(ys)).backward()
        grads = [v.grad for v in (*(leaves if given else leaves[:1]), *layer.parameters())]
        found.append([np.asarray(v.detach()) for v in (*ys, *grads)])
    assert_all_close(*found, 1e-10)


# As parts of programs.


def test_in_a_sequential_what_follows_gets_a_tuple_as_in_pytorch():
    net = nn.Sequential(nn.GRU(IN, H), nn.Linear(H, 2))
    with pytest.raises(ShapeError, match=r"Linear\(6, 2\) needs an input of shape .* got tuple"):
        net(input_of(dtype="float32"))
    assert nn.Sequential(nn.Linear(IN, IN), nn.GRU(IN, H))(minidl.ones((T, N, IN)))[1].ndim == 3


@each_kind
def test_hooks_see_the_tuples(kind):
    layer, seen = made(kind), []
    layer.register_forward_hook(lambda module, inputs, output: seen.append(tensors(output)))
    layer.register_full_backward_hook(lambda module, dxs, dys: seen.append((dxs, dys)))
    x = input_of()
    y, _ = layer(x)
    y.sum().backward()
    (shown, *_), (dxs, dys) = seen
    assert (shown.detach() == y.detach()).all()
    assert dxs[0].shape == x.shape
    assert (dys[0] == 1).all()
    packed = layer(pack_sequence([np.ones((2, IN)), np.ones((1, IN))]))[0]
    assert type(packed) is PackedSequence


@each_kind
def test_vmap_and_checkpoint(kind):
    layer = made(kind, num_layers=2)
    x = input_of(2, T, N, IN)

    def loss(x):
        y, _ = layer(x)
        return (y * y).sum()

    each = minidl.vmap(minidl.grad(loss))(x)
    assert_all_close([each[i] for i in range(2)], [minidl.grad(loss)(x[i]) for i in range(2)], 0)
    assert minidl.vmap(lambda v: layer(v)[0])(x).shape == (2, T, N, H)
    again = minidl.checkpoint(loss, x[0])
    assert_all_close(minidl.gradients(again, [x]), minidl.gradients(loss(x[0]), [x]), 0)


@each_kind
def test_the_dtype_is_that_of_the_weights(kind):
    """Wider inputs and states are cast, which is told once; narrower ones are promoted."""
    layer, x = made(kind, "float32"), input_of()
    with told(rf"^{kind}: computes in float32, .* float64; .*astype.minidl.float32.*model.to"):
        outputs = layer(x)
    assert {y.dtype.name for y in tensors(outputs)} == {"float32"}
    outputs[0].sum().backward()
    assert x.grad.dtype == "float64"
    for dtype in ("float16", "int64"):
        narrow = minidl.ones((T, N, IN), dtype=dtype)
        same = minidl.ones((T, N, IN))
        assert (layer(narrow)[0] == layer(same)[0]).all()
    half = layer.half()
    x = minidl.ones((T, N, IN), dtype="float16")
    assert {y.dtype.name for y in tensors(half(x))} == {"float16"}
    wide = copy.deepcopy(half).float()(x)
    assert_close(half(x)[0].detach().astype("float32"), wide[0].detach(), 2e-3)


@pytest.mark.filterwarnings("ignore::minidl.errors.MinidlWarning")
@each_kind
def test_arrays_are_taken_as_tensors_are(kind):
    layer = made(kind, "float32")
    x = np.ones((T, N, IN))
    h = np.ones((1, N, H))
    state = (h, h) if kind == "LSTM" else h
    needed = layer(minidl.asarray(x), tuple(map(minidl.asarray, state)) if kind == "LSTM" else h)
    assert (layer(x, state)[0] == needed[0]).all()


@each_kind
def test_empty_sequences_and_batches(kind):
    layer = made(kind, num_layers=2, bidirectional=True)
    y, after = layer(minidl.ones((0, N, IN), dtype="float64"))
    assert y.shape == (0, N, 2 * H)
    assert not tensors(after)[0].numpy().any()
    y, after = layer(minidl.ones((T, 0, IN), dtype="float64"))
    assert (y.shape, tensors(after)[0].shape) == ((T, 0, 2 * H), (4, 0, H))


@each_kind
def test_summary_counts_the_products_of_each_step(kind):
    layer = getattr(nn, kind)(IN, H, 2, batch_first=True, bidirectional=True)
    found = nn.summary(layer, (2, T, IN))
    rows = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind] * H
    assert found.multiply_adds == T * 2 * rows * ((IN + H) + (2 * H + H))
    assert found.layers[0].output[0] == (2, T, 2 * H)
    cell = getattr(nn, f"{kind}Cell")(IN, H)
    assert nn.summary(cell, (2, IN)).multiply_adds == rows * (IN + H)


def test_exploding_gradients_are_found():
    """Backwards, 1.5 to the power of 1600 is more than float64 holds."""
    layer = nn.RNN(1, 1, nonlinearity="relu", bias=False, dtype="float64")
    nn.init.constant_(layer.weight_ih_l0, 1e-300)
    nn.init.constant_(layer.weight_hh_l0, 1.5)
    x = minidl.ones((1600, 1, 1), dtype="float64", requires_grad=True)

    def train():
        with minidl.detect_anomaly():
            y, _ = layer(x)
            (y[-1] * 1e100).sum().backward()

    with pytest.raises(AnomalyError, match=r"pullback of (linear|matmul).* made Inf in the grad"):
        train()


@pytest.mark.full
@each_kind
def test_ten_thousand_steps_forwards_and_backwards(kind):
    layer = made(kind)
    y, _ = layer(input_of(10_000, 1, IN))
    y[-1].sum().backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in layer.parameters())


@each_kind
def test_backward_may_follow_a_batch_without_steps(kind):
    layer, x = made(kind, num_layers=2, bidirectional=True), input_of(0, N, IN)
    y, _ = layer(x)
    y.sum().backward()
    assert (y.shape, x.grad.shape) == ((0, N, 2 * H), (0, N, IN))
    assert not layer.weight_ih_l0.grad.numpy().any()


def test_a_state_with_a_history_that_is_gone_is_explained():
    layer = nn.GRU(IN, H)
    y, state = layer(minidl.ones((T, N, IN)))
    y.sum().backward()
    y, _ = layer(minidl.ones((T, N, IN)), state)
    with pytest.raises(GradientError, match=r"the state of a recurrent layer, detach\(\) that"):
        y.sum().backward()


# Errors.

X = minidl.ones((T, N, IN))
STATE = minidl.ones((1, N, H))
MISUSES = {
    "size": (
        lambda: nn.LSTM(IN, H)(minidl.ones((T, N, 5))),
        *(ShapeError, r"LSTM\(4, 6\) needs an input of shape \(T, N, 4\), or \(T, 4\) of one .*"),
    ),
    "size, batch first": (
        lambda: nn.GRU(IN, H, batch_first=True)(minidl.ones((T, N, 5))),
        *(ShapeError, r"GRU\(4, 6, batch_first=True\) needs an input of shape \(N, T, 4\), or"),
    ),
    "axes": (lambda: nn.RNN(IN, H)(minidl.ones((1, T, N, IN))), ShapeError, r"got \(1, 5, 3, 4\)"),
    "no tensor": (lambda: nn.RNN(IN, H)([[1.0]]), DTypeError, "needs a tensor or a PackedSequence"),
    "complex": (lambda: nn.GRU(IN, H)(X.astype("complex64")), DTypeError, "needs real numbers"),
    "state": (
        lambda: nn.GRU(IN, H, 2)(X, STATE),
        *(ShapeError, r"needs h of shape \(layers · directions, N, H\) = \(2, 3, 6\); got \(1, 3"),
    ),
    "c": (
        lambda: nn.LSTM(IN, H)(X, (STATE, STATE[:, :2])),
        *(ShapeError, r"LSTM\(4, 6\) needs c of shape .* = \(1, 3, 6\); got \(1, 2, 6\)"),
    ),
    "no pair": (lambda: nn.LSTM(IN, H)(X, STATE), DTypeError, r"needs a state \(h, c\); got float"),
    "three": (lambda: nn.LSTM(IN, H)(X, [STATE] * 3), DTypeError, r"\(h, c\); got a list of 3$"),
    "pair": (lambda: nn.GRU(IN, H)(X, (STATE, STATE)), DTypeError, "h as a tensor; got a tuple of"),
    "c is None": (lambda: nn.LSTM(IN, H)(X, (STATE, None)), DTypeError, "needs c as a tensor; got"),
    "projected": (
        lambda: nn.LSTM(IN, H, proj_size=2)(X, (STATE, STATE)),
        *(ShapeError, r"LSTM\(4, 6, proj_size=2\) needs h of shape .* = \(1, 3, 2\); got"),
    ),
    "single": (
        lambda: nn.GRU(IN, H)(X[:, 0], STATE),
        *(ShapeError, r"needs h of shape \(layers · directions, H\) = \(1, 6\); got \(1, 3, 6\)"),
    ),
    "zero": (
        lambda: nn.GRU(IN, H)(X, lengths=[5, 0, 1]),
        *(ArgumentError, r"GRU\(4, 6\): lengths are from 1 to 5, the length of input; got \[5, 0"),
    ),
    "long": (lambda: nn.GRU(IN, H)(X, lengths=[6, 1, 1]), ArgumentError, "lengths are from 1 to 5"),
    "count": (
        lambda: nn.GRU(IN, H)(X, lengths=[5, 1]),
        *(ShapeError, "lengths has one number for each of 3 sequences"),
    ),
    "fractions": (lambda: nn.GRU(IN, H)(X, lengths=[5.0, 1.0, 1.0]), DTypeError, "are integers"),
    "packed": (
        lambda: nn.GRU(IN, H)(pack_sequence([np.ones((2, 5), "float32")])),
        *(ShapeError, r"data of shape \(Σ lengths, 4\); got \(2, 5\)"),
    ),
    "lengths twice": (
        lambda: nn.GRU(IN, H)(pack_sequence([X[:, 0]]), lengths=[5]),
        *(ArgumentError, "a PackedSequence has lengths; leave lengths out"),
    ),
    "cell": (
        lambda: nn.LSTMCell(IN, H)(X),
        *(ShapeError, r"LSTMCell\(4, 6\) needs an input of shape \(N, 4\) or \(4,\); got"),
    ),
    "cell's state": (
        lambda: nn.LSTMCell(IN, H)(X[0], (STATE[0], STATE)),
        *(ShapeError, r"LSTMCell\(4, 6\) needs c of shape \(N, H\) = \(3, 6\); got \(1, 3, 6\)"),
    ),
    "cell's pair": (lambda: nn.LSTMCell(IN, H)(X[0], STATE[0]), DTypeError, r"a state \(h, c\)"),
    "nonlinearity": (lambda: nn.RNN(IN, H, 1, "sin"), ArgumentError, 'one of "tanh", "relu"'),
    "proj_size": (lambda: nn.LSTM(IN, H, proj_size=6), ArgumentError, "integer from 0 to 5; got 6"),
    "hidden_size": (lambda: nn.LSTM(IN, 0), ArgumentError, "LSTM: hidden_size is an integer ≥ 1"),
    "dropout": (lambda: nn.GRU(IN, H, dropout=2), ArgumentError, "GRU: dropout is a probability"),
    "bias": (lambda: nn.GRU(IN, H, bias=1), ArgumentError, "GRU: bias is True or False; got 1"),
}


@pytest.mark.parametrize(("misuse", "error", "says"), MISUSES.values(), ids=MISUSES)
def test_misuse_is_explained(misuse, error, says):
    with pytest.raises(error, match=says):
        misuse()
