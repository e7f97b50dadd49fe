"""Closeness and equality of arrays, against NumPy's; exactly where NumPy rounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops

NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, 1.00001, np.inf, -np.inf, np.nan])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=6), st.booleans())
def test_isclose_is_numpys(pairs, equal_nan):
    x, y = (np.array([pair[i] for pair in pairs], "float64") for i in (0, 1))
    for rtol, atol in ((1e-5, 1e-8), (0, 0), (0.5, 0), (0, 3.0)):
        settings = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan}
        with np.errstate(all="ignore"):
            needed = np.isclose(x, y, **settings)
        np.testing.assert_array_equal(ops.isclose(x, y, **settings), needed)
        assert ops.allclose(x, y, **settings) is bool(needed.all())


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 9))
def test_integers_are_compared_exactly(a, b, gap):
    for other in (b, min(max(a + gap - 4, -(2**63)), 2**63 - 1)):
        x, y = np.array([a]), np.array([other])
        assert ops.isclose(x, y, rtol=0, atol=0).tolist() == [a == other]
        assert ops.isclose(x, y, rtol=0, atol=2).tolist() == [abs(a - other) <= 2]
        assert ops.array_equal(x, y) is (a == other)


def test_isclose_of_other_dtypes():
    assert ops.isclose(np.array([True, False]), True).tolist() == [True, False]
    assert ops.isclose(np.array([200], "uint8"), np.array([201], "uint8"), atol=1).tolist() == [
        True
    ]
    assert ops.isclose(np.array([1e-9], "float16"), 0.0).tolist() == [True]
    assert ops.isclose(np.float32(3e38), np.float32(-3e38), rtol=1.9).tolist() is False
    assert ops.isclose(np.array([0.1], "float32"), 0.1, rtol=0, atol=0).tolist() == [True]
    assert ops.isclose(1 + 1j, np.array([1 + 1.000001j, 1 - 1j])).tolist() == [True, False]
    assert ops.isclose(np.ones((2, 1)), np.ones(3)).shape == (2, 3)


def test_nothing_overflows():
    x = np.array([1.7e308, 1.7e308, 1.7e308, -1.7e308])
    y = np.array([-1.7e308, 1.6e308, np.inf, 1e-300])
    assert ops.isclose(x, y, rtol=0.1).tolist() == [False, True, False, False]
    assert ops.isclose(x, y, rtol=9.0).tolist() == [True, True, False, False]


def test_isclose_is_not_symmetric():
    settings = {"rtol": 0.1, "atol": 0}
    assert ops.allclose(10.0, 9.0, **settings) is False
    assert ops.allclose(9.0, 10.0, **settings) is True


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ([1, 2], [1, 2], True),
        ([1, 2], [1.0, 2.0], True),
        ([1, 2], [1, 3], False),
        ([1, 2], [[1, 2]], False),
        ([1, 1], 1, False),
        ([], [], True),
        ([np.nan], [np.nan], False),
        ([True], [True], True),
    ],
)
def test_array_equal_is_numpys(one, other, equal):
    assert ops.array_equal(one, other) is equal is np.array_equal(one, other)


def test_nan_may_be_equal():
    x = [np.nan, 1.0, np.inf]
    assert ops.array_equal(x, x, equal_nan=True)
    assert not ops.array_equal(x, [1.0, np.nan, np.inf], equal_nan=True)
    assert ops.array_equal([True], [True], equal_nan=True)
