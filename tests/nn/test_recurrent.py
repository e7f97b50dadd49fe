"""RNN, LSTM and GRU beside PyTorch's: every combination of their arguments, values and gradients.

A run takes a sample of the combinations; those of `full` are all of them.
"""

from itertools import product

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import GradientError, ShapeError
from minidl.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from tests.helpers import assert_all_close
from tests.oracle import torch
from tests.parity import TOLERANCE, random, twins

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

T, N, IN, H = 5, 3, 4, 6
LENGTHS = [2, 5, 3]
KINDS = ["RNN tanh", "RNN relu", "LSTM", "LSTM proj", "GRU"]
GRID = list(
    product(
        KINDS,
        [1, 2],  # layers
        [False, True],  # bidirectional
        [True, False],  # bias
        [False, True],  # batch_first
        ["whole", "lengths", "packed", "single"],
        [False, True],  # whether a state is given
    )
)
SAMPLE = GRID[::7]  # with no axis of the grid in step


def made(kind, layers, bidirectional, bias, batch_first, dtype="float64"):
    """A layer, and PyTorch's with the same weights."""
    name, _, what = kind.partition(" ")
    settings = {"num_layers": layers, "bidirectional": bidirectional}
    settings |= {"bias": bias, "batch_first": batch_first}
    settings |= {"proj_size": 2} if what == "proj" else {"nonlinearity": what} if what else {}
    return twins(name, dtype, input_size=IN, hidden_size=H, **settings)


def states(layer, how, dtype):
    """Arrays of the shapes of the state."""
    places = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [layer.proj_size or H, H] if type(layer).__name__ == "LSTM" else [H]
    batch = () if how == "single" else (N,)
    return [random(places, *batch, n, dtype=dtype, seed=i + 1) for i, n in enumerate(sizes)]


def as_state(tensors):
    """The state as a layer takes it."""
    return None if not tensors else tensors[0] if len(tensors) == 1 else tuple(tensors)


def outputs(library, layer, x, state, how):
    """y, padded, and the parts of the state afterwards."""
    first = layer.batch_first
    if how == "lengths" and library is minidl:
        y, after = layer(x, state, lengths=LENGTHS)
    elif how in ("lengths", "packed"):
        utils = library.nn.utils.rnn
        packed = utils.pack_padded_sequence(x, LENGTHS, first, enforce_sorted=False)
        y, after = layer(packed, state)
        y, _ = utils.pad_packed_sequence(y, first)
    else:
        y, after = layer(x, state)
    return [y, *(after if isinstance(after, tuple) else [after])]


def input_of(layer, how, dtype):
    shape = (T, IN) if how == "single" else (N, T, IN) if layer.batch_first else (T, N, IN)
    return random(*shape, dtype=dtype)


def found(library, gradients, layer, how, with_state, dtype, second=False):
    """The outputs, and the gradients by input, states and weights: a list of arrays."""
    x = library.tensor(input_of(layer, how, dtype), requires_grad=True)
    arrays = states(layer, how, dtype) if with_state else []
    tensors = [library.tensor(s, requires_grad=True) for s in arrays]
    ys = outputs(library, layer, x, as_state(tensors), how)
    loss = sum(
        (y * library.asarray(random(*y.shape, dtype=dtype, seed=9 + i))).sum()
        for i, y in enumerate(ys)
    )
    leaves = [x, *tensors, *layer.parameters()]
    grads = gradients(loss, leaves, **({"create_graph": True} if second else {}))
    if second:
        grads = gradients(sum((g * g).sum() for g in grads), leaves)
    return [np.asarray(v.detach()) for v in (*ys, *grads)]


def check(combination, dtype, second=False):
    *settings, how, with_state = combination
    ours, theirs = made(*settings, dtype=dtype)
    needed = found(torch, torch.autograd.grad, theirs, how, with_state, dtype, second)
    actual = found(minidl, minidl.gradients, ours, how, with_state, dtype, second)
    assert_all_close(actual, needed, TOLERANCE[dtype])


@pytest.mark.parametrize("combination", SAMPLE, ids=str)
def test_values_and_gradients_are_pytorchs(combination):
    check(combination, "float64")


@pytest.mark.parametrize("combination", GRID[3::23], ids=str)
def test_values_and_gradients_in_float32_are_pytorchs(combination):
    check(combination, "float32")


@pytest.mark.parametrize("combination", GRID[5::37], ids=str)
def test_second_derivatives_are_pytorchs(combination):
    with minidl.higher_order():
        check(combination, "float64", second=True)


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("combination", GRID, ids=str)
def test_all_values_and_gradients_are_pytorchs(combination, dtype):
    check(combination, dtype)


