"""Arguments of the methods of models: in which order, and what is said about those not offered."""

import pickle
from copy import deepcopy

import numpy as np
import pytest

from minidl import keras
from minidl.data import DataLoader
from minidl.errors import ArgumentError, MinidlError
from tests.keras.twins import keras_is_quiet, random, theirs

pytestmark = keras_is_quiet


def three_outputs(k):
    x = k.Input((4,), name="x")
    outputs = {name: k.layers.Dense(2, "tanh")(x) for name in ("z", "a", "m")}
    return k.Model(x, outputs)


@pytest.mark.parametrize("order", ["zam", "maz"])
@pytest.mark.parametrize("loss", ["by name", "listed", "shared"])
def test_evaluate_lists_losses_in_kerass_order(order, loss):
    losses = {"by name": dict.fromkeys(order, "mse"), "listed": ["mse"] * 3, "shared": "mse"}
    x, y = random(5, 4), {name: random(5, 2, seed=i) for i, name in enumerate("zam")}
    mine, keras_model = three_outputs(keras), three_outputs(theirs)
    mine.set_weights(keras_model.get_weights())
    for model in (mine, keras_model):
        model.compile("sgd", losses[loss], metrics={name: ["mae"] for name in order})
    needed = keras_model.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(mine.evaluate(x, y), needed, rtol=2e-5)


def difference(k, names):
    x = {name: k.Input((4,), name=name) for name in names}
    y = k.layers.Subtract()([x["z"], x["a"]])
    return k.Model(x, k.layers.Dense(1, kernel_initializer="ones")(y))


def test_a_list_for_inputs_that_have_names_needs_their_order():
    """Values are matched with sorted names: of other orders Keras raises as well."""
    a, z = random(3, 4), random(3, 4, seed=1)
    needed = (z - a).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(difference(keras, "az").predict([a, z]), needed, rtol=1e-5)
    mine, keras_model = difference(keras, "za"), difference(theirs, "za")
    np.testing.assert_allclose(mine.predict({"z": z, "a": a}), needed, rtol=1e-5)
    np.testing.assert_allclose(mine({"a": a, "z": z}).numpy(), needed, rtol=1e-5)
    mine.compile("sgd", "mse")
    assert mine.evaluate({"z": z, "a": a}, needed) < 1e-6
    for call in (mine, mine.predict):
        with pytest.raises(ArgumentError, match=r"\['z', 'a'\].*a dict of them"):
            call([z, a])
    with pytest.raises(ValueError, match="structure"):
        keras_model.predict([z, a], verbose=0)


def made():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


X, Y = random(6, 4), random(6, 1)
MISTAKES = [
    (lambda: made().fit(X, Y, validation_freq=2), "fit: validation_freq of Keras is not offered"),
    (lambda: made().predict(X, steps=1), "predict: steps of Keras is not offered"),
    (lambda: made().evaluate(X, Y, sample_weight=Y), "evaluate: sample_weight of Keras"),
    (lambda: made().train_on_batch(X, Y, class_weight={0: 1}), "train_on_batch: class_weight of"),
    (lambda: made().test_on_batch(X, Y, sample_weight=Y), "test_on_batch: sample_weight of Keras"),
    (lambda: made().predict(X, stepz=1), "has no argument 'stepz'"),
    (lambda: made().fit(DataLoader([(X[0], Y[0])], 1)), "got DataLoader.*train_on_batch"),
    (lambda: made().fit(iter([(X, Y)])), "iterator.*train_on_batch"),
]


class WithStep(keras.Model):
    def train_step(self, data):
        raise AssertionError("not called")


class WithLayersInCall(keras.Model):
    def call(self, inputs):
        return keras.layers.Dense(1)(inputs)


def fitted(model):
    model.compile("sgd", "mse")
    return model.fit(X, Y)


def frozen():
    model = made()
    model.trainable = False
    return model


