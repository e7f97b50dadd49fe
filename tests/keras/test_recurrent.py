"""Recurrent layers beside Keras's, with equal weights: outputs, states, masks, training."""

import itertools

import numpy as np
import pytest

import minidl
from minidl import keras
from minidl.errors import ArgumentError, MinidlError, ShapeError
from minidl.keras import layers
from tests.helpers import assert_all_close, assert_close
from tests.keras.twins import (
    assert_equal_outputs,
    keras_is_quiet,
    numpy,
    random,
    theirs,
    varied,
)

pytestmark = keras_is_quiet
KINDS = ["SimpleRNN", "LSTM", "GRU"]
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]], bool)
VARIANTS = [
    {},
    {"use_bias": False},
    {"activation": "relu"},
    {"activation": "sigmoid", "unroll": True},
    {"dropout": 0.5, "recurrent_dropout": 0.5},
]
GATES = [{"recurrent_activation": "hard_sigmoid"}, {"recurrent_activation": "sigmoid"}]
ALL = [
    *itertools.product(KINDS, VARIANTS),
    *itertools.product(["LSTM", "GRU"], GATES),
    ("GRU", {"reset_after": False}),
    ("GRU", {"reset_after": False, "use_bias": False}),
    ("LSTM", {"unit_forget_bias": False}),
]
OPTIONS = [
    {"return_sequences": s, "return_state": r, "go_backwards": b, "zero_output_for_mask": z}
    for s, r, b, z in itertools.product([False, True], repeat=4)
]


def states_for(kind, batch=4, units=3):
    count = 2 if kind == "LSTM" else 1
    return [random(batch, units, seed=i + 5) for i in range(count)]


@pytest.mark.parametrize(("kind", "settings"), ALL)
def test_layers_are_kerass(kind, settings):
    x = random(4, 5, 2)
    for more in ({}, {"return_sequences": True, "return_state": True}):
        pair = [getattr(k.layers, kind)(3, **settings, **more) for k in (keras, theirs)]
        assert_equal_outputs(*pair, x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS[::3] + OPTIONS[1::5])
def test_masks_and_states_are_kerass(kind, options):
    x = random(4, 4, 2)
    for mask, begin in itertools.product((None, MASK), (None, states_for(kind))):
        settings = {} if begin is None else {"initial_state": begin}
        settings |= {} if mask is None else {"mask": mask}
        for more in ({}, {"activation": "elu"}):  # in one operation, and step by step
            pair = [getattr(k.layers, kind)(3, **options, **more) for k in (keras, theirs)]
            assert_equal_outputs(*pair, x, **settings)


def test_a_masked_step_repeats_the_output():
    layer = layers.LSTM(3, return_sequences=True)
    x = random(4, 4, 2)
    y = layer(x, mask=MASK).numpy()
    np.testing.assert_array_equal(y[1, 2:], y[1, [1, 1]])
    np.testing.assert_array_equal(y[2, 0], np.zeros(3))
    np.testing.assert_array_equal(y[3], np.zeros((4, 3)))
    assert_close(y[1, 1], layer(x[1:2, :2]).numpy()[0, 1], 1e-6)


@pytest.mark.parametrize("activation", ["tanh", "elu"])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_no_influence_and_no_gradient(kind, activation):
    layer = getattr(layers, kind)(3, activation, return_sequences=True)
    x = minidl.asarray(random(4, 4, 2), requires_grad=True)
    good = layer(x, mask=MASK)
    bad = np.where(MASK[..., None], x.numpy(), np.nan)
    broken = minidl.asarray(bad, requires_grad=True)
    y = layer(broken, mask=MASK)
    np.testing.assert_array_equal(y.numpy(), good.numpy())
    (y * y).sum().backward()
    (good * good).sum().backward()
    np.testing.assert_array_equal(broken.grad.numpy(), x.grad.numpy())
    assert not x.grad.numpy()[~MASK].any()


