"""Masks: where they come from, which layers keep them, and that losses leave padding out."""

import numpy as np
import pytest

import minidl
from minidl import keras
from minidl.errors import ArgumentError
from minidl.keras import Input, Model, Sequential, layers, optimizers
from minidl.keras.masking import masked
from tests.helpers import assert_all_close, assert_close, told
from tests.keras.twins import keras_is_quiet, random, theirs, varied

pytestmark = keras_is_quiet

IDS = np.random.default_rng(0).integers(1, 9, (22, 6))
IDS[np.arange(6) >= np.random.default_rng(1).integers(1, 7, 22)[:, None]] = 0


def text_classifier(k):
    return k.Sequential(
        [
            k.Input((None,)),
            k.layers.Embedding(9, 5, mask_zero=True),
            k.layers.Dropout(0.0),
            k.layers.LSTM(4),
            k.layers.Dense(3, activation="softmax"),
        ]
    )


def tagger(k):
    """A class for each step, of a graph."""
    ids = k.Input((None,))
    x = k.layers.Embedding(9, 5, mask_zero=True)(ids)
    x = k.layers.Bidirectional(k.layers.GRU(3, return_sequences=True))(x)
    x = k.layers.LayerNormalization()(x)
    x = k.layers.Dense(6, activation="relu")(x)
    return k.Model(ids, k.layers.Dense(3, activation="softmax")(x))


def regressor(k):
    ids = k.Input((6,))
    x = k.layers.Embedding(9, 4, mask_zero=True)(ids)
    other = k.layers.Embedding(9, 4, mask_zero=True)(ids)
    x = k.layers.Add()([x, k.layers.SimpleRNN(4, return_sequences=True)(other)])
    return k.Model(ids, k.layers.TimeDistributed(k.layers.Dense(2))(x))


def attention_classifier(k):
    ids = k.Input((6,))
    x = k.layers.Embedding(9, 8, mask_zero=True)(ids)
    y = k.layers.MultiHeadAttention(2, 4)(x, x)
    x = k.layers.LayerNormalization()(k.layers.Add()([x, y]))
    y = k.layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    x = k.layers.LayerNormalization()(k.layers.Add()([x, y]))
    x = k.layers.GlobalAveragePooling1D()(x)
    return k.Model(ids, k.layers.Dense(3, activation="softmax")(x))


def normalised(k):
    """Batch norm whose mask goes on, whose mask ends later, and that gets none."""
    ids = k.Input((6,))
    x = k.layers.Embedding(9, 4, mask_zero=True)(ids)
    x = k.layers.Dense(5)(k.layers.BatchNormalization()(x))
    y = k.layers.BatchNormalization()(k.layers.LSTM(4, return_sequences=True)(x))
    z = k.layers.Flatten()(k.layers.BatchNormalization()(x))
    z = k.layers.BatchNormalization()(k.layers.Dense(3)(z))
    return k.Model(ids, k.layers.concatenate([k.layers.GRU(3)(y), z]))


CASES = {
    "attention_classifier": (
        attention_classifier,
        "sparse_categorical_crossentropy",
        lambda: np.arange(22) % 3,
    ),
    "text_classifier": (
        text_classifier,
        "sparse_categorical_crossentropy",
        lambda: np.arange(22) % 3,
    ),
    "tagger": (tagger, "sparse_categorical_crossentropy", lambda: IDS % 3),
    "tagger with one-hot targets": (
        tagger,
        "categorical_crossentropy",
        lambda: np.eye(3, dtype="float32")[IDS % 3],
    ),
    "normalised": (normalised, "mse", lambda: random(22, 6)),
    "normalised steps": (
        lambda k: k.Sequential(
            [
                k.Input((6,)),
                k.layers.Embedding(9, 4, mask_zero=True),
                k.layers.BatchNormalization(),
                k.layers.Dense(3, activation="softmax"),
            ]
        ),
        "sparse_categorical_crossentropy",
        lambda: IDS % 3,
    ),
    "regressor": (regressor, "mse", lambda: random(22, 6, 2)),
}


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # Flatten; both say so
@pytest.mark.parametrize("name", CASES)
def test_training_with_masks_is_kerass(name):
    """Step by step: losses and metrics leave padding out, and so do the gradients."""
    make, loss, targets = CASES[name]
    mine, keras_model = make(keras), make(theirs)
    keras_model(IDS)
    varied(keras_model)
    mine.set_weights(keras_model.get_weights())
    metrics = ["mae"] if loss == "mse" else ["accuracy"]
    mine.compile(optimizers.SGD(0.1), loss, metrics=metrics)
    keras_model.compile(theirs.optimizers.SGD(0.1), loss, metrics=metrics)
    y = targets()
    for _ in range(3):
        history = mine.fit(IDS, y, batch_size=8, shuffle=False, verbose=0).history
        needed = keras_model.fit(IDS, y, batch_size=8, shuffle=False, verbose=0).history
        np.testing.assert_allclose(history["loss"], needed["loss"], rtol=2e-5)
        assert_all_close(mine.get_weights(), keras_model.get_weights(), 2e-5)
    assert_close(mine.predict(IDS), keras_model.predict(IDS, verbose=0), 1e-5)
    found = mine.evaluate(IDS, y, batch_size=8)
    np.testing.assert_allclose(found[0], keras_model.evaluate(IDS, y, 8, verbose=0)[0], rtol=2e-5)


