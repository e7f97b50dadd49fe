"""Models and layers that programs define with `call`, beside Keras's."""

import numpy as np
import pytest

import minidl
from minidl import keras, nn
from minidl.errors import MinidlError
from minidl.keras import Input, Model, Sequential, layers, optimizers
from tests.helpers import assert_all_close, assert_close
from tests.keras.twins import (
    assert_equal_outputs,
    keras_is_quiet,
    random,
    theirs,
)

pytestmark = keras_is_quiet

NOTES = """
import minidl as tf

class RNN(tf.keras.Model):
    def __init__(self, units):
        super(RNN, self).__init__()
        self.rnn = tf.keras.layers.SimpleRNN(units, return_sequences=True, return_state=True)

    def call(self, inputs, states):
        outputs, states = self.rnn(inputs, initial_state=states)
        return outputs, states

rnn = RNN(128)
"""


def test_the_recurrent_model_of_the_notes_runs():
    """From the notes that this project began from (000, section 1.4), with one import changed."""
    names = {}
    exec(compile(NOTES, "notes 000", "exec"), names)
    rnn = names["rnn"]
    outputs, states = rnn(np.ones((2, 5, 3)), None)
    assert (outputs.shape, states.shape) == ((2, 5, 128), (2, 128))
    np.testing.assert_array_equal(outputs.numpy()[:, -1], states.numpy())
    x = random(2, 6, 3)
    outputs, last = rnn(x, np.zeros((2, 128)))
    _, states = rnn(x[:, :3], None)
    rest, states = rnn(x[:, 3:], states)
    assert_close(rest.numpy(), outputs.numpy()[:, 3:], 1e-5)
    assert_close(states.numpy(), last.numpy(), 1e-5)
    outputs.sum().backward()
    assert all(w.grad is not None for w in rnn.trainable_weights)


def classifier(k):
    class Block(k.layers.Layer):
        """A layer with a weight of its own and layers inside it."""

        def __init__(self, units, **common):
            super().__init__(**common)
            self.units = units
            self.dense = k.layers.Dense(units, activation="relu")

        def build(self, input_shape):
            self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")
            super().build(input_shape)

        def call(self, inputs):
            return self.dense(inputs) * self.scale

        def compute_output_shape(self, input_shape):
            return (*input_shape[:-1], self.units)

    class Classifier(k.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [Block(6), Block(5)]
            self.norm = k.layers.BatchNormalization()
            self.head = k.layers.Dense(3, activation="softmax")

        def call(self, inputs, training=None):
            x = inputs
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x, training=training))

    return Classifier()


def test_training_a_subclass_is_kerass():
    """Step by step, with layers in a list, a layer of one's own, and batch statistics."""
    mine, keras_model = classifier(keras), classifier(theirs)
    assert_equal_outputs(mine, keras_model, random(6, 4))
    for weights in (keras_model.get_weights(),):
        weights[-3] = np.abs(weights[-3]) + 0.5  # a variance
        keras_model.set_weights(weights)
        mine.set_weights(weights)
    settings = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    mine.compile(optimizers.SGD(0.05), **settings)
    keras_model.compile(theirs.optimizers.SGD(0.05), **settings)
    x, y = random(22, 4), np.arange(22) % 3
    for _ in range(3):
        history = mine.fit(x, y, batch_size=8, shuffle=False, verbose=0).history
        needed = keras_model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history
        np.testing.assert_allclose(history["loss"], needed["loss"], rtol=2e-5)
        np.testing.assert_allclose(history["accuracy"], needed["accuracy"], rtol=1e-6)
        assert_all_close(mine.get_weights(), keras_model.get_weights(), 2e-5)
    assert_close(mine.predict(x), keras_model.predict(x, verbose=0), 1e-5)
    found, expected = mine.evaluate(x, y), keras_model.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_the_weights_of_a_subclass(tmp_path, capsys):
    model, other = classifier(keras), classifier(keras)
    with pytest.raises(MinidlError, match="has no weights yet"):
        model.summary()
    model(random(2, 4))
    other.build((None, 4))
    assert [w.shape for w in model.get_weights()] == [w.shape for w in other.get_weights()]
    assert model.count_params() == 6 + 30 + 5 + 35 + 20 + 18
    model.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    x = random(3, 4)
    np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())
    model.summary()
    assert "114 parameters: 104 trainable, 10 not" in capsys.readouterr().out
    assert [layer.name for layer in model.layers] == [
        "block",
        "block_1",
        "batch_normalization",
        "dense",
    ]
    model.trainable = False
    assert not model.trainable_weights
    model.blocks[0].trainable = True
    assert len(model.trainable_weights) == 3


