"""The kernels of activations, softmax, cross-entropy and dropout against their bodies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.backends import cpu
from minidl.backends.kernels import elementwise
from minidl.errors import BoundsError

rng = np.random.default_rng(0)

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
each_softmax = pytest.mark.parametrize("function", [minidl.softmax, minidl.log_softmax])


def run(kernels, function, x, dy=None):
    """The value of a function of an array, and its gradient for dy."""
    x = minidl.asarray(x, requires_grad=True)
    with minidl.kernels(kernels):
        y = function(x)
        (dx,) = minidl.gradients(
            y, [x], [minidl.ones_like(y) if dy is None else minidl.asarray(dy)]
        )
    return y.numpy(), dx.numpy()


def assert_same(fast, slow, ulps=8):
    """Equal but for rounding: of each element, and of numbers of size 1 that it came from."""
    assert fast.shape == slow.shape
    assert fast.dtype == slow.dtype
    tolerance = ulps * np.finfo(slow.dtype).eps
    np.testing.assert_allclose(fast, slow, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.fixture(autouse=True, scope="module")
def of_any_size():
    """Here kernels do small arrays, too, that they would leave to the bodies."""
    with pytest.MonkeyPatch.context() as patch:
        for count in ("ONE", "TWO", "MANY"):
            patch.setattr(elementwise, f"_FEWEST_FOR_{count}", 1)
        yield


@pytest.fixture
def in_pieces():
    """A function that computes something in one, two and three pieces; the number is restored."""
    before = minidl.get_num_threads()

    def results(compute):
        for threads in (1, 2, 3):
            minidl.set_num_threads(threads)
            yield compute()

    yield results
    minidl.set_num_threads(before)


# Arrays as they come: any shape, strided, reversed, transposed, read-only.


@st.composite
def laid_out(draw, least=0):
    """A float32 array of up to three axes, and some memory between its elements."""
    shape = draw(st.lists(st.integers(least, 40), max_size=3))
    steps = [draw(st.sampled_from([1, 1, 2, -1])) for _ in shape]
    memory = rng.normal(0, 3, [n * abs(step) for n, step in zip(shape, steps, strict=True)])
    x = np.asarray(memory, np.float32)[(*(slice(None, None, step) for step in steps), ...)]
    return x.transpose(draw(st.permutations(range(x.ndim))))


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
def test_the_same_bits_in_any_number_of_pieces(name, in_pieces):
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


# softmax.


@each_softmax
@given(st.data())
def test_softmax_of_any_layout(function, data):
    x = data.draw(laid_out(1).filter(lambda x: x.ndim))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    dy = rng.normal(size=x.shape[::-1]).astype(np.float32).T
    along = lambda x: function(x, axis=axis)
    for fast, slow in zip(*(run(k, along, x, dy) for k in ("fast", "reference")), strict=True):
        assert_same(fast, slow, 30)


@each_softmax
@pytest.mark.parametrize("shape", [(3, 2000), (700, 5), (3, 5, 600), (2, 300, 3)])
def test_softmax_of_long_axes_in_any_number_of_pieces(function, shape, in_pieces):
    x = rng.normal(0, 10, shape).astype(np.float32)
    dy = rng.normal(size=shape).astype(np.float32)
    for axis in range(len(shape)):
        along = lambda x, axis=axis: function(x, axis=axis)
        first, *others = in_pieces(lambda along=along: run("fast", along, x, dy))
        for other in others:
            np.testing.assert_array_equal(first, other)
        for fast, slow in zip(first, run("reference", along, x, dy), strict=True):
            assert_same(fast, slow, 300)


@each_softmax
@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    "row",
    [
        [1000, -1000, 0],
        [-np.inf, 0, 1],
        [np.nan, 0, 1],
        [0, 1, -np.nan],
        [-np.inf, -np.inf, -np.inf],
        [np.inf, 0, 1],
        [3e38, -3e38, 3e38],
        [-90, 0, -100],
    ],
)
def test_softmax_of_special_values(function, row, axis):
    x = np.array([row, [0, 1, 2]], np.float32)
    x = x if axis else x.T
    along = lambda x: function(x, axis=axis)
    for fast, slow in zip(*(run(k, along, x, x) for k in ("fast", "reference")), strict=True):
        assert_same(fast, slow)


@each_softmax
def test_softmax_of_nothing_and_of_axes_that_do_not_exist(function):
    assert function(minidl.zeros((0, 3))).shape == (0, 3)
    for axis in (2, -3):
        with pytest.raises(minidl.errors.MinidlError, match="axis"):
            function(minidl.zeros((2, 3)), axis=axis)


# Cross-entropy.


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_has_the_same_bits_in_any_number_of_pieces(reduction, in_pieces):
    x = rng.normal(0, 10, (301, 1000)).astype(np.float32)
    target = minidl.asarray(rng.integers(1000, size=301))
    loss = lambda x: minidl.cross_entropy(x, target, reduction=reduction)
    (value, gradient), *others = in_pieces(lambda: run("fast", loss, x))
    for other in others:
        assert other[0] == value
        np.testing.assert_array_equal(other[1], gradient)
    slow = run("reference", loss, x)
    np.testing.assert_allclose(value, slow[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, slow[1], atol=1e-6)


def test_the_first_class_that_does_not_exist_is_named_in_any_number_of_pieces(in_pieces):
    x, target = minidl.zeros((300, 1000)), np.zeros(300, int)
    target[[20, 250]] = 1000, -7

    def message():
        with pytest.raises(BoundsError, match="index 1000 is outside 0 … 999"):
            minidl.cross_entropy(x, minidl.asarray(target))

    list(in_pieces(message))


# Dropout and its random numbers.

KEYS = [(0, 0), (2**64 - 1, 2**32 - 7), (123456789, 2**53 + 1)]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [4096, 99_999])
def test_uniform_numbers_have_the_same_bits(key, dtype, size, in_pieces):
    like = minidl.zeros(size, dtype=dtype)
    with minidl.kernels("reference"):
        expected = minidl.ops.uniform_like(like, key).numpy()
    for found in in_pieces(lambda: minidl.ops.uniform_like(like, key)):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


@given(laid_out(), st.sampled_from([0.0, 0.1, 0.5, 0.99999999, 1.0]), st.sampled_from(KEYS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_drops_the_same_elements(dtype, x, p, key):
    x = x.astype(dtype, order="K")
    dropped = lambda x: minidl.dropout(x, p, key=key)
    dy = rng.normal(size=x.shape[::-1]).astype(dtype).T
    for fast, slow in zip(*(run(k, dropped, x, dy) for k in ("fast", "reference")), strict=True):
        np.testing.assert_array_equal(fast, slow)
        assert fast.dtype == slow.dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_in_any_number_of_pieces(dtype, in_pieces):
    x = rng.normal(size=(301, 333)).astype(dtype)
    x[5, 3:60] = np.nan
    dropped = lambda x: minidl.dropout(x, 0.3, key=(7, 11))
    expected = run("reference", dropped, x, x)
    for found in in_pieces(lambda: run("fast", dropped, x, x)):
        np.testing.assert_array_equal(found, expected)


def test_keys_beyond_the_integers_of_the_kernel_are_left_to_the_body():
    x = np.ones(5000, np.float32)
    for key in [(2**64, 0), (0, 2**64 - 10), (-1, 0), (0, -1)]:
        assert cpu.kernel("dropout")(x, 0.5, key=key) is NotImplemented
        assert cpu.kernel("uniform_like")(x, key) is NotImplemented
