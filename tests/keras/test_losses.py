"""Losses with settings and formulas of a program's own, trained beside Keras's."""

import numpy as np
import pytest

from minidl import keras
from minidl.errors import ArgumentError
from tests.helpers import assert_all_close
from tests.keras.twins import keras_is_quiet, random, theirs, varied

pytestmark = keras_is_quiet

ONE_HOT, BITS = np.eye(3)[np.arange(18) % 3], np.arange(18) % 2


def assert_trained_alike(loss, units, activation, y, shape=(4,)):
    def made(k):
        model = k.Sequential([k.Input(shape), k.layers.Dense(units, activation=activation)])
        model.compile(k.optimizers.SGD(0.1), loss(k))
        return model

    mine, keras_model = made(keras), made(theirs)
    varied(keras_model)
    mine.set_weights(keras_model.get_weights())
    x = random(18, *shape)
    for _ in range(2):
        found = mine.fit(x, y, batch_size=6, shuffle=False, verbose=0).history["loss"]
        needed = keras_model.fit(x, y, batch_size=6, shuffle=False, verbose=0).history["loss"]
        np.testing.assert_allclose(found, needed, rtol=2e-5)
    assert_all_close(mine.get_weights(), keras_model.get_weights(), 2e-5)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_labels_may_be_smoothed(from_logits, smoothing, dtype):
    settings = {"from_logits": from_logits, "label_smoothing": smoothing}
    for kind, squash, y in (("Categorical", "softmax", ONE_HOT), ("Binary", "sigmoid", ONE_HOT)):
        loss = lambda k, kind=kind: getattr(k.losses, f"{kind}Crossentropy")(**settings)
        assert_trained_alike(loss, 3, None if from_logits else squash, y.astype(dtype))
    binary = lambda k: k.losses.BinaryCrossentropy(**settings)
    assert_trained_alike(binary, 1, None if from_logits else "sigmoid", BITS.astype(dtype))


def test_labels_of_steps_may_be_smoothed():
    loss = lambda k: k.losses.CategoricalCrossentropy(label_smoothing=0.2)
    y = np.eye(3)[np.arange(18 * 5).reshape(18, 5) % 3]
    assert_trained_alike(loss, 3, "softmax", y, shape=(5, 4))


BASES = ["Loss", "MeanSquaredError", "CategoricalCrossentropy", "BinaryCrossentropy", "Huber"]


@pytest.mark.parametrize("base", BASES)
def test_a_call_of_ones_own_is_the_formula(base):
    """Of whatever it is a subclass; and it may have a name."""

    def made(k):
        class Scaled(getattr(k.losses, base)):
            def __init__(self, factor, name="scaled"):
                super().__init__(name=name)
                self.factor = factor

            def call(self, y_true, y_pred):
                return self.factor * (y_true - y_pred) ** 2

        return Scaled(2.0)

    for activation in ("softmax", "sigmoid"):
        assert_trained_alike(made, 3, activation, ONE_HOT.astype("float32"))


def test_settings_of_losses():
    for kind in BASES[1:]:
        loss = getattr(keras.losses, kind)(name="own", reduction="sum_over_batch_size")
        assert loss.name == "own"
        for settings in ({"reduction": "sum"}, {"reduction": None}, {"dtype": "float64"}):
            with pytest.raises(ArgumentError, match=f"{kind}: .*not offered"):
                getattr(keras.losses, kind)(**settings)
    with pytest.raises(ArgumentError, match="label_smoothing is a probability"):
        keras.losses.BinaryCrossentropy(label_smoothing=2)