@pytest.mark.parametrize("kind", KINDS)
def test_one_operation_and_single_steps_are_equal(kind):
    """And so are their gradients, with and without a mask."""
    x = random(4, 4, 2).astype("float64")
    for options, mask in itertools.product(OPTIONS[::3], (None, MASK)):
        layer = getattr(layers, kind)(3, dtype="float64", **options | {"return_state": False})
        layer(x)
        found = []
        for run in (type(layer).run, layers.RNN.run):
            given = minidl.asarray(x, requires_grad=True)
            layer.run = lambda *a, run=run, layer=layer: run(layer, *a)
            y = layer(given, mask=mask)
            (y * y).sum().backward()
            grads = [w.grad.numpy().copy() for w in layer.weights]
            for w in layer.weights:
                w.grad = None
            found.append([y.numpy(), given.grad.numpy(), *grads])
        assert_all_close(*found, 1e-10)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_one_step_in_numbers():
    """The order of the gates, and what is done with them."""
    x, h, c = random(2, 3), random(2, 4), random(2, 4, seed=1)
    for kind, settings, states in (
        ("SimpleRNN", {}, [h]),
        ("LSTM", {}, [h, c]),
        ("GRU", {}, [h]),
        ("GRU", {"reset_after": False}, [h]),
    ):
        layer = getattr(layers, kind)(4, return_state=True, **settings)
        layer(x[:, None])
        shapes = [w.shape for w in layer.get_weights()]
        kernel, recurrent, bias = (random(*shape, seed=i) for i, shape in enumerate(shapes))
        layer.set_weights([kernel, recurrent, bias])
        a, u = x @ kernel, h @ recurrent
        if kind == "SimpleRNN":
            needed = [np.tanh(a + u + bias)]
        elif kind == "LSTM":
            i, f, g, o = np.split(a + u + bias, 4, axis=1)
            new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            needed = [sigmoid(o) * np.tanh(new), new]
        else:
            after = layer.cell.reset_after
            a, u = a + (bias[0] if after else bias), u + (bias[1] if after else 0)
            (z, r, g), (uz, ur, ug) = np.split(a, 3, axis=1), np.split(u, 3, axis=1)
            z, r = sigmoid(z + uz), sigmoid(r + ur)
            candidate = np.tanh(g + (r * ug if after else (r * h) @ recurrent[:, 8:]))
            needed = [z * h + (1 - z) * candidate]
        found = numpy(layer(x[:, None], initial_state=states))
        assert_all_close(found, [needed[0], *needed], 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_stateful_layers_go_on(kind):
    x = random(2, 6, 3)
    whole, part = (getattr(layers, kind)(3, return_sequences=True, stateful=s) for s in (0, 1))
    y = whole(x)
    part(x)
    part.reset_states()
    part.set_weights(whole.get_weights())
    halves = [part(x[:, :3]).numpy(), part(x[:, 3:]).numpy()]
    assert_close(np.concatenate(halves, axis=1), y.numpy(), 1e-6)
    part.reset_states()
    assert_close(part(x).numpy(), y.numpy(), 1e-6)
    part.reset_states(states_for(kind, 2))
    assert_close(part(x).numpy(), whole(x, initial_state=states_for(kind, 2)).numpy(), 1e-6)
    with pytest.raises(ShapeError, match=r"reset_states\(\) before"):
        part(x[:1])


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("kind", KINDS)
def test_bidirectional_is_kerass(mode, kind):
    x = random(4, 4, 2)
    for sequences, state, mask in itertools.product((False, True), (False, True), (None, MASK)):
        pair = []
        for k in (keras, theirs):
            inner = getattr(k.layers, kind)(3, return_sequences=sequences, return_state=state)
            pair.append(k.layers.Bidirectional(inner, merge_mode=mode))
        assert_equal_outputs(*pair, x, **({} if mask is None else {"mask": mask}))
    begin = [*states_for(kind), *states_for(kind)]
    pair = [k.layers.Bidirectional(getattr(k.layers, kind)(3)) for k in (keras, theirs)]
    assert_equal_outputs(*pair, x, initial_state=begin)


def stacked(k):
    cells = [k.layers.LSTMCell(4), k.layers.GRUCell(3), k.layers.SimpleRNNCell(2)]
    return k.layers.RNN(cells, return_sequences=True, return_state=True)


def test_stacked_cells_are_kerass():
    x = random(4, 4, 2)
    assert_equal_outputs(stacked(keras), stacked(theirs), x)
    assert_equal_outputs(stacked(keras), stacked(theirs), x, mask=MASK)


def test_time_distributed_is_kerass():
    x = random(3, 4, 6, 6, 2)
    for make in (
        lambda k: k.layers.TimeDistributed(k.layers.Conv2D(3, 2, activation="relu")),
        lambda k: k.layers.TimeDistributed(k.layers.Flatten()),
        lambda k: k.layers.TimeDistributed(k.layers.TimeDistributed(k.layers.Dense(2))),
    ):
        assert_equal_outputs(make(keras), make(theirs), x)


def translator(k):
    """An encoder whose states begin the decoder, which gets the words before."""
    source, target = k.Input((None,), name="source"), k.Input((5,), name="target")
    x = k.layers.Embedding(7, 4)(source)
    _, h, c = k.layers.LSTM(6, return_state=True)(x)
    y = k.layers.Embedding(8, 4)(target)
    y, _, _ = k.layers.LSTM(6, return_sequences=True, return_state=True)(y, initial_state=[h, c])
    return k.Model([source, target], k.layers.Dense(8, activation="softmax")(y))


def autoencoder(k):
    return k.Sequential(
        [
            k.Input((5, 2)),
            k.layers.GRU(3, activation="relu"),
            k.layers.RepeatVector(5),
            k.layers.SimpleRNN(3, activation="relu", return_sequences=True),
            k.layers.Permute((2, 1)),
            k.layers.TimeDistributed(k.layers.Dense(2)),
        ]
    )


IDS = np.random.default_rng(0).integers(0, 7, (10, 5))


@pytest.mark.parametrize(
    ("make", "x", "y", "loss"),
    [
        (translator, [IDS, IDS[:, ::-1]], IDS, "sparse_categorical_crossentropy"),
        (autoencoder, random(10, 5, 2), random(10, 3, 2), "mse"),
    ],
)
def test_training_recurrent_models_is_kerass(make, x, y, loss):
    mine, keras_model = make(keras), make(theirs)
    keras_model(x)
    varied(keras_model)
    mine.set_weights(keras_model.get_weights())
    mine.compile(keras.optimizers.SGD(0.1), loss)
    keras_model.compile(theirs.optimizers.SGD(0.1), loss)
    for _ in range(3):
        found, needed = mine.train_on_batch(x, y), keras_model.train_on_batch(x, y)
        np.testing.assert_allclose(found, needed, rtol=1e-5)
        assert_all_close(mine.get_weights(), keras_model.get_weights(), 1e-5)


class Decay:
    """A cell as programs write them, for either library."""

    @staticmethod
    def of(k, power):
        class Cell(k.layers.Layer):
            def __init__(self, units, **common):
                super().__init__(**common)
                self.units = self.state_size = units

            def build(self, input_shape):
                self.kernel = self.add_weight(
                    shape=(input_shape[-1], self.units), initializer="uniform", name="kernel"
                )

            def call(self, inputs, states):
                h = power(states[0]) / 2 + inputs @ self.kernel
                return h, [h]

        return k.layers.RNN(Cell(3), return_sequences=True)


def test_a_cell_of_ones_own_is_a_cell():
    mine, keras_layer = (Decay.of(k, lambda h: h * h) for k in (keras, theirs))
    x = theirs.ops.convert_to_tensor(random(2, 4, 3))
    keras_layer(x)
    varied(keras_layer)
    mine(np.asarray(x))
    mine.set_weights(keras_layer.get_weights())
    assert_close(mine(np.asarray(x)).numpy(), numpy(keras_layer(x))[0], 1e-5)


def test_dropout_is_of_the_same_elements_in_all_steps():
    layer = layers.SimpleRNN(
        3, "linear", return_sequences=True, dropout=0.5, seed=3, kernel_initializer="identity"
    )
    layer(np.ones((50, 4, 3)))
    kernel, recurrent, bias = layer.get_weights()
    layer.set_weights([kernel, recurrent * 0, bias])
    y = layer(np.ones((50, 4, 3)), training=True).numpy()
    assert set(y.ravel()) == {0, 2}
    np.testing.assert_array_equal(y, np.repeat(y[:, :1], 4, axis=1))
    layer = layers.GRU(3, recurrent_dropout=0.5)
    x = random(2, 3, 3)
    assert not np.array_equal(layer(x, training=True).numpy(), layer(x, training=True).numpy())
    np.testing.assert_array_equal(layer(x).numpy(), layer(x).numpy())


def test_weights_begin_as_in_keras():
    layer = layers.LSTM(5)
    layer.build((None, 3, 2))
    kernel, recurrent, bias = layer.get_weights()
    assert abs(kernel).max() <= np.sqrt(6 / (2 + 20))
    assert_close(recurrent @ recurrent.T, np.eye(5, dtype="float32"), 1e-5)
    np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], 5))
    assert layer.variables[0].name == "lstm_cell/kernel"


