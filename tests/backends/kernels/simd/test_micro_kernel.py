"""The micro-kernel and its neighbours, at the edges of tiles and of runs, against float64."""

import numpy as np
import pytest

from minidl.backends.kernels.runtime.kernel import compiled
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.micro_kernel import (
    DOT_RUN,
    DOT_TILE,
    DOT_TILE_SINGLE,
    MR,
    NR_VECTORS,
    RUN,
    SINGLE_ROW_VECTORS,
    UNBROKEN,
    dot_tile,
    micro_kernel,
    pad_to_tiles,
    transpose_panel,
)


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@compiled("i64 i64 i64 f32[m,k] i64[m] i64[k] f32[k,n] i64[k] f32[m,n] i64")
def tile(vectors, depth, run, a, rows, depth_a, b, depth_b, out, add):
    micro_kernel(
        vectors, depth, run, pointer(a, 0), pointer(rows, 0), pointer(depth_a, 0), pointer(b, 0),
        pointer(depth_b, 0), pointer(out, 0), out.shape[1], add,
    )  # fmt: skip


@pytest.mark.parametrize("run", [RUN, UNBROKEN])
@pytest.mark.parametrize("depth", [1, RUN - 1, RUN, 2 * RUN + 5])
@pytest.mark.parametrize("vectors", range(NR_VECTORS + 1))
def test_a_tile_is_a_product(vectors, depth, run):
    rows, columns = (MR, vectors * LANES) if vectors else (1, SINGLE_ROW_VECTORS * LANES)
    a, b = normal(rows, depth), normal(depth, columns)
    offsets = np.arange(rows) * depth, np.arange(depth), np.arange(depth) * columns
    out = np.full((rows, columns), np.nan, np.float32)
    exact = a.astype(np.float64) @ b
    bound = depth * 2**-24 * (abs(a).astype(np.float64) @ abs(b))
    for add in (0, 1):
        tile(vectors, depth, run, a, *offsets[:2], b, offsets[2], out, add)
        assert (abs(out - (1 + add) * exact) <= (1 + 2 * add) * bound).all()


def test_rows_and_steps_are_where_the_tables_say():
    a, b = normal(MR, 4), normal(4, LANES)
    out = np.empty((MR, LANES), np.float32)
    rows, depth = pad_to_tiles(3) * 4, np.array([3, 0])
    tile(1, 2, UNBROKEN, a, rows, depth, b, depth[::-1] * LANES, out, 0)
    expected = a[pad_to_tiles(3)][:, [3, 0]] @ b[[0, 3]]
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@compiled("f32[m,n] f32[n,k]")
def transpose(source, target):
    height, width = source.shape
    transpose_panel(pointer(source, 0), width, height, width, pointer(target, 0), target.shape[1])


@pytest.mark.parametrize("height", [1, LANES - 1, LANES, 2 * LANES + 3])
@pytest.mark.parametrize("width", [1, LANES, LANES + 1])
def test_a_transposed_panel_is_padded_with_zeros(height, width):
    source = normal(height, width)
    target = np.full((width, -(-height // LANES) * LANES), np.nan, np.float32)
    transpose(source, target)
    np.testing.assert_array_equal(target[:, :height], source.T)
    np.testing.assert_array_equal(target[:, height:], 0)


@compiled("i64 i64 f32[m,k] f32[n,k] i64[n] f32[m,n,l]")
def dot_products(single, count, a, b, offsets, sums):
    dot_tile(
        single, count, pointer(a, 0), a.shape[1], pointer(b, 0), pointer(offsets, 0),
        pointer(sums, 0),
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, DOT_RUN, 2 * DOT_RUN + 1])
@pytest.mark.parametrize("single", [0, 1])
def test_dot_products_are_summed_lane_by_lane(single, count):
    rows, columns = DOT_TILE_SINGLE if single else DOT_TILE
    a, b = normal(rows, count * LANES), normal(columns, count * LANES)
    sums = np.ones((rows, columns, LANES), np.float32)
    dot_products(single, count, a, b, np.arange(columns)[::-1] * b.shape[1], sums)
    vectors = a.reshape(rows, 1, count, LANES) * b[::-1].reshape(1, columns, count, LANES)
    np.testing.assert_allclose(sums, 1 + vectors.sum(2, dtype="f8"), rtol=1e-4, atol=1e-4)
