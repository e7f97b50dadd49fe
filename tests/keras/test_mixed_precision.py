"""The policy "mixed_float16": dtypes, values and training beside those of Keras."""

import copy

import numpy as np
import pytest

import minidl
from minidl import keras, ops, optim
from minidl.errors import ArgumentError, MinidlError
from minidl.keras import layers, mixed_precision, optimizers
from tests.keras.twins import keras_is_quiet, numpy, random, theirs, varied

pytestmark = keras_is_quiet

VECTORS, SEQUENCES, IMAGES = random(4, 6), random(4, 5, 6), random(2, 8, 8, 3)
IDS = np.array([[1, 2, 0], [3, 1, 1]])


@pytest.fixture(autouse=True)
def mixed():
    """Layers are created in mixed precision, in both libraries."""
    for library in (theirs, keras):
        library.mixed_precision.set_global_policy("mixed_float16")
    yield
    for library in (theirs, keras):
        library.mixed_precision.set_global_policy("float32")


# Layers.  What a function of the layers of either library makes, and its inputs.
LAYERS = {
    "dense": (lambda L: L.Dense(3, activation="relu"), VECTORS),
    "softmax at its end": (lambda L: L.Dense(3, activation="softmax"), VECTORS),
    "dense in float32": (lambda L: L.Dense(3, dtype="float32"), VECTORS),
    "softmax": (lambda L: L.Softmax(), VECTORS),
    "softmax in float32": (lambda L: L.Activation("softmax", dtype="float32"), VECTORS),
    "convolution": (lambda L: L.Conv2D(4, 3, activation="relu"), IMAGES),
    "max pooling": (lambda L: L.MaxPooling2D(), IMAGES),
    "average pooling": (lambda L: L.AveragePooling2D(2), IMAGES),
    "global pooling": (lambda L: L.GlobalAveragePooling2D(), IMAGES),
    "batch norm": (lambda L: L.BatchNormalization(), IMAGES),
    "layer norm": (lambda L: L.LayerNormalization(), VECTORS),
    "flatten": (lambda L: L.Flatten(), IMAGES),
    "elu": (lambda L: L.ELU(), VECTORS),
    "embedding": (lambda L: L.Embedding(5, 3), IDS),
    "lstm": (lambda L: L.LSTM(3), SEQUENCES),
    "gru": (lambda L: L.GRU(3, return_sequences=True), SEQUENCES),
    "rnn": (lambda L: L.SimpleRNN(3), SEQUENCES),
    "lstm in float32": (lambda L: L.LSTM(3, dtype="float32"), SEQUENCES),
    "bidirectional": (lambda L: L.Bidirectional(L.LSTM(3)), SEQUENCES),
    "for each step": (lambda L: L.TimeDistributed(L.Dense(3)), SEQUENCES),
    "each step in float32": (lambda L: L.TimeDistributed(L.Dense(3, dtype="float32")), SEQUENCES),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_the_dtypes_and_values_of_keras_s(name):
    make, x = LAYERS[name]
    other, mine = make(theirs.layers), make(layers)
    other(x)
    mine(x)
    varied(other)
    mine.set_weights([np.abs(w) for w in other.get_weights()])
    other.set_weights(mine.get_weights())
    needed, found = other(x), mine(x)
    assert str(found.dtype) == str(needed.dtype).removeprefix("torch.")
    expected = needed.detach().float().numpy()
    np.testing.assert_allclose(found.numpy().astype("f4"), expected, rtol=4e-3, atol=4e-3)
    assert [str(w.dtype) for w in mine.weights] == [str(w.dtype) for w in other.weights]
    assert mine.variable_dtype == mine.dtype == other.variable_dtype
    assert mine.compute_dtype == other.compute_dtype
    assert mine.dtype_policy.name == other.dtype_policy.name
    symbolic = [lib.layers.Input(x.shape[1:], dtype=x.dtype.name) for lib in (theirs, keras)]
    assert make(layers)(symbolic[1]).dtype == make(theirs.layers)(symbolic[0]).dtype


def test_attention_and_its_weights():
    other, mine = theirs.layers.MultiHeadAttention(2, 3), layers.MultiHeadAttention(2, 3)
    other(SEQUENCES, SEQUENCES)
    mine(SEQUENCES, SEQUENCES)
    varied(other)
    mine.set_weights(other.get_weights())
    settings = {"return_attention_scores": True}
    needed = other(SEQUENCES, SEQUENCES, **settings)
    found = mine(SEQUENCES, SEQUENCES, **settings)
    for a, b in zip(found, needed, strict=True):
        assert a.dtype == "float16"
        np.testing.assert_allclose(a.numpy(), b.detach().float().numpy(), rtol=1e-2, atol=1e-2)
    assert mine(SEQUENCES, SEQUENCES).dtype == "float16"


def test_merging_dropout_and_inputs_of_other_dtypes():
    x = VECTORS.astype("float64")
    for lib, L in ((theirs, theirs.layers), (keras, layers)):
        names = [
            str(L.Add()([x, VECTORS]).dtype),
            str(L.Concatenate()([VECTORS, VECTORS]).dtype),
            str(L.Dropout(0.5)(x, training=True).dtype),
            str(L.Dense(2)(x).dtype),
            str(L.Dense(2, dtype="float64")(VECTORS).dtype),
            str(lib.Input((3,)).dtype),
        ]
        found = [name.removeprefix("torch.") for name in names]
        assert found == ["float16"] * 4 + ["float64", "float32"]


class Scale(layers.Layer):
    """A layer of a user's own."""

    def build(self, shape):
        self.scale = self.add_weight((shape[-1],), "ones", name="scale")

    def call(self, inputs):
        self.seen = str(inputs.dtype)
        return ops.matmul(inputs, minidl.ones((6, 6))) * self.scale


class Outer(layers.Layer):
    """A layer with others inside, of which one has a precision of its own."""

    def __init__(self, **common):
        super().__init__(**common)
        self.inner, self.last = layers.Dense(6), layers.Dense(2, dtype="float32")

    def call(self, inputs):
        y = self.inner(inputs)
        self.seen = str(y.dtype), minidl.amp.is_autocast_enabled("cpu")
        return self.last(y)


def test_layers_of_one_s_own():
    scale, outer = Scale(), Outer()
    assert (scale(VECTORS).dtype, scale.seen, scale.weights[0].dtype) == (
        *("float16", "float16"),
        "float32",
    )
    assert (outer(VECTORS).dtype, outer.seen) == ("float32", ("float16", True))
    plain = Scale(dtype="float32")
    assert (plain(VECTORS).dtype, plain.seen) == ("float32", "float32")
    x = keras.Input((6,))
    assert (Scale()(x).dtype, Outer()(x).dtype) == ("float16", "float32")
    assert not minidl.amp.is_autocast_enabled("cpu")


def test_products_of_layers_in_float32_stay_float32():
    x = VECTORS * 1000
    outer = Outer()
    outer(x)
    wide = outer.inner(x).numpy().astype("float32") @ outer.last.get_weights()[0]
    np.testing.assert_allclose(outer(x).numpy(), wide + outer.last.get_weights()[1], rtol=1e-5)


# Models.


def classifier(lib, *, head_dtype=None):
    L = lib.layers
    return lib.Sequential(
        [
            L.Input((8, 8, 3)),
            L.Conv2D(6, 3, activation="relu"),
            L.BatchNormalization(),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(8, activation="relu"),
            L.Dense(3),
            L.Activation("softmax", dtype=head_dtype),
        ]
    )


def pictures(n=48):
    y = np.arange(n) % 3
    x = random(n, 8, 8, 3) / 4
    x[np.arange(n), :, :, y] += 1
    return x, y


@pytest.mark.parametrize("scale", [2.0**10, 2.0**15, 2.0**18])
def test_training_is_that_of_keras(scale):
    x, y = pictures()
    other, mine = (classifier(lib, head_dtype="float32") for lib in (theirs, keras))
    mine.set_weights(other.get_weights())
    histories = []
    for lib, model in ((theirs, other), (keras, mine)):
        inner = lib.optimizers.Adam(0.01, global_clipnorm=5.0)
        optimizer = lib.optimizers.LossScaleOptimizer(inner, scale, dynamic_growth_steps=4)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        fitted = model.fit(
            x, y, epochs=3, batch_size=16, shuffle=False, validation_data=(x, y), verbose=0
        )
        histories.append(fitted.history)
    assert histories[0].keys() == histories[1].keys()
    np.testing.assert_allclose(histories[1]["loss"], histories[0]["loss"], rtol=0.03)
    np.testing.assert_allclose(histories[1]["val_loss"], histories[0]["val_loss"], rtol=0.05)
    assert mine.optimizer.dynamic_scale == float(other.optimizer.dynamic_scale)
    assert mine.predict(x, verbose=0).dtype == other.predict(x, verbose=0).dtype == "float32"
    steps = {own["step"] for own in mine.optimizer.of(mine.module).state.values()}
    assert steps == {int(other.optimizer.iterations)}


def test_the_loss_of_a_softmax_in_float16_is_of_its_logits():
    x, y = pictures()
    losses = []
    mine = classifier(keras)
    for head_dtype in (None, "float32"):
        model = classifier(keras, head_dtype=head_dtype)
        model.set_weights(mine.get_weights())
        model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
        losses.append(model.fit(x, y, epochs=3, shuffle=False, verbose=0).history)
        dtype = model.predict(x, verbose=0).dtype
        assert dtype == (head_dtype or "float16")
    assert losses[0] == losses[1]


@pytest.mark.parametrize("make", [lambda m: m, lambda m: Wrapped(m)], ids=["graph", "subclass"])
def test_it_learns_as_well_as_in_float32(make):
    x, y = pictures(96)
    found = []
    for policy in ("float32", "mixed_float16"):
        mixed_precision.set_global_policy(policy)
        minidl.manual_seed(0)
        model = make(classifier(keras))
        model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
        model.fit(x, y, epochs=8, batch_size=16, verbose=0)
        found.append(model.evaluate(x, y, verbose=0)[1])
        assert all(w.dtype == "float32" for w in model.weights)
    assert min(found) > 0.95


class Wrapped(keras.Model):
    """A subclass that calls another model."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)


def test_who_scales():
    x, y = pictures()
    model = classifier(keras)
    model.compile("adam", "sparse_categorical_crossentropy")
    assert isinstance(model.optimizer, mixed_precision.LossScaleOptimizer)
    assert isinstance(model.optimizer.inner_optimizer, optimizers.Adam)
    assert model.optimizer.name == "loss_scale_optimizer"
    model.compile(optim.SGD(model.module.parameters(), lr=0.1), "sparse_categorical_crossentropy")
    assert model.optimizer.learning_rate == 0.1
    model.optimizer.learning_rate = 0.05
    assert model.fit(x, y, verbose=0)["loss"][0] > 0
    assert model.optimizer.inner_optimizer.param_groups[0]["lr"] == 0.05
    model.compile("adam", "sparse_categorical_crossentropy", auto_scale_loss=False)
    assert isinstance(model.optimizer, optimizers.Adam)
    assert model.fit(x, y, verbose=0)["loss"][0] > 0
    mixed_precision.set_global_policy("float32")
    model = classifier(keras)
    model.compile("adam", "sparse_categorical_crossentropy")
    assert isinstance(model.optimizer, optimizers.Adam)


def test_a_second_fit_goes_on_with_the_scale():
    x, y = pictures()
    model = classifier(keras)
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.01), 8.0, dynamic_growth_steps=3)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    scales = []
    for _ in range(2):
        model.fit(x, y, batch_size=16, verbose=0)
        scales.append(optimizer.dynamic_scale)
    assert scales == [16, 32]


def test_weights_have_the_same_names_in_any_precision(tmp_path):
    mine = classifier(keras)
    mixed_precision.set_global_policy("float32")
    plain = classifier(keras)
    mine.save_weights(tmp_path / "weights.safetensors")
    plain.load_weights(tmp_path / "weights.safetensors")
    for a, b in zip(numpy(mine.get_weights()), numpy(plain.get_weights()), strict=True):
        np.testing.assert_array_equal(a, b)
    x, _ = pictures(4)
    np.testing.assert_allclose(mine.predict(x), plain.predict(x), rtol=1e-2, atol=1e-2)


def test_a_model_inside_of_another_keeps_its_precisions():
    inner = classifier(keras, head_dtype="float32")
    x = keras.Input((8, 8, 3))
    outer = keras.Model(x, inner(layers.ReLU()(x)))
    assert outer.output.dtype == "float32"
    pixels, _ = pictures(4)
    assert outer.predict(pixels).dtype == "float32"
    np.testing.assert_array_equal(outer.predict(pixels), inner.predict(np.maximum(pixels, 0)))
    copied = copy.deepcopy(inner)
    np.testing.assert_array_equal(copied.predict(pixels), inner.predict(pixels))
    copied.set_weights([0 * w for w in copied.get_weights()])
    np.testing.assert_allclose(copied.predict(pixels), 1 / 3, rtol=1e-6)


def test_masks_go_through():
    model = keras.Sequential(
        [layers.Input((None,)), layers.Embedding(5, 3, mask_zero=True), layers.LSTM(4)]
    )
    padded, short = np.array([[1, 2, 0, 0]]), np.array([[1, 2]])
    np.testing.assert_array_equal(model(padded).numpy(), model(short).numpy())
    assert model(padded).dtype == "float16"


# Policies.


def test_policies_are_those_of_keras():
    for name in ("float32", "float16", "float64", "mixed_float16", "int32"):
        ours, other = mixed_precision.Policy(name), theirs.mixed_precision.DTypePolicy(name)
        for attribute in ("name", "compute_dtype", "variable_dtype"):
            assert getattr(ours, attribute) == getattr(other, attribute)
        assert repr(ours) == repr(other)
    assert mixed_precision.DTypePolicy() == mixed_precision.global_policy()
    assert mixed_precision.dtype_policy() == keras.DTypePolicy("mixed_float16")
    assert mixed_precision.Policy("float32") != mixed_precision.Policy("float64")
    assert len({keras.DTypePolicy("float32"), keras.DTypePolicy("float32")}) == 1
    layer = layers.Dense(2, dtype=mixed_precision.Policy("float64"))
    assert layer(VECTORS).dtype == layer.weights[0].dtype == "float64"
    layer = layers.Dense(2, dtype=np.float64)
    assert layer.dtype == "float64"


def test_what_cannot_be():
    with pytest.raises(ArgumentError, match="mixed_float16"):
        mixed_precision.set_global_policy("mixed_bfloat16")
    for bad in ("mixed", "bfloat16", 16, []):
        with pytest.raises(MinidlError, match="DTypePolicy"):
            mixed_precision.set_global_policy(bad)
        with pytest.raises(MinidlError, match="DTypePolicy"):
            layers.Dense(2, dtype=bad)
    assert mixed_precision.global_policy().name == "mixed_float16"
    inner = optimizers.SGD()
    for settings in ({"initial_scale": 0}, {"dynamic_growth_steps": 0}, {"clipvalue": 1.0}):
        with pytest.raises(ArgumentError, match=next(iter(settings))):
            optimizers.LossScaleOptimizer(inner, **settings)
    for bad in ("sgd", optimizers.LossScaleOptimizer(inner)):
        with pytest.raises(ArgumentError, match="LossScaleOptimizer: needs an optimizer"):
            optimizers.LossScaleOptimizer(bad)
    assert "SGD" in repr(optimizers.LossScaleOptimizer(inner))
