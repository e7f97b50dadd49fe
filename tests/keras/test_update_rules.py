"""The steps of Keras 3's optimisers, at gradients of every size and changing rates, and its losses.

The rules are written out here from keras/src/optimizers, in NumPy and float64.
"""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError
from minidl.keras import Sequential, layers, losses, optimizers

STEPS = 12


def sgd(g, t, s, lr, momentum=0.0, nesterov=False):
    m = s["m"] = momentum * s.get("m", 0.0) - lr * g
    if not momentum:
        return -lr * g
    return momentum * m - lr * g if nesterov else m


def rmsprop(g, t, s, lr, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
    v = s["v"] = rho * s.get("v", 0.0) + (1 - rho) * g**2
    if centered:
        a = s["a"] = rho * s.get("a", 0.0) + (1 - rho) * g
        v = v - a**2
    increment = lr * g / np.sqrt(v + epsilon)
    if not momentum:
        return -increment
    s["m"] = momentum * s.get("m", 0.0) + increment
    return -s["m"]


def moments(g, s, beta_1, beta_2):
    s["m"] = s.get("m", 0.0) + (g - s.get("m", 0.0)) * (1 - beta_1)
    s["v"] = s.get("v", 0.0) + (g**2 - s.get("v", 0.0)) * (1 - beta_2)
    return s["m"], s["v"]


def adam(g, t, s, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False):
    alpha = lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    m, v = moments(g, s, beta_1, beta_2)
    if amsgrad:
        v = s["max"] = np.maximum(s.get("max", 0.0), v)
    return -m * alpha / (np.sqrt(v) + epsilon)


def adamw(g, t, s, lr, weight_decay=0.004, **settings):
    w = s["w"]
    decayed = w - w * weight_decay * lr
    return decayed - w + adam(g, t, s, lr, **settings)


def nadam(g, t, s, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    u, after = (beta_1 * (1 - 0.5 * 0.96**i) for i in (t, t + 1))
    s["product"] = s.get("product", 1.0) * u
    m, v = moments(g, s, beta_1, beta_2)
    m_hat = after * m / (1 - s["product"] * after) + (1 - u) * g / (1 - s["product"])
    return -lr * m_hat / (np.sqrt(v / (1 - beta_2**t)) + epsilon)


def adagrad(g, t, s, lr, initial_accumulator_value=0.1, epsilon=1e-7):
    s["sum"] = s.get("sum", initial_accumulator_value) + g**2
    return -lr * g / np.sqrt(s["sum"] + epsilon)


def adadelta(g, t, s, lr, rho=0.95, epsilon=1e-7):
    s["g"] = rho * s.get("g", 0.0) + (1 - rho) * g**2
    delta = -np.sqrt(s.get("d", 0.0) + epsilon) * g / np.sqrt(s["g"] + epsilon)
    s["d"] = rho * s.get("d", 0.0) + (1 - rho) * delta**2
    return lr * delta


def lion(g, t, s, lr, beta_1=0.9, beta_2=0.99):
    m = s.get("m", 0.0)
    s["m"] = m * beta_2 + g * (1 - beta_2)
    return -lr * np.sign(m * beta_1 + g * (1 - beta_1))


CASES = [
    ("SGD", sgd, {}),
    ("SGD", sgd, {"momentum": 0.9}),
    ("SGD", sgd, {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", rmsprop, {}),
    ("RMSprop", rmsprop, {"momentum": 0.8, "rho": 0.7}),
    ("RMSprop", rmsprop, {"centered": True, "epsilon": 1e-4}),
    ("Adam", adam, {}),
    ("Adam", adam, {"amsgrad": True, "beta_2": 0.9}),
    ("AdamW", adamw, {}),
    ("AdamW", adamw, {"weight_decay": 0.1}),
    ("Nadam", nadam, {}),
    ("Adagrad", adagrad, {}),
    ("Adagrad", adagrad, {"initial_accumulator_value": 0.0}),
    ("Adadelta", adadelta, {}),
    ("Lion", lion, {}),
]


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("scale", [1e-9, 1e-7, 1e-5, 2e-4, 1e-2, 1.0, 30.0])
@pytest.mark.parametrize(("name", "rule", "settings"), CASES)
def test_steps_are_kerass(name, rule, settings, scale, kernels):
    """Large gradients, small ones, and a learning rate that changes, also to 0."""
    rng = np.random.default_rng(0)
    layer = nn.Linear(6, 4, bias=False, dtype="float64")
    expected, state = layer.weight.numpy().copy(), {}
    chosen = getattr(optimizers, name)(0.01, **settings)
    made = chosen.of(layer)
    moved = 0.0
    for t in range(1, STEPS + 1):
        chosen.learning_rate = lr = {5: 0.0, 6: 0.05, 7: 0.02}.get(t, 0.01)
        size = scale * (1e-3 if t in (3, 9) else 1.0)
        g = rng.normal(size=expected.shape) * size
        layer.weight.grad = minidl.asarray(g)
        with minidl.kernels(kernels):
            made.step()
        state["w"] = expected
        change = rule(g, t, state, lr, **settings)
        expected = expected + change
        moved = max(moved, np.abs(change).max())
        np.testing.assert_allclose(
            layer.weight.numpy(), expected, rtol=0, atol=1e-11 * moved + 1e-15
        )


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("SGD", {"lr": 0.01, "momentum": 0.0}),
        ("RMSprop", {"lr": 0.001, "alpha": 0.9, "momentum": 0.0, "eps": 1e-7}),
        ("Adam", {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-7}),
        ("AdamW", {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-7, "weight_decay": 0.004}),
        ("Nadam", {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-7}),
        ("Adagrad", {"lr": 0.001, "initial_accumulator_value": 0.1, "eps": 1e-7}),
        ("Adadelta", {"lr": 0.001, "rho": 0.95, "eps": 1e-7}),
        ("Lion", {"lr": 0.001, "betas": (0.9, 0.99)}),
    ],
)
def test_defaults_are_kerass(name, defaults):
    for chosen in (getattr(optimizers, name)(), optimizers.get(name.lower())):
        group = chosen.of(nn.Linear(2, 2)).param_groups[0]
        assert {key: group[key] for key in defaults} == defaults


# Losses.


def quantile(y_true, y_pred):
    error = y_true - y_pred
    return minidl.maximum(0.9 * error, -0.1 * error)


class Quantile(losses.Loss):
    def call(self, y_true, y_pred):
        return quantile(y_true, y_pred)


@pytest.mark.parametrize("loss", [quantile, Quantile(), lambda t, p: quantile(t, p).mean()])
def test_a_custom_loss_gets_the_targets_first(loss):
    y = np.random.default_rng(0).uniform(size=2000).astype("float32")
    model = Sequential([layers.Dense(1, kernel_initializer="zeros")])
    model.compile(optimizers.Adam(0.02), loss)
    model.fit(np.zeros((2000, 1)), y, epochs=30, batch_size=200, verbose=0)
    assert model.predict(np.zeros((1, 1)), verbose=0).item() == pytest.approx(0.9, abs=0.03)


def test_losses_are_called_in_kerass_order():
    y, p = minidl.tensor([0, 1]), minidl.tensor([[0.25, 0.75], [0.5, 0.5]])
    assert losses.SparseCategoricalCrossentropy()(y, p).item() == pytest.approx(
        -(np.log(0.25) + np.log(0.5)) / 2
    )
    one = losses.BinaryCrossentropy()(minidl.tensor([[1.0]]), minidl.tensor([[0.75]]))
    assert one.item() == pytest.approx(-np.log(0.75))
    assert losses.MeanSquaredError()(np.zeros(3), np.ones((3, 1))).item() == 1


@pytest.mark.parametrize("loss", [nn.MSELoss(), minidl.mse_loss, minidl.train.MeanSquaredError()])
def test_losses_of_minidl_keep_their_order(loss):
    seen = losses.in_minidl_order(loss)
    assert seen is loss
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", loss)
    model.fit(np.ones((8, 2)), np.ones((8, 1), "float32"), verbose=0)


def test_a_loss_without_a_formula():
    with pytest.raises(TypeError, match="it must define call"):
        losses.Loss()([1.0], [1.0])


def test_a_negative_rate_is_refused():
    with pytest.raises(ArgumentError, match="learning_rate"):
        optimizers.Adam(-1.0)