def test_layers_of_ones_own_are_used_everywhere():
    class Scale(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
            self.count = self.add_weight((), "zeros", trainable=False, name="count")

        def call(self, inputs, training=None):
            if training:
                self.count.data[...] += 1
            return inputs * self.scale

    x = random(8, 4)
    a = Input((4,))
    for model in (
        Sequential([Input((4,)), Scale(), layers.Dense(1)]),
        Sequential([layers.Dense(4), Scale(), layers.Dense(1)]),
        Model(a, layers.Dense(1)(Scale()(a))),
        Sequential([Sequential([Scale()]), layers.Dense(1)]),
    ):
        model.compile("sgd", "mse")
        model.fit(x, x[:, 0], batch_size=4, epochs=2, verbose=0)
        scale, count = next(
            w for w in (layer.get_weights() for layer in model.layers) if w and w[-1].shape == ()
        )
        assert not np.array_equal(scale, np.ones(4))
        assert count == 4
        model.predict(x)
        assert count == 4
        assert not any(module.training for module in model.module.modules())


def test_training_is_told_to_inner_layers():
    seen = []

    class Inner(layers.Layer):
        def call(self, inputs, training=None):
            seen.append(training)
            return inputs

    class Outer(Model):
        def __init__(self):
            super().__init__()
            self.inner = Inner()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            return self.dense(self.inner(inputs))

    model = Outer()
    model(random(2, 3))
    model(random(2, 3), training=True)
    model.compile("sgd", "mse")
    seen.clear()
    model.fit(random(2, 3), random(2), verbose=0)
    assert seen[-1] is True
    model.predict(random(2, 3))
    assert seen[-1] is False


def test_training_may_be_a_required_argument():
    class Needs(layers.Layer):
        def call(self, inputs, scale, training):
            return inputs * scale * (2 if training else 1)

    layer, x = Needs(), random(2, 3)
    assert_close(layer(x, 3.0).numpy(), x * 3, 1e-6)
    assert_close(layer(x, scale=3.0, training=True).numpy(), x * 6, 1e-6)
    assert_close(layer(x, 3.0, True).numpy(), x * 6, 1e-6)


def test_inputs_and_outputs_of_any_structure():
    class Join(Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs):
            y = self.dense(inputs["a"]) + self.dense(inputs["b"])
            return {"sum": y, "first": y[:, :1]}

    model = Join()
    x = {"a": random(6, 3), "b": random(6, 3, seed=1)}
    found = model.predict(x, batch_size=4)
    assert {name: y.shape for name, y in found.items()} == {"sum": (6, 2), "first": (6, 1)}
    model.compile("sgd", {"sum": "mse", "first": "mae"})
    history = model.fit(x, {"sum": random(6, 2), "first": random(6)}, verbose=0).history
    assert sorted(history) == ["first_loss", "loss", "sum_loss"]

    class Pair(Model):
        def __init__(self):
            super().__init__()
            self.rnn = layers.LSTM(3, return_sequences=True, return_state=True)

        def call(self, inputs):
            outputs, h, c = self.rnn(inputs)
            return outputs, [h, c]

    y, (h, c) = Pair().predict(random(5, 4, 2), batch_size=2)
    assert (y.shape, h.shape, c.shape) == ((5, 4, 3), (5, 3), (5, 3))


def test_a_subclass_in_a_graph_and_a_graph_in_a_subclass():
    inner = classifier(keras)
    x = Input((4,))
    y = inner(x)
    assert y.shape == (None, 3)
    model = Model(x, layers.Dense(2)(y))
    assert model.count_params() == inner.count_params() + 8

    class Functional(Model):
        """As programs write it that want both."""

        def __init__(self):
            x = Input((4,))
            super().__init__(inputs=x, outputs=layers.Dense(3)(x))

    both = Functional()
    assert both.output_shape == (None, 3)
    assert both(random(2, 4)).shape == (2, 3)

    class Doubled(Functional):
        def call(self, inputs, training=None):
            return super().call(inputs) * 2

    twice = Doubled()
    twice.set_weights(both.get_weights())
    numbers = random(2, 4)
    assert_close(twice(numbers).numpy(), both(numbers).numpy() * 2, 1e-6)
    assert_close(twice.predict(numbers), both.predict(numbers) * 2, 1e-6)
    twice.compile("sgd", "mse")
    before = twice.get_weights()[0]
    twice.fit(numbers, random(2, 3), verbose=0)
    assert not np.array_equal(twice.get_weights()[0], before)


def test_lengths_may_differ_from_call_to_call():
    class Reader(Model):
        def __init__(self):
            super().__init__()
            self.rnn = layers.GRU(3, return_sequences=True)
            self.out = layers.Dense(2, activation="softmax")

        def call(self, inputs):
            return self.out(self.rnn(inputs))

    model = Reader()
    model.compile("sgd", "sparse_categorical_crossentropy")
    for steps in (4, 6):
        model.fit(random(4, steps, 2), np.ones((4, steps), int), verbose=0)
        assert model.predict(random(3, steps, 2)).shape == (3, steps, 2)


class NoInit(layers.Layer):
    def __init__(self):
        pass


class Unknown(layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight((input_shape[1], 2))

    def call(self, inputs):
        return minidl.matmul(inputs, self.w)


class Foreign(Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)


MISTAKES = [
    (lambda: NoInit()(np.ones((2, 3))), r"super\(\).__init__\(\)"),
    (lambda: Model()(np.ones((2, 3))), "computes nothing"),
    (lambda: Unknown()(Input((None,))), "needs a known shape"),
    (lambda: Unknown()(), "needs an input"),
    (lambda: Unknown().add_weight((2,), regularizer="l2"), "regularizer"),
    (lambda: Unknown().add_weight((2,), initializer=lambda s, dtype=None: np.ones(3)), "gave"),
    (lambda: classifier(keras).output, "not known before it is called"),
    (lambda: classifier(keras).count_params(), "no weights"),
    (lambda: Model(1), "needs inputs and outputs"),
    (lambda: Foreign(nn.Linear(3, 2))(np.ones((2, 3))), "inner is a Linear of minidl.nn"),
    (lambda: Foreign([nn.Parameter([1.0])])(np.ones((2, 3))), "inner.0 is a Par.*add_weight"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_mistakes_are_named(mistake, message):
    with pytest.raises(MinidlError, match=message):
        mistake()
