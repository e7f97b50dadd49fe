"""Stencils against sums over the padded feature map, in float64."""

import numpy as np
import pytest

from minidl.backends.kernels.runtime.kernel import compiled
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.stencil import (
    ROWS,
    WINDOWS,
    stencil,
    stencil_gradient,
    sum_of_lanes,
)

SIZES = [(7, 8), (ROWS + 5, LANES + 7), (4 * ROWS, 2 * LANES)]


@compiled("f32[h,w] f32[w] i64 i64 f32[k,k] i64 f32[oh,ow] f32 f32")
def plane(x, zeros, top, left, weight, step, y, bias, clamp_min):
    stencil(
        weight.shape[0], pointer(x, 0), x.shape[0], x.shape[1], pointer(zeros, 0), top, left,
        pointer(weight, 0), step, pointer(y, 0), y.shape[0], y.shape[1], bias, clamp_min,
    )  # fmt: skip


@compiled("i64 f32[h,w] f32[w] i64 i64 f32[oh,ow] i64 i64 f32[k,l]")
def column_of_weights(window, x, zeros, top, shift, dy, first, last, sums):
    stencil_gradient(
        window, pointer(x, 0), x.shape[0], x.shape[1], pointer(zeros, 0), top, shift,
        pointer(dy, 0), dy.shape[1], first, last, pointer(sums, 0),
    )  # fmt: skip


@compiled("f32[l]")
def total(lanes):
    return sum_of_lanes(pointer(lanes, 0))


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def taps(x, window, padding, step):
    """The element of x under each tap (a, b) of the window at each position, in float64."""
    padded = np.pad(x.astype(np.float64), padding)
    height, width = padded.shape[0] - window + 1, padded.shape[1] - step * (window - 1)
    return np.array(
        [
            [padded[a : a + height, b * step : b * step + width] for b in range(window)]
            for a in range(window)
        ]
    )


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", WINDOWS)
def test_a_plane_is_a_sum_over_the_window(window, size, padding, step):
    if size[1] + 2 * padding <= step * (window - 1):
        pytest.skip("the window does not fit")
    x, weight = normal(*size), normal(window, window)
    exact = np.einsum("abij,ab", taps(x, window, padding, step), weight) + 0.25
    # Memory behind y is not written.
    memory = np.full(exact.size + LANES, 7, np.float32)
    y = memory[: exact.size].reshape(exact.shape)
    zeros = np.zeros(size[1], np.float32)
    plane(x, zeros, padding, padding, weight, step, y, np.float32(0.25), np.float32(0))
    np.testing.assert_allclose(y, np.maximum(exact, 0), rtol=1e-5, atol=1e-5)
    assert (memory[exact.size :] == 7).all()


@pytest.mark.parametrize("rows", [slice(0, 2 * ROWS), slice(1, ROWS), slice(1, ROWS + 3)])
@pytest.mark.parametrize("window", WINDOWS)
def test_a_gradient_is_a_sum_over_rows(window, rows):
    padding = window // 2
    x, dy = normal(2 * ROWS, LANES + 7), normal(2 * ROWS, LANES + 7)
    under, zeros = taps(x, window, padding, 1), np.zeros(x.shape[1], np.float32)
    for b in range(window):
        sums = np.zeros((window + 1, LANES), np.float32)
        column_of_weights(window, x, zeros, padding, b - padding, dy, rows.start, rows.stop, sums)
        exact = [*np.einsum("aij,ij->a", under[:, b, rows], dy[rows]), dy[rows].sum(dtype="f8")]
        np.testing.assert_allclose([total(lanes) for lanes in sums], exact, rtol=1e-5, atol=1e-4)


def test_infinities_beyond_an_edge_meet_no_weight():
    """x left of the map is masked, not multiplied by 0: there lies the row above it."""
    x = np.full((8, LANES), np.inf, np.float32)
    x[3:5] = 1
    dy, sums = np.zeros((8, LANES), np.float32), np.zeros((4, LANES), np.float32)
    dy[4, 0] = 1
    column_of_weights(3, x, np.zeros(LANES, np.float32), 1, -1, dy, 4, 5, sums)
    np.testing.assert_array_equal([total(lanes) for lanes in sums[[0, 1, 3]]], [0, 0, 1])
