"""Elementary functions over all of float32, against float64."""

from functools import cache

import numpy as np
import pytest
from scipy import special

from minidl.backends.kernels.compiler import emit
from minidl.backends.kernels.runtime.kernel import chunk_bounds, compiled, parallel
from minidl.backends.kernels.runtime.level import level
from minidl.backends.kernels.simd import math

# Whether the processor has fused multiply-adds.
FUSED = level().architecture != "x86_64" or "fma" in level().features
# The function in float64, and the largest error in units in the last place.
FUNCTIONS = {
    "exp32": (np.exp, 1.02),
    "expm1_32": (np.expm1, 1.45 if FUSED else 1.57),
    "log32": (np.log, 0.86),
    "log1p_32": (np.log1p, 0.87),
    "sigmoid32": (special.expit, 1.65 if FUSED else 1.82),
    "gate32": (lambda x: np.where(x < -87, 0, special.expit(x)), 2.5),
    "tanh32": (np.tanh, 1.4),
    "erf32": (special.erf, 1.12 if FUSED else 1.33),
}


@cache
def looped(name):
    """A kernel that applies the function to each element."""
    function = getattr(math, name)

    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    loop.__qualname__ = f"loop_{name}"
    return compiled("f32[n] f32[n]")(loop)


@compiled("f32[n]")
def total(x):
    return math.sum32(x)


@compiled("f32[n]")
def wide_total(x):
    return math.wide_sum32(x)


@compiled("f32[n] f32[n]")
def product(x, y):
    return math.wide_dot32(x, y)


@compiled("f32[n]")
def largest(x):
    return math.max32(x)


@compiled("f32[n] f32[n]")
def exponentials(x, y):
    return math.exp_shifted32(x, y)


SPECIAL = [0, 1, np.inf, np.nan, 1.4e-45, 1.1754944e-38, 88.72283, 88.72284, 103.97, 104, 3e38]


def patterns(step):
    """Every step-th bit pattern of float32, in chunks: all signs, exponents, infinities, NaNs."""
    yield np.array([*SPECIAL, *np.negative(SPECIAL)], np.float32)
    for start in range(0, 2**32, 2**26):
        bits = np.arange(start, min(start + 2**26, 2**32), step, dtype=np.int64)
        yield bits.astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("step", [997, pytest.param(1, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_over_all_of_float32(name, step):
    reference, most = FUNCTIONS[name]
    function = looped(name)
    for x in patterns(step):
        y = np.empty_like(x)
        function(x, y)
        with np.errstate(all="ignore"):
            exact = reference(x.astype(np.float64))
            rounded = exact.astype(np.float32)
        finite = np.isfinite(rounded)
        np.testing.assert_array_equal(y[~finite], rounded[~finite])
        assert np.isfinite(y[finite]).all()
        ulp = np.abs(y[finite] - exact[finite]) / np.spacing(np.abs(rounded[finite]))
        assert ulp.max(initial=0) <= most
        signed = ~np.isnan(rounded)
        np.testing.assert_array_equal(np.signbit(y[signed]), np.signbit(rounded[signed]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_are_made_of_vector_instructions(name):
    """LLVM multiplies vectors, and calls no function for a single element."""
    kernel = looped(name)
    code, _ = emit.instructions(kernel, kernel.signatures[0])
    assert "fmul contract <" in code or "fmul <" in code


@parallel("f32[n] f32[n]", wide=True)
def _add_in_full_vectors(x, y, chunk, chunks):
    start, stop = chunk_bounds(x.size, chunk, chunks)
    own, total = x[start:stop], y[start:stop]
    for i in range(own.size):
        total[i] += own[i]


def test_loops_of_wide_kernels_use_vectors_of_the_full_width():
    kernel = _add_in_full_vectors
    code, _ = emit.instructions(kernel, kernel.signatures[0])
    assert f"fadd contract <{level().lanes} x float>" in code


@pytest.mark.parametrize("size", [1, 2, 7, 31, 32, 33, 1000])
def test_sums_and_extremes_of_rows(size):
    x = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    y = np.flip(x).copy()
    assert total(x) == pytest.approx(x.sum(dtype="float64"), abs=1e-4)
    assert wide_total(x) == pytest.approx(x.sum(dtype="float64"), abs=1e-4)
    assert product(x, y) == pytest.approx((x * y).sum(dtype="float64"), abs=1e-4)
    assert largest(x) == x.max()
    assert largest(-abs(x)) == -abs(x).min()
    x[size // 2] = np.inf
    assert largest(x) == np.inf
    assert largest(np.full(size, -np.inf, np.float32)) == -np.inf


def test_numerators_of_a_softmax():
    x = np.array([3, -np.inf, 1000, 999], np.float32)
    y = np.empty_like(x)
    most, sum_of_y = exponentials(x, y)
    assert most == 1000
    np.testing.assert_allclose(y, np.exp(x - 1000.0), rtol=1e-6)
    assert sum_of_y == pytest.approx(y.sum())
    for bad in (np.nan, np.inf):
        x[0] = bad
        assert np.isnan(exponentials(x, y)[1])
    assert np.isnan(exponentials(np.full(4, -np.inf, np.float32), y)[1])
