"""Sums of arrays in any layout are exact to a few roundings, and the same with any threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl.backends import cpu
from tests.exactness import KINDS, excess, hostile

DTYPES = ("float16", "float32", "float64")


@st.composite
def laid_out(draw, dtype, kinds=KINDS):
    """Hostile terms as a transposed, strided, reversed or broadcast array."""
    longest = [400, 60, 16, 8][draw(st.integers(0, 3)) :]
    x = hostile(draw(st.sampled_from(kinds)), [draw(st.integers(1, n)) for n in longest], dtype)
    x = x.transpose(draw(st.permutations(range(x.ndim))))
    for axis in range(x.ndim):
        at = (slice(None),) * axis
        change = draw(st.sampled_from(["none", "reverse", "stride", "repeat"]))
        if change == "reverse":
            x = x[(*at, slice(None, None, -1))]
        elif change == "stride":
            x = x[(*at, slice(None, None, 2))]
        elif change == "repeat":
            x = np.broadcast_to(x[(*at, slice(0, 1))], x.shape)
    return x


@given(st.data(), st.sampled_from(DTYPES), st.booleans())
@settings(max_examples=200)
def test_sums_over_any_axes_of_any_layout_are_within_the_bound(data, dtype, keepdims):
    x = data.draw(laid_out(dtype))
    axes = st.lists(st.integers(-x.ndim, x.ndim - 1), unique_by=lambda i: i % x.ndim).map(tuple)
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1) | axes)
    y = cpu.sum(x, axis=axis, keepdims=keepdims)
    assert y.dtype == dtype
    assert np.shape(y) == x.astype("float64").sum(axis=axis, keepdims=keepdims).shape
    assert excess(y, x, axis) <= 1
    assert not np.shares_memory(x, y)


@given(st.data(), st.sampled_from(DTYPES))
@settings(max_examples=100)
def test_cumulative_sums_of_any_layout_are_within_the_bound(data, dtype):
    x = data.draw(laid_out(dtype))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    y = cpu.cumulative_sum(x, axis=axis)
    rows, sums = np.moveaxis(x, axis, 0), np.moveaxis(y, axis, 0)
    assert y.dtype == dtype
    for n in {1, len(rows) // 2 + 1, len(rows)}:
        assert excess(sums[n - 1], rows[:n], 0) <= 1


@pytest.mark.parametrize("shape", [(2**21 + 5,), (70_000, 31), (9, 70_000, 3), (40, 3, 700, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_sums_in_every_direction_are_within_the_bound_whatever_the_threads(shape, dtype):
    before = minidl.get_num_threads()
    for kind in ("tenths", "large first"):
        x = hostile(kind, shape, dtype)
        for axis in (None, *range(len(shape)), tuple(range(0, len(shape), 2))):
            found = []
            for n in (1, 2, 3):
                minidl.set_num_threads(n)
                found.append(cpu.sum(x, axis=axis, keepdims=False))
            minidl.set_num_threads(before)
            assert excess(found[0], x, axis) <= 1
            assert all(np.array_equal(found[0], y) for y in found)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_sums_are_those_of_both_parts(dtype):
    real = hostile("decades", (300, 7), "float32")
    x = (real - 1j * real[::-1]).astype(dtype).T
    y = cpu.sum(x, axis=-1, keepdims=False)
    assert y.dtype == dtype
    assert max(excess(y.real, x.real, -1), excess(y.imag, x.imag, -1)) <= 1
    y = cpu.cumulative_sum(x, axis=1)[:, -1]
    assert max(excess(y.real, x.real, -1), excess(y.imag, x.imag, -1)) <= 1


@pytest.mark.parametrize("n", [3, 100, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_and_nan_are_those_of_arithmetic(n, dtype):
    x = np.ones((n, 5), dtype)
    x[1, 0], x[1, 1], x[1, 2], x[2, 2] = np.inf, np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        found = cpu.sum(x, axis=0, keepdims=False), cpu.sum(x.T.copy(), axis=1, keepdims=False)
    for y in (*found, cpu.cumulative_sum(x, axis=0)[-1]):
        np.testing.assert_array_equal(y, np.array([np.inf, np.nan, np.nan, n, n], dtype))


def test_integers_and_bools_are_added_up_in_int64():
    x = np.full((300, 2), 200, "uint8")
    assert cpu.sum(x.astype("int8") > -9, axis=0, keepdims=False).dtype == "int64"
    np.testing.assert_array_equal(cpu.sum(x, axis=0, keepdims=False), [60_000, 60_000])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_products_do_not_overflow_on_the_way(dtype):
    x = np.array([6e4, 6e4, 1 / 6e4, 1 / 6e4] * 20, dtype)[:, None]
    exact = np.prod(x.astype("float64"))
    np.testing.assert_allclose(cpu.prod(x, axis=0, keepdims=False), exact, rtol=1e-3)
    y = cpu.cumulative_prod(x, axis=0)
    assert y.dtype == dtype
    np.testing.assert_allclose(y[-1], exact, rtol=1e-3)
