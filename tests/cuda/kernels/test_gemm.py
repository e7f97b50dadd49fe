"""Products whose error does not grow with the length of the sums."""

import cupy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl_cuda as backend

SIZES = st.sampled_from([1, 3, 16, 17, 63, 64, 65, 130])


def bound(a, b):
    """max(1, log₂ k)·ε·Σ|terms|."""
    k = a.shape[-1]
    eps = np.finfo(a.real.dtype).eps
    return max(1, np.log2(k)) * eps * (np.abs(a).astype("float64") @ np.abs(b).astype("float64"))


def precise(a, b):
    return cupy.asnumpy(backend.precise_matmul(cupy.asarray(a), cupy.asarray(b)))


@given(
    m=SIZES, n=SIZES, k=st.sampled_from([1, 16, 17, 32, 33, 100, 600]),
    batch=st.sampled_from([((), ()), ((2,), (2,)), ((), (3,)), ((2, 1), (3,)), ((1,), (2, 2))]),
    transposed=st.tuples(st.booleans(), st.booleans()),
    dtype=st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_products_of_stacks(m, n, k, batch, transposed, dtype):
    rng = np.random.default_rng(m * n + k)
    a = rng.standard_normal((*batch[0], m, k)).astype(dtype)
    b = rng.standard_normal((*batch[1], k, n)).astype(dtype)
    on_gpu = [cupy.asarray(x.mT.copy()).mT if t else cupy.asarray(x) for x, t in
              zip((a, b), transposed, strict=True)]  # fmt: skip
    y = cupy.asnumpy(backend.precise_matmul(*on_gpu))
    expected = a.astype("longdouble") @ b.astype("longdouble")
    assert y.dtype == dtype
    assert y.shape == expected.shape
    assert (np.abs(y - expected) <= bound(a, b)).all()


@pytest.mark.parametrize("k", [2**12, 2**16])
def test_long_sums_are_split_and_stay_exact(k, launches):
    a = np.full((3, k), np.float32(1.1))
    b = np.full((k, 2), np.float32(0.7))
    y = precise(a, b)
    expected = a.astype("float64") @ b.astype("float64")
    assert (np.abs(y - expected) <= bound(a, b)).all()
    assert launches["product_nn_f32_parts"] == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize(
    ("m", "k", "n", "batch"), [(1, 257, 1, ()), (65, 530, 3, ()), (4, 1000, 70, (2,))]
)
def test_split_sums_of_every_layout(m, k, n, batch, form, dtype, launches):
    """Neighbours in memory are those along a row (n) or a column (t) of each matrix."""
    rng = np.random.default_rng(k)
    a = rng.standard_normal((*batch, m, k)).astype(dtype)
    b = rng.standard_normal((*batch, k, n)).astype(dtype)
    laid = [cupy.asarray(x.mT.copy()).mT if way == "t" else cupy.asarray(x)
            for x, way in zip((a, b), form, strict=True)]  # fmt: skip
    y = cupy.asnumpy(backend.precise_matmul(*laid))
    expected = a.astype("longdouble") @ b.astype("longdouble")
    assert (y.dtype, y.shape) == (dtype, expected.shape)
    assert (np.abs(y - expected) <= bound(a, b)).all()
    ran = [name for name in launches if name.startswith("product_")]
    name = {"float32": "f32", "float64": "f64"}[dtype]
    if min(m, n) > 1:  # of a vector, neighbours are along both axes
        assert ran == [f"product_{form}_{name}_parts"]
    assert all(name.endswith("_parts") for name in ran)


@pytest.mark.parametrize("dtype", ["float16", "complex64", "complex128"])
def test_other_dtypes(dtype):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 90)).astype(dtype), rng.standard_normal((90, 4)).astype(dtype)
    if a.dtype.kind == "c":
        a = a + 1j * rng.standard_normal(a.shape).astype(a.real.dtype)
    y = precise(a, b)
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    assert y.dtype == dtype
    assert (np.abs(y - a.astype(wide) @ b.astype(wide)) <= 2 * bound(a, b)).all()


def test_vectors_and_nothing():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(50), rng.standard_normal((50, 3))
    np.testing.assert_allclose(precise(a, b), a @ b)
    np.testing.assert_allclose(precise(b.T.copy(), a), b.T @ a)
    np.testing.assert_allclose(precise(a, a), a @ a)
    assert precise(np.zeros((0, 50)), b).shape == (0, 3)
    np.testing.assert_array_equal(precise(np.zeros((2, 0)), np.zeros((0, 3))), np.zeros((2, 3)))


def test_infinity_and_nan_stay_where_they_are():
    a, b = np.ones((2, 40), "float32"), np.ones((40, 2), "float32")
    a[0, 3], b[5, 1] = np.inf, np.nan
    np.testing.assert_array_equal(precise(a, b), a @ b)