def test_padding_counts_in_no_loss_and_in_no_metric():
    ids = Input((3,))
    x = layers.Embedding(3, 1, mask_zero=True, embeddings_initializer="ones")(ids)
    model = Model(ids, layers.Dense(1, use_bias=False, kernel_initializer="ones")(x))
    model.compile(optimizers.SGD(0.0), "mse", metrics=["mae"])
    x, y = np.array([[1, 2, 0], [1, 0, 0]]), np.array([[3.0, 1.0, 99.0], [0.0, 99.0, 99.0]])
    loss, mae = model.evaluate(x, y[..., None])
    assert loss == pytest.approx((4 + 0 + 1) / 3)
    assert mae == pytest.approx((2 + 0 + 1) / 3)
    assert model.evaluate(x * 0, y[..., None])[0] == 0  # nothing but padding
    history = model.fit(x, y[..., None], validation_data=(x, y[..., None]), verbose=0).history
    assert history["val_loss"] == history["loss"] == [pytest.approx(5 / 3)]


def test_batch_norm_does_not_see_what_is_masked():
    x, there = random(4, 5, 3), np.arange(5) < np.array([5, 2, 3, 1])[:, None]
    found = []
    for padding in (0, np.nan):
        norm = layers.BatchNormalization()
        given = minidl.tensor(np.where(there[..., None], x, padding), requires_grad=True)
        y = norm(masked(given, there), training=True)
        np.testing.assert_array_equal(y.mask.numpy(), there)
        (y[minidl.tensor(there)] ** 3).sum().backward()
        gradients = [p.grad.numpy() for p in norm.module.parameters()]
        found.append([y.numpy()[there], given.grad.numpy(), *gradients, *norm.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    counted = x[there]
    assert_close(found[0][0], (counted - counted.mean(0)) / np.sqrt(counted.var(0) + 1e-3), 1e-5)
    passed = layers.BatchNormalization()(x, mask=there, training=True)
    assert not hasattr(passed, "mask")
    assert_close(passed.numpy()[there], found[0][0], 0)
    empty = layers.BatchNormalization()(masked(minidl.tensor(x), there & False), training=True)
    assert np.isfinite(empty.numpy()).all()


def test_where_masks_come_from_and_go():
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    there = ids != 0
    x = layers.Embedding(4, 5, mask_zero=True)(ids)
    np.testing.assert_array_equal(x.mask.numpy(), there)
    keep = [
        layers.Dropout(0.5),
        layers.Activation("relu"),
        layers.Dense(3, "softmax"),
        layers.LayerNormalization(),
        layers.BatchNormalization(),
        layers.LSTM(3, return_sequences=True),
        layers.TimeDistributed(layers.Dense(2)),
        layers.ReLU(),
        layers.Softmax(),
        layers.Lambda(lambda x: x + 1, mask=lambda inputs, mask: mask),
        Sequential([layers.Dense(3), layers.Activation("tanh")]),
        Sequential([layers.GRU(3, return_sequences=True), layers.Dense(2)]),
    ]
    for layer in keep:
        np.testing.assert_array_equal(layer(x).mask.numpy(), there)
    for layer in (layers.LSTM(3), layers.GlobalAveragePooling1D()):
        assert not hasattr(layer(x), "mask")
    for layer in (layers.Flatten(), layers.Reshape((15,)), layers.GlobalMaxPooling1D()):
        with told("does not support masking"):
            assert not hasattr(layer(x), "mask")
    assert not hasattr(layers.Embedding(4, 5)(ids), "mask")
    assert not hasattr(x + 1, "mask")


def test_a_mask_that_a_chain_loses_is_told():
    model = Sequential([layers.Embedding(4, 5, mask_zero=True), layers.Dense(3), layers.Flatten()])
    with told(r"flatten \(Flatten\) does not support masking"):
        model(np.array([[1, 0]]))


def test_masking_is_kerass():
    x = np.array([[[1, 0], [0, 0], [9, 9]], [[0, 0], [9, 0], [9, 9]]], "float32")
    for value in (0.0, 9.0):
        mine, keras_layer = (k.layers.Masking(value) for k in (keras, theirs))
        y, needed = mine(x), keras_layer(x)
        np.testing.assert_array_equal(y.numpy(), needed.numpy())
        np.testing.assert_array_equal(y.mask.numpy(), needed._keras_mask.numpy())


def test_the_mean_over_time_leaves_padding_out():
    x = random(3, 4, 2)
    mask = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]], bool)
    for keepdims in (False, True):
        pair = [k.layers.GlobalAveragePooling1D(keepdims=keepdims) for k in (keras, theirs)]
        assert_close(pair[0](x).numpy(), pair[1](x).numpy(), 1e-6)
        y, needed = pair[0](x, mask=mask).numpy(), pair[1](x, mask=mask).numpy()
        assert_close(y[:2], needed[:2], 1e-6)
        assert not y[2].any()
    np.testing.assert_array_equal(layers.GlobalMaxPooling1D()(x).numpy(), x.max(axis=1))
    bad = np.where(mask[..., None], x, np.nan)
    assert not np.isnan(layers.GlobalAveragePooling1D()(bad, mask=mask).numpy()).any()


