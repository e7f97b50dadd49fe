"""The transforms of Winograd convolution, against products of matrices."""

import numpy as np
import pytest

from minidl.backends.kernels.runtime.kernel import compiled
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.winograd_transform import (
    transform_filters,
    transform_inputs,
    transform_outputs,
)

G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]).T
A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]]).T


@compiled("f32[t,l] f32[p,n]")
def filters_to_u(filters, u):
    transform_filters(pointer(filters, 0), pointer(u, 0), u.shape[1])


@compiled("f32[p,r,c] f32[p,n]")
def planes_to_v(planes, v):
    _, rows, columns = planes.shape
    transform_inputs(pointer(planes, 0), columns, rows * columns, pointer(v, 0), v.shape[1])


@compiled("f32[p,n] f32[r,c] f32[l]")
def m_to_y(m, y, finite):
    upper, lower = pointer(y, 0), pointer(y, y.shape[1])
    transform_outputs(pointer(m, 0), m.shape[1], upper, lower, pointer(finite, 0))


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def assert_close(vectors, exact):
    np.testing.assert_allclose(vectors, exact, rtol=1e-5, atol=1e-5)


def test_filters():
    g, u = normal(9, LANES), np.empty((16, LANES), np.float32)
    filters_to_u(g, u)
    exact = np.einsum("ia,abl,jb->ijl", G, g.reshape(3, 3, LANES), G)
    assert_close(u, exact.reshape(16, LANES))


def test_inputs():
    """Tile l begins at column 2·l of four rows, of which each plane holds every second one."""
    rows, v = normal(4, 2 * LANES + 2), np.empty((16, LANES), np.float32)
    planes = np.ascontiguousarray(rows.reshape(2, 2, -1).swapaxes(0, 1))
    planes_to_v(planes, v)
    tiles = np.array([rows[:, 2 * i : 2 * i + 4] for i in range(LANES)])
    exact = np.einsum("ai,lab,bj->ijl", B, tiles, B)
    assert_close(v, exact.reshape(16, LANES))


@pytest.mark.parametrize("value", [0, np.inf, np.nan])
def test_outputs_and_whether_they_are_finite(value):
    m, y = normal(16, LANES), np.empty((2, 2 * LANES), np.float32)
    finite = np.zeros(LANES, np.float32)
    m[5, 1] += np.float32(value)
    m_to_y(m, y, finite)
    with np.errstate(invalid="ignore"):
        exact = np.einsum("ai,abl,bj->ilj", A, m.reshape(4, 4, LANES).astype("f8"), A)
    others = np.arange(LANES) != 1
    assert_close(y.reshape(2, LANES, 2)[:, others], exact[:, others])
    np.testing.assert_array_equal(np.isnan(finite), ~others & (value != 0))
