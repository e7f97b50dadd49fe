"""The kernels of softmax and log-softmax against their bodies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from tests.backends.kernels.support import assert_same, laid_out, rng, run

pytestmark = pytest.mark.usefixtures("of_any_size")
each_softmax = pytest.mark.parametrize("function", [minidl.softmax, minidl.log_softmax])


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
def test_softmax_of_long_axes_with_any_number_of_threads(function, shape, in_pieces):
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


each_softmax = pytest.mark.parametrize("function", [minidl.softmax, minidl.log_softmax])