MERGES = ["Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]


@pytest.mark.parametrize("kind", MERGES)
@pytest.mark.parametrize("both", [False, True])
def test_merges_of_masked_inputs_are_kerass(kind, both):
    a, b = random(2, 3, 2), random(2, 3, 2, seed=1)
    a[0, 1:] = b[0, 2:] = b[1, 0] = 0
    results = []
    for k in (keras, theirs):
        x, y = k.layers.Masking()(a), k.layers.Masking()(b)
        y = y if both else k.layers.Activation("linear")(b)
        found = getattr(k.layers, kind)()([x, y])
        mask = getattr(found, "mask" if k is keras else "_keras_mask", None)
        results.append((found.numpy(), None if mask is None else mask.numpy()))
    (mine, own), (needed, expected) = results
    assert_close(mine, needed, 1e-6)
    assert (own is None) == (expected is None)
    if own is not None:
        np.testing.assert_array_equal(own, expected)


def test_the_softmax_of_some_elements():
    x, mask = random(3, 4), np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
    y = layers.Softmax()(x, mask=mask).numpy()
    assert_close(y[:2], theirs.layers.Softmax()(x, mask=mask).numpy()[:2], 1e-6)
    assert not y[2].any()
    a, m = Input((4,)), Input((4,), dtype="bool")
    assert_close(Model([a, m], layers.Softmax()(a, mask=m))([x, mask]).numpy(), y, 0)
    with pytest.raises(ArgumentError, match="takes no mask"):
        layers.Dense(2)(x, mask=mask)


def test_masks_may_be_computed_and_passed():
    ids = Input((4,))
    embedding = layers.Embedding(5, 3, mask_zero=True)
    x = embedding(ids)
    mask = embedding.compute_mask(ids)
    y = layers.LSTM(2)(layers.Lambda(lambda x: x * 1)(x), mask=mask)
    z = layers.LSTM(2)
    model = Model(ids, [y, z(x)])
    z.set_weights(model.layers[-2].get_weights())
    numbers = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    with told("does not support masking"):
        one, other = model(numbers)
    assert_close(one.numpy(), other.numpy(), 1e-6)


def test_states_do_not_lose_the_mask():
    """A decoder: masked inputs and an initial state.  (Keras 3 forgets the mask here.)"""
    ids, h, c = np.array([[1, 2, 0, 0]]), np.ones((1, 3)), np.ones((1, 3))
    x = layers.Embedding(4, 5, mask_zero=True)(ids)
    layer = layers.LSTM(3)
    short = minidl.asarray(x.numpy()[:, :2])
    expected = layer(short, initial_state=[h, c]).numpy()
    assert_close(layer(x, initial_state=[h, c]).numpy(), expected, 1e-6)
    a, b, given = Input((4,)), [Input((3,)), Input((3,))], [h, c]
    model = Model([a, *b], layer(layers.Embedding(4, 5, mask_zero=True)(a), initial_state=b))
    model.layers[1].set_weights([np.zeros((4, 5))])
    assert model([ids, *given]).shape == (1, 3)