@pytest.mark.full
@pytest.mark.parametrize("combination", GRID, ids=str)
def test_all_second_derivatives_are_pytorchs(combination):
    with minidl.higher_order():
        check(combination, "float64", second=True)


each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_padded_batch_gives_what_its_members_give(kind, batch_first):
    """Also where the padding is not a number."""
    layer, _ = made(kind, 2, True, True, batch_first)
    x = random(N, T, IN)
    for row, length in zip(x, LENGTHS, strict=True):
        row[length:] = np.nan
    x = minidl.tensor(x if batch_first else np.moveaxis(x, 0, 1), requires_grad=True)
    leaves = [x, *layer.parameters()]
    y, after = layer(x, lengths=minidl.tensor(LENGTHS))
    total = [0.0] * len(leaves)
    for i, length in enumerate(LENGTHS):
        one = x[i, :length] if batch_first else x[:length, i]
        own = y[i] if batch_first else y[:, i]
        y_i, after_i = layer(one)
        assert not own[length:].detach().numpy().any()
        pairs = [(own[:length], y_i)]
        if isinstance(layer, nn.LSTM):
            pairs += [(s[:, i], s_i) for s, s_i in zip(after, after_i, strict=True)]
        else:
            pairs.append((after[:, i], after_i))
        assert_all_close(*zip(*[(a.detach(), b.detach()) for a, b in pairs], strict=True), 1e-12)
        grads = minidl.gradients((y_i * y_i).sum(), leaves)
        total = [a + g.numpy() for a, g in zip(total, grads, strict=True)]
    assert_all_close(minidl.gradients((y * y).sum(), leaves), total, 1e-12)


@each_kind
def test_lengths_may_be_integers_of_any_kind(kind):
    layer, _ = made(kind, 1, False, True, False)
    x = minidl.asarray(random(T, N, IN))
    needed, _ = layer(x, lengths=LENGTHS)
    for given in (tuple(LENGTHS), np.array(LENGTHS, "uint8"), minidl.tensor(LENGTHS)):
        y, _ = layer(x, lengths=given)
        assert (y == needed).all()
    whole, _ = layer(x, lengths=[T] * N)
    assert (whole == layer(x)[0]).all()
    single, _ = layer(x[:, 0], lengths=LENGTHS[0])
    assert_all_close([single.detach()], [needed[:, 0].detach()], 1e-14)


@each_kind
def test_a_packed_batch_comes_out_packed_alike(kind):
    layer, theirs = made(kind, 2, True, True, True)
    x = random(N, T, IN)
    for order in (False, True):
        lengths = sorted(LENGTHS, reverse=True) if order else LENGTHS
        packed = pack_padded_sequence(x, lengths, True, enforce_sorted=order)
        y, _ = layer(packed)
        needed, _ = theirs(
            torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths, True, order)
        )
        for one, other in zip(y, needed, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one.detach(), other.detach(), rtol=0, atol=1e-12)


@each_kind
def test_truncated_backpropagation(kind):
    """In parts, with the state detached between: the values of the whole, other gradients."""
    layer, _ = made(kind, 2, False, True, False)
    x = minidl.tensor(random(T, N, IN), requires_grad=True)
    y, _ = layer(x)
    first, state = layer(x[:3])
    state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
    rest, _ = layer(x[3:], state)
    assert_all_close([minidl.concat([first, rest]).detach()], [y.detach()], 1e-14)
    (dx,) = minidl.gradients(rest.sum(), [x])
    assert not dx[:3].numpy().any()
    assert dx[3:].numpy().any()


@each_kind
def test_padding_of_a_packed_batch_is_where_it_was(kind):
    layer, _ = made(kind, 1, False, True, True)
    x = minidl.asarray(random(N, T, IN))
    packed, _ = layer(pack_padded_sequence(x, LENGTHS, True, enforce_sorted=False))
    y, lengths = pad_packed_sequence(packed, True)
    needed, _ = layer(x, lengths=LENGTHS)
    assert lengths.tolist() == LENGTHS
    assert_all_close([y.detach()], [needed.detach()], 1e-14)


def test_a_layer_that_takes_a_tensor_tells_what_it_got_from_a_recurrent_one():
    net = nn.Sequential(nn.GRU(3, 4), nn.Linear(4, 2))
    with pytest.raises(ShapeError, match=r"tuple \(float32 \(5, 2, 4\), float32 \(1, 2, 4\)\)$"):
        net(minidl.ones((5, 2, 3)))


def test_a_state_that_is_not_detached_is_told_of():
    layer, x = nn.GRU(3, 4), minidl.ones((5, 2, 3))
    y, state = layer(x)
    y.sum().backward()
    with pytest.raises(GradientError, match=r"walked .* the state .*, detach\(\) that"):
        layer(x, state)[0].sum().backward()
    layer(x, state.detach())[0].sum().backward()
