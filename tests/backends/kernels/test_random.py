"""The kernels of random numbers and of dropout against their bodies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.backends import cpu
from tests.backends.kernels.support import laid_out, rng, run

pytestmark = pytest.mark.usefixtures("of_any_size")

KEYS = [(0, 0), (2**64 - 1, 2**32 - 7), (123456789, 2**53 + 1)]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [4096, 99_999])
def test_uniform_numbers_have_the_same_bits(key, dtype, size, in_pieces):
    like = minidl.zeros(size, dtype=dtype)
    with minidl.kernels("reference"):
        expected = minidl.ops.uniform_like(like, key).numpy()
    for found in in_pieces(lambda: minidl.ops.uniform_like(like, key)):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


@given(laid_out(), st.sampled_from([0.0, 0.1, 0.5, 0.99999999, 1.0]), st.sampled_from(KEYS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_drops_the_same_elements(dtype, x, p, key):
    x = x.astype(dtype, order="K")
    dropped = lambda x: minidl.dropout(x, p, key=key)
    dy = rng.normal(size=x.shape[::-1]).astype(dtype).T
    for fast, slow in zip(*(run(k, dropped, x, dy) for k in ("fast", "reference")), strict=True):
        np.testing.assert_array_equal(fast, slow)
        assert fast.dtype == slow.dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_with_any_number_of_threads(dtype, in_pieces):
    x = rng.normal(size=(301, 333)).astype(dtype)
    x[5, 3:60] = np.nan
    dropped = lambda x: minidl.dropout(x, 0.3, key=(7, 11))
    expected = run("reference", dropped, x, x)
    for found in in_pieces(lambda: run("fast", dropped, x, x)):
        np.testing.assert_array_equal(found, expected)


def test_keys_beyond_the_integers_of_the_kernel_are_left_to_the_body():
    x = np.ones(5000, np.float32)
    for key in [(2**64, 0), (0, 2**64 - 10), (-1, 0), (0, -1)]:
        assert cpu.kernel("dropout")(x, 0.5, key=key) is NotImplemented
        assert cpu.kernel("uniform_like")(x, key) is NotImplemented