MISTAKES += [
    (lambda: fitted(WithStep()), "WithStep defines train_step, which fit .* does not call"),
    (lambda: fitted(WithLayersInCall()), "fit: .*no weights to train; its layers are attributes"),
    (lambda: fitted(frozen()), "no weights to train: trainable is False"),
    (lambda: frozen().train_on_batch(X, Y), "train_on_batch: .*trainable is False"),
    (lambda: made().get_layer(index=1), "get_layer: .* has 1 layers; got 1"),
    (lambda: keras.layers.Dense(1)(X, X), r"dense \(Dense\): takes inputs; got 2 arguments"),
    (lambda: keras.layers.Dense(1)(keras.Input((4,)), X), "got 2 arguments"),
    (lambda: keras.layers.MultiHeadAttention(1, 2)(random(2, 3, 4)), "its call needs value, too"),
    (lambda: keras.layers.Embedding(4, 2, weights=np.ones((4, 3)))(X > 0), "broadcast"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_what_is_not_offered_is_said(mistake, message):
    with pytest.raises(MinidlError, match=message):
        mistake()


def test_arguments_that_are_not_offered_may_be_none():
    model = made()
    assert model.predict(X, steps=None, callbacks=None).shape == (6, 1)
    assert model.evaluate(X, Y, sample_weight=None) == model.test_on_batch(X, Y, sample_weight=None)


def test_an_input_may_have_the_shape_of_a_batch():
    for shape in ((6, None, 4), (None, 5, 4), [2, 3]):
        needed = theirs.Input(batch_shape=shape).shape
        assert keras.Input(batch_shape=shape).shape == needed
        assert keras.layers.InputLayer(batch_shape=shape).nodes[0].outputs[0].shape == needed
    for wrong in ({}, {"shape": (2,), "batch_shape": (1, 2)}, {"batch_shape": ()}):
        with pytest.raises(ArgumentError, match="Input: "):
            keras.Input(**wrong)


METRICS = [
    "Accuracy",
    "AUC",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
]


@pytest.mark.parametrize("kind", METRICS)
def test_metrics_have_kerass_names_and_others_if_told(kind):
    mine, other = getattr(keras.metrics, kind), getattr(theirs.metrics, kind)
    name = other().name
    assert mine().name == name.rstrip("_0123456789")  # Keras numbers those of one process
    assert mine(name="own").name == other(name="own").name == "own"
    with pytest.raises(ArgumentError, match="a name is a str; got 3"):
        mine(name=3)


def test_metrics_of_several_outputs_are_told_apart_by_name():
    def compiled(k):
        x = k.Input((4,))
        kind = k.layers.Dense(5, "softmax", name="kind")(x)
        is_new = k.layers.Dense(1, "sigmoid", name="new")(x)
        model = k.Model(x, [kind, is_new])
        m = k.metrics
        model.compile(
            k.optimizers.SGD(0.0),
            {"kind": "sparse_categorical_crossentropy", "new": "binary_crossentropy"},
            metrics={
                "kind": [m.SparseCategoricalAccuracy(), m.SparseTopKCategoricalAccuracy(k=2)],
                "new": [m.BinaryAccuracy(name="a"), m.BinaryAccuracy(threshold=0.7, name="b")],
            },
        )
        return model

    mine, keras_model = compiled(keras), compiled(theirs)
    mine.set_weights(keras_model.get_weights())
    y = {"kind": np.arange(22) % 5, "new": np.arange(22) % 2}
    found = mine.fit(random(22, 4), list(y.values()), verbose=0).history
    needed = keras_model.fit(random(22, 4), list(y.values()), verbose=0).history
    assert sorted(found) == sorted(needed)
    for name, values in needed.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-5, err_msg=name)


def test_a_frozen_model_is_evaluated():
    model = frozen()
    assert model.evaluate(X, Y) == made_alike(model).evaluate(X, Y)


def made_alike(model):
    other = made()
    other.set_weights(model.get_weights())
    return other


def test_embeddings_may_have_been_trained_elsewhere():
    table, ids = random(5, 3), np.array([[1, 4, 0]])
    for k in (keras, theirs):
        constant = k.initializers.Constant(table)
        for settings in (
            {"embeddings_initializer": constant},
            {"weights": [table]},
            {"weights": table},
        ):
            layer = k.layers.Embedding(5, 3, trainable=False, **settings)
            np.testing.assert_array_equal(np.asarray(layer(ids)), table[ids])
    mine = keras.layers.Embedding(5, 3, weights=table)
    mine(ids)
    mine.set_weights([table * 2])
    np.testing.assert_array_equal(table, random(5, 3))


def test_symbolic_tensors_may_be_on_the_right():
    def made_with(k):
        x, matrix = k.Input((3,)), random(2, 3)
        outputs = [2.0**x, 7.0 % x, 7.0 // x, matrix @ k.layers.Reshape((3, 1))(x)]
        return k.Model(x, outputs)

    x = np.abs(random(4, 3)) + 0.5
    found = made_with(keras).predict(x)
    needed = [2**x, 7 % x, 7 // x, random(2, 3) @ x[..., None]]
    for one, other in zip(found, needed, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5)


def test_a_trained_model_is_copied():
    x = keras.Input((4,))
    y = keras.layers.RepeatVector(2)(keras.layers.Reshape((2, 2))(x)[:, 0])
    y = keras.layers.Flatten()(keras.layers.Permute((2, 1))(y))
    model = keras.Model(x, keras.layers.Dense(1)(y) + keras.layers.Dense(1)(x))
    fitted(model)
    for copied in (pickle.loads(pickle.dumps(model)), deepcopy(model)):
        np.testing.assert_array_equal(copied.predict(X), model.predict(X))
        copied.stop_training = True  # of no run of the model
        assert not model.stop_training
        copied.fit(X, Y)
        assert not np.array_equal(copied.predict(X), model.predict(X))


def test_a_summary_may_be_asked_for_in_another_layout(capsys):
    model, lines = made(), []
    model.summary()
    printed = capsys.readouterr().out
    model.summary(line_length=80, expand_nested=True, show_trainable=True, print_fn=None)
    assert capsys.readouterr().out == printed
    model.summary(print_fn=lines.append)
    assert "\n".join(lines) + "\n" == printed
    with pytest.raises(ArgumentError, match="summary: has no argument 'wide'"):
        model.summary(wide=True)
