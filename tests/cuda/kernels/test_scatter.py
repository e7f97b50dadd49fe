"""Rows added or written where an index occurs several times: exact, and the last value stays."""

import math

import cupy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl_cuda as backend


def added(x, ids, terms):
    """Each element of the table as an exact sum."""
    result = np.empty(x.shape, "float64")
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            values = [float(x[row, column]), *map(float, terms[ids == row, column])]
            result[row, column] = math.fsum(values)
    return result


@given(
    n=st.sampled_from([0, 1, 5, 31, 32, 33, 64, 65, 200, 500]),
    rows=st.sampled_from([1, 2, 7, 100]),
    width=st.sampled_from([1, 3, 32, 50]),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
)
def test_add_at_is_exact_to_one_rounding(n, rows, width, dtype):
    rng = np.random.default_rng(n + rows)
    x = rng.standard_normal((rows, width)).astype(dtype)
    terms = rng.standard_normal((n, width)).astype(dtype)
    ids = rng.integers(0, rows, n)
    table = cupy.asarray(x)
    backend.add_at(table, (cupy.asarray(ids),), cupy.asarray(terms))
    expected = added(x, ids, terms)
    error = np.abs(cupy.asnumpy(table) - expected)
    eps = np.finfo(dtype).eps
    scale = np.abs(x).max() + np.abs(terms).sum(0, initial=0)
    assert (error <= eps / 2 * 1.001 * np.abs(expected) + 1e-3 * eps * scale).all()


@pytest.mark.parametrize("dtype", ["float32", "complex64", "int64", "int8", "bool", "uint32"])
def test_add_at_with_all_kinds_of_indices(dtype, launches):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (4, 5, 6)).astype(dtype)
    for index in (
        (np.array([1, 1, 3]),),
        (np.array([[0], [3]]), slice(None), np.array([1, 1, 5])),
        (slice(1, 3), np.array([0, 0])),
        (np.array([-1, 3, 3]), 2),
        (x[..., 0] != 0, slice(2)),
        (1, slice(None), 2),
    ):
        values = rng.integers(0, 3, x[index].shape).astype(dtype)
        expected = x.copy()
        np.add.at(expected, index, values)
        on_gpu = cupy.asarray(x)
        places = tuple(cupy.asarray(p) if isinstance(p, np.ndarray) else p for p in index)
        backend.add_at(on_gpu, places, cupy.asarray(values))
        np.testing.assert_array_equal(cupy.asnumpy(on_gpu), expected)


@pytest.mark.parametrize("dtype", ["bool", "float16", "int32", "float64", "complex128"])
def test_of_values_for_one_element_the_last_stays(dtype, launches):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (9, 7)).astype(dtype)
    for index in (
        (rng.integers(0, 9, 400),),
        (rng.integers(0, 9, 50), rng.integers(0, 7, 50)),
        (slice(None), rng.integers(-7, 7, 20)),
    ):
        values = rng.integers(0, 100, x[index].shape).astype(dtype)
        expected = x.copy()
        expected[index] = values
        places = tuple(cupy.asarray(p) if isinstance(p, np.ndarray) else p for p in index)
        result = backend.put_at(cupy.asarray(x), cupy.asarray(values), places)
        np.testing.assert_array_equal(cupy.asnumpy(result), expected)
    assert sum(count for name, count in launches.items() if name.startswith("write_last")) == 3


def test_coalesce():
    rng = np.random.default_rng(0)
    ids, rows = rng.integers(0, 20, 300), rng.standard_normal((300, 5)).astype("float32")
    distinct, sums = backend.coalesce(cupy.asarray(ids), cupy.asarray(rows), 20)
    assert distinct.tolist() == sorted(set(ids))
    table = added(np.zeros((20, 5)), ids, rows)
    np.testing.assert_allclose(cupy.asnumpy(sums), table[sorted(set(ids))], rtol=1e-6, atol=1e-7)
