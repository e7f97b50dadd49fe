"""The passes of attention over a block of logits."""

import numpy as np
import pytest

from minidl.backends.kernels.runtime.kernel import compiled
from minidl.backends.kernels.runtime.level import level
from minidl.backends.kernels.simd.attention import exponentials
from minidl.backends.kernels.simd.intrinsics import LANES, pointer

# In units in the last place; a processor without fused multiply-adds rounds more often.
FUSED = level().architecture != "x86_64" or "fma" in level().features
BOUND = 0.9 if FUSED else 1.2


@compiled("f32[n,lanes] f32[lanes] f32[lanes]")
def _exponentials(s, maxima, sums):
    exponentials(1, s.shape[0], pointer(s, 0), LANES, pointer(maxima, 0), pointer(sums, 0))


def exp(x):
    """The exponentials of a vector of numbers."""
    s = np.resize(x, (-(-x.size // LANES), LANES)).astype(np.float32)
    _exponentials(s, np.zeros(LANES, np.float32), np.zeros(LANES, np.float32))
    return s.reshape(-1)[: x.size]


@pytest.mark.parametrize("bounds", [(-1e-3, 0), (-1, 0), (-10, 0), (-86.9, 0), (0, 8), (8, 87)])
def test_exponentials_are_within_their_bound(bounds):
    x = np.linspace(*bounds, 200_000, dtype=np.float32)
    right = np.exp(x.astype(float))
    assert (np.abs(exp(x) - right) / np.spacing(right.astype(np.float32))).max() < BOUND


def test_exponentials_of_special_numbers():
    x = np.array([0, -87.5, -1e5, -np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(exp(x), np.array([1, 0, 0, 0, np.nan], np.float32))


def test_sums_are_added():
    s, sums = np.zeros((7, LANES), np.float32), np.ones(LANES, np.float32)
    _exponentials(s, np.full(LANES, -1, np.float32), sums)
    np.testing.assert_allclose(sums, 1 + 7 * np.e, rtol=1e-6)