def test_no_steps_and_no_sequences():
    layer = layers.GRU(3, return_sequences=True, return_state=True)
    y, state = layer(np.zeros((2, 0, 4)), initial_state=np.ones((2, 3)))
    assert y.shape == (2, 0, 3)
    np.testing.assert_array_equal(state.numpy(), np.ones((2, 3)))
    y, state = layer(np.zeros((0, 5, 4)))
    assert (y.shape, state.shape) == ((0, 5, 3), (0, 3))


MISTAKES = [
    (lambda: layers.LSTM(0), "units is an integer"),
    (lambda: layers.LSTM(3, dropout=1.5), "dropout"),
    (lambda: layers.LSTM(3, return_sequence=True), "no argument 'return_sequence'"),
    (lambda: layers.LSTM(3)(np.ones((2, 3))), r"needs sequences \(N, T, in\)"),
    (lambda: layers.LSTM(3)(np.ones((2, 3, 4)), initial_state=np.ones((2, 3))), "has 2 states"),
    (lambda: layers.GRU(3)(np.ones((2, 3, 4)), initial_state=np.ones((1, 3))), "needs states"),
    (lambda: layers.GRU(3)(np.ones((2, 3, 4)), mask=np.ones((2, 4))), r"needs a mask \(N, T\)"),
    (lambda: layers.RNN(layers.Dense(3)), "state_size"),
    (lambda: layers.Bidirectional(layers.Dense(3)), "recurrent layer"),
    (lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="max"), "merge_mode"),
    (lambda: layers.TimeDistributed(layers.Dense(3))(np.ones((2, 3))), "three axes"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_mistakes_are_named(mistake, message):
    with pytest.raises(MinidlError, match=message):
        mistake()


def test_other_features_than_it_was_built_for():
    for activation in ("tanh", "elu"):
        layer = layers.LSTM(3, activation)
        layer(np.ones((2, 3, 4)))
        with pytest.raises(ShapeError, match="was built for 4 features"):
            layer(np.ones((2, 3, 5)))
    with pytest.raises(ArgumentError, match="goes backwards"):
        layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3))
