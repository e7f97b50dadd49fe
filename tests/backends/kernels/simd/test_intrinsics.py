"""Vector intrinsics, called by small kernels."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minidl.backends.kernels import simd
from minidl.backends.kernels.runtime import level
from minidl.backends.kernels.runtime.kernel import carray, compiled
from minidl.backends.kernels.simd import intrinsics
from minidl.backends.kernels.simd.intrinsics import (
    LANES,
    advance,
    copy_vector,
    copy_vector_masked,
    gather_transpose,
    pointer,
    pointer_from_address,
    prefetch_for_writing,
    store_bias_clamp,
    transpose_square,
    zero_vector,
)

HERE = Path(__file__).parent
LEVELS = [found.name for found in level.available()]


def counting(*shape, dtype="f4"):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


@compiled("f32[m,n] i64 i64", "i64[m,n] i64 i64", "u8[m,n] i64 i64")
def element(x, offset, count):
    return carray(advance(pointer(x, offset), count), 1)[0]


@compiled("i64 f32[n]")
def element_at(address, like):
    return carray(pointer_from_address(address, like), 1)[0]


@pytest.mark.parametrize("dtype", ["f4", "i8", "u1"])
def test_pointers_count_elements_of_any_dtype(dtype):
    x = counting(3, 5, dtype=dtype)
    assert element(x, 4, 7) == 11
    assert element(x, 4, -3) == 1


def test_an_integer_is_an_address():
    x = counting(5)
    assert element_at(x[3:].ctypes.data, x[:0]) == 3


@compiled("f32[n] f32[n] f32 f32")
def bias_clamp(x, y, bias, clamp_min):
    store_bias_clamp(pointer(x, 0), pointer(y, 0), bias, clamp_min)


def test_the_epilogue_of_a_product_keeps_nan():
    x = counting(LANES) - 2
    x[0] = np.nan
    y = np.empty_like(x)
    bias_clamp(x, y, np.float32(0.5), np.float32(0))
    np.testing.assert_array_equal(y, np.maximum(x + np.float32(0.5), 0))


@compiled("f32[n] f32[n] f32[k,n]")
def copies(x, mask, y):
    for row in range(4):
        prefetch_for_writing(pointer(y, row * y.shape[1]))
    copy_vector(pointer(x, 0), pointer(y[0], 0))
    copy_vector_masked(pointer(x, 0), pointer(mask, 0), pointer(y[1], 0))
    zero_vector(pointer(y[2], 0))


def test_vectors_are_copied_masked_and_zeroed():
    x, mask = 1 + counting(LANES), counting(LANES) - 2
    mask[-1], y = np.nan, np.full((4, LANES), 7, np.float32)
    copies(x, mask, y)
    np.testing.assert_array_equal(y, [x, np.where(mask > 0, x, 0), 0 * x, 7 + 0 * x])


@compiled("f32[m,n] f32[n,m]")
def transpose(x, y):
    transpose_square(pointer(x, 0), x.shape[1], pointer(y, 0), y.shape[1])


@compiled("f32[m,n] i64[k] f32[n,n]")
def gather(x, rows, y):
    gather_transpose(pointer(x, 0), pointer(rows, 0), x.shape[1], pointer(y, 0))


def test_squares_are_transposed():
    x, y = counting(LANES, LANES + 3), np.zeros((LANES, LANES + 1), np.float32)
    transpose(x, y)
    np.testing.assert_array_equal(y, np.pad(x[:, :LANES].T, ((0, 0), (0, 1))))


def test_rows_are_gathered_and_transposed():
    x, y = counting(7, LANES + 1), np.empty((LANES, LANES), np.float32)
    rows = np.arange(LANES) * 3 % 7
    gather(x, rows, y)
    np.testing.assert_array_equal(y, x[rows, :LANES].T)


def test_a_vector_fills_a_register_of_the_level():
    assert level.level().lanes == LANES


@pytest.mark.parametrize(
    "name", [name if name == LEVELS[-1] else pytest.param(name, marks=pytest.mark.full)
             for name in LEVELS[1:]]
)  # fmt: skip
def test_vectors_of_other_levels(name):
    """All of these tests, with vectors of another length."""
    if "MINIDL_LEVEL" in os.environ:
        pytest.skip("inside another run of this test")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", HERE],
        env={**os.environ, "MINIDL_LEVEL": name},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_nothing_here_imports_the_compiler():
    names = [path.stem for path in Path(intrinsics.__file__).parent.glob("[a-z]*.py")]
    code = f"from {simd.__name__} import {', '.join(names)}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numba", "llvmlite.binding"} & set(done.stdout.split())
