"""The kernels of activations against their bodies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.backends import cpu
from tests.backends.kernels.support import assert_same, laid_out, rng, run

pytestmark = pytest.mark.usefixtures("of_any_size")

# Operations of single elements, with settings; how they are called.
ACTIVATIONS = {
    "exp": minidl.exp,
    "log": lambda x: minidl.log(minidl.abs(x)),
    "log of negative": minidl.log,
    "tanh": minidl.tanh,
    "sigmoid": minidl.sigmoid,
    "erf": minidl.erf,
    "silu": minidl.silu,
    "gelu": minidl.gelu,
    "gelu tanh": lambda x: minidl.gelu(x, approximate="tanh"),
    "relu": minidl.relu,
    "leaky_relu": lambda x: minidl.leaky_relu(x, -0.3),
    "elu": lambda x: minidl.elu(x, 1.7),
    "softplus": lambda x: minidl.softplus(x, 2.0, 9.0),
}
each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


# Arrays as they come: any shape, strided, reversed, transposed, read-only.


@each_activation
@given(st.data())
def test_activations_of_any_layout(name, data):
    x, function = data.draw(laid_out()), ACTIVATIONS[name]
    dy = rng.normal(size=x.shape[::-1]).astype(np.float32).T
    for fast, slow in zip(*(run(k, function, x, dy) for k in ("fast", "reference")), strict=True):
        # 1 − tanh² is multiplied by up to 7 where tanh is one unit in the last place from −1.
        assert_same(fast, slow, 60 if name == "gelu tanh" else 8)


SPECIAL = [
    0.0,
    1.4e-45,
    1e-38,
    1e-3,
    0.5,
    1,
    4,
    9,
    20,
    87,
    89,
    103,
    105,
    1e20,
    3e38,
    np.inf,
    np.nan,
]


@each_activation
@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("gradient", [0.0, 1.0, -0.5, np.nan])
def test_activations_of_special_values(name, gradient):
    x = np.repeat(np.array([*SPECIAL, *np.negative(SPECIAL)], np.float32), 20)
    dy = np.full_like(x, gradient)
    for fast, slow in zip(
        *(run(k, ACTIVATIONS[name], x, dy) for k in ("fast", "reference")), strict=True
    ):
        assert_same(fast, slow)


@each_activation
def test_the_same_bits_with_any_number_of_threads(name, in_pieces):
    x = rng.normal(size=(401, 1000)).astype(np.float32)
    first, *others = in_pieces(lambda: run("fast", ACTIVATIONS[name], x, x[::-1]))
    for other in others:
        np.testing.assert_array_equal(first, other)


@each_activation
def test_a_gradient_that_is_one_number_throughout(name):
    x = rng.normal(size=(40, 30)).astype(np.float32)
    function = lambda x: minidl.sum(ACTIVATIONS[name](x))
    for fast, slow in zip(*(run(k, function, x) for k in ("fast", "reference")), strict=True):
        assert_same(fast, slow, 40 if fast.ndim else 1e4)


@each_activation
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_dtypes_keep_their_precision(name, dtype):
    x = rng.normal(size=1000).astype(dtype)
    for fast, slow in zip(
        *(run(k, ACTIVATIONS[name], x) for k in ("fast", "reference")), strict=True
    ):
        np.testing.assert_array_equal(fast, slow)
        assert fast.dtype == dtype


@pytest.mark.filterwarnings("error")
@each_activation
def test_kernels_are_silent(name):
    ACTIVATIONS[name](minidl.asarray(np.array(SPECIAL * 100, np.float32)))


def test_relu_has_the_bits_of_its_body():
    x = np.repeat(np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-45], np.float32), 100)
    dy = rng.normal(size=x.size).astype(np.float32)
    for fast, slow in zip(
        *(run(k, minidl.relu, x, dy) for k in ("fast", "reference")), strict=True
    ):
        np.testing.assert_array_equal(fast.view(np.int32), slow.view(np.int32))


def test_kernels_are_what_ran():
    """The tests above would compare bodies with bodies if a kernel declined."""
    x = np.ones(1000, np.float32)
    for name in ACTIVATIONS:
        assert cpu.kernel(name.split()[0])(x) is not NotImplemented
    for name in ("softmax", "log_softmax"):
        assert cpu.kernel(name)(x) is not NotImplemented
    assert cpu.kernel("dropout")(x, 0.5, key=(0, 0)) is not NotImplemented
    assert cpu.kernel("uniform_like")(np.ones(5000, np.float32), (0, 0)) is not NotImplemented
    assert cpu.kernel("gelu")(x, "sinh") is NotImplemented
    assert cpu.kernel("elu")(x, np.ones(1000)) is NotImplemented
