"""2 × 2 max pooling of vectors of windows."""

import numpy as np
import pytest

from minidl.backends.kernels.runtime.kernel import compiled
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.max_pool import NO_ARGMAX_TAP, max_of_four, scatter_row


@compiled("f32[r,w] f32[n] u8[n] f32 bool")
def pool(x, y, argmax, bias, relu):
    top, bottom = pointer(x, 0), pointer(x, x.shape[1])
    max_of_four(top, bottom, pointer(y, 0), pointer(argmax, 0), bias, relu)


@compiled("f32[n] u8[n] f32[r,w]")
def scatter(dy, argmax, dx):
    for row in range(2):
        scatter_row(pointer(dy, 0), pointer(argmax, 0), 2 * row, pointer(dx, row * dx.shape[1]))


def rows():
    x = np.random.default_rng(0).standard_normal((2, 2 * LANES)).astype(np.float32)
    x[:, :2] = 1.5  # the first of equal ones
    x[:, 2:4], x[1, 3] = 1, np.nan
    x[:, 4:6] = -3
    return x


def windows(x):
    return x.reshape(2, LANES, 2).transpose(1, 0, 2).reshape(LANES, 4)


@pytest.mark.parametrize("relu", [False, True])
def test_maximum_and_its_tap(relu):
    x, y, argmax = rows(), np.empty(LANES, np.float32), np.empty(LANES, np.uint8)
    pool(x, y, argmax, np.float32(0.5), relu)
    taps = windows(x) + np.float32(0.5)
    expected, at = taps.max(1), taps.argmax(1)
    if relu:
        at = np.where(expected > 0, at, NO_ARGMAX_TAP)
        expected = np.maximum(expected, 0)
        at[1] = NO_ARGMAX_TAP  # NaN is not positive
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(argmax, at)


def test_a_gradient_goes_to_the_tap():
    argmax = np.resize(np.array([0, 1, 2, 3, NO_ARGMAX_TAP], np.uint8), LANES)
    dy, dx = 1 + np.arange(LANES, dtype=np.float32), np.empty((2, 2 * LANES), np.float32)
    scatter(dy, argmax, dx)
    expected = np.where(argmax[:, None] == np.arange(4), dy[:, None], 0)
    np.testing.assert_array_equal(windows(dx), expected)
