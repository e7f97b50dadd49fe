"""Reductions without NaN, against NumPy's; what is left out has no part in anything."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from tests.helpers import assert_close

NAMES = ("nansum", "nanprod", "nanmean", "nanmax", "nanmin", "nanvar", "nanstd", "nanmedian")
AXES = (None, 0, 1, -1, (0, 2), (2, 1))


def holed(seed, *shape):
    """Numbers, a third of which are NaN; the first row is nothing else."""
    rng = np.random.default_rng(seed)
    x = np.where(rng.uniform(size=shape) < 1 / 3, np.nan, rng.normal(size=shape))
    x[0, 0] = np.nan
    return x


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(0, 99), st.sampled_from(AXES), st.booleans())
def test_values_are_numpys(name, seed, axis, keepdims):
    x = holed(seed, 2, 3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        needed = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    assert_close(getattr(ops, name)(x, axis=axis, keepdims=keepdims), np.asarray(needed), 1e-12)


@pytest.mark.parametrize("name", [*NAMES, "nanquantile"])
def test_nan_gets_no_gradient_and_changes_none(name):
    f = lambda x: ops.nanquantile(x, 0.3) if name == "nanquantile" else getattr(ops, name)(x)
    x = np.array([1.0, np.nan, 3.0, 2.5, np.nan, -1.0])
    there = ~np.isnan(x)
    for _ in range(2):
        found, needed = minidl.grad(f)(x), minidl.grad(f)(x[there])
        np.testing.assert_array_equal(np.asarray(found)[~there], 0)
        np.testing.assert_allclose(np.asarray(found)[there], needed, rtol=1e-12)
        f = lambda x, f=f: (minidl.grad(f)(x) ** 2).sum()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_nan_gives_no_gradient(name):
    found = minidl.grad(lambda x: getattr(ops, name)(x))(np.array([np.nan, np.nan]))
    np.testing.assert_array_equal(found, [0, 0])


def test_ties_share_the_gradient_and_infinities_do_not_hide_nan():
    assert minidl.grad(ops.nanmax)(np.array([2.0, np.nan, 2.0])).tolist() == [0.5, 0, 0.5]
    x = np.array([np.nan, -np.inf])
    assert ops.nanmax(x).item() == -np.inf
    assert minidl.grad(ops.nanmax)(x).tolist() == [0, 1]
    assert minidl.grad(ops.nanmin)(-x).tolist() == [0, 1]


@pytest.mark.parametrize("name", NAMES)
def test_without_nan_they_are_the_others(name):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    assert_close(getattr(ops, name)(x, axis=1), getattr(ops, name[3:])(x, axis=1), 1e-6)
    whole = np.arange(1, 7)
    if name != "nanmedian":  # which needs floats, as median does
        found, needed = getattr(ops, name)(whole), getattr(ops, name[3:])(whole)
        assert (found.item(), found.dtype) == (needed.item(), needed.dtype)


def test_of_float16_sums_are_made_in_float32():
    x = np.full(3000, 100, "float16")
    x[7] = np.nan
    assert ops.nanmean(x) == 100
    assert ops.nanvar(x) == 0
    assert ops.nanmean(x).dtype == ops.nanstd(x).dtype == "float16"


def test_complex_numbers_with_a_nan_part_are_left_out():
    x = np.array([1 + 2j, np.nan + 1j, 1j * np.nan, 3 - 4j])
    assert ops.nansum(x).item() == 4 - 2j
    assert ops.nanmean(x).item() == 2 - 1j
    assert ops.nanvar(x).item() == pytest.approx(np.nanvar(x))


def test_a_correction_beyond_the_count_gives_nan():
    x = np.array([[1.0, np.nan], [2.0, 4.0]])
    found = ops.nanvar(x, axis=1, correction=1)
    assert np.isnan(found[0].item())
    assert found[1] == 2


@pytest.mark.parametrize("name", ["nanvar", "nanstd"])
def test_an_infinity_is_not_missing(name):
    nan, inf = np.nan, np.inf
    for x in ([inf, -inf], [inf, inf], [nan, inf, -inf, 2], [1, inf, 3], [nan, complex(1, inf)]):
        with np.errstate(invalid="ignore"):
            assert np.isnan(getattr(ops, name)(np.array(x)).item())


def test_variances_of_large_integers_are_of_their_differences():
    found = ops.nanvar(np.array([0, 1, 3]) + 2**24)
    assert found.item() == np.float32(14 / 9)
    assert found.dtype == "float32"
