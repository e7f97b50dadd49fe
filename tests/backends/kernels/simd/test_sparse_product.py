"""A sparse matrix times a dense one, against the sum in float64."""

import numpy as np
import pytest

from minidl.backends.kernels.runtime.kernel import compiled
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.sparse_product import SPARSE_ROWS, sparse_times_dense


@compiled("f32[m,n] i64[m,n] i64 f32[k,l] f32[m,l]")
def product(values, offsets, count, b, c):
    sparse_times_dense(
        pointer(values, 0), pointer(offsets, 0), values.shape[1], count, pointer(b, 0),
        pointer(c, 0),
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 9])
def test_rows_of_values_add_rows_of_the_dense_matrix(count):
    rng = np.random.default_rng(count)
    values, c = (rng.standard_normal((SPARSE_ROWS, n)).astype("f4") for n in (11, LANES))
    b = rng.standard_normal((5, LANES)).astype("f4")
    rows = rng.integers(0, 5, values.shape)
    before = c.copy()
    product(values, rows * LANES, count, b, c)
    exact = np.einsum("oj,ojl->ol", values[:, :count], b[rows[:, :count]], dtype="f8")
    np.testing.assert_allclose(c, before + exact, rtol=1e-5, atol=1e-5)
