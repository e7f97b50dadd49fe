"""Sums: exact to one rounding over axes that lie side by side; one more for each that does not."""

import math

import cupy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl_cuda as backend
from minidl_cuda.kernels import sum as kernels

SHAPES = [(1,), (7,), (300,), (5000,), (3, 5), (1, 1000), (1000, 1), (33, 70), (2, 3, 4, 5), (0, 3)]
NAMES = {"float16": "f16", "float32": "f32", "float64": "f64"}


def axes_of(ndim):
    yield None
    yield from range(ndim)
    if ndim > 2:
        yield from [(0, 2), (1, 3), (1, 2), (0, 1, 3)]


def exact(x, axis, keepdims):
    """Sums of float64 by fsum, of every slice."""
    axes = range(x.ndim) if axis is None else np.atleast_1d(axis)
    kept = [i for i in range(x.ndim) if i not in axes]
    rows = x.astype("float64").transpose([*kept, *axes])
    shape = [x.shape[i] for i in kept]
    rows = rows.reshape(math.prod(shape), -1) if x.size else np.zeros((math.prod(shape), 0))
    sums = np.array([math.fsum(row) for row in rows]).reshape(shape)
    return np.expand_dims(sums, tuple(axes)) if keepdims else sums


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_are_exact_to_one_rounding(shape, dtype, launches):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    for axis in axes_of(len(shape)):
        for keepdims in (False, True):
            y = cupy.asnumpy(backend.sum(cupy.asarray(x), axis=axis, keepdims=keepdims))
            expected = exact(x, axis, keepdims)
            assert (y.dtype, y.shape) == (dtype, expected.shape)
            error = np.abs(y - expected)
            scale = exact(np.abs(x), axis, keepdims)
            half = np.finfo(dtype).eps / 2
            apart = axis in [(0, 2), (1, 3), (0, 1, 3)]  # these axes are summed in two passes
            first = half * scale * (2 if dtype == "float64" else 1) if apart else 0
            assert (error <= half * np.abs(expected) * 1.001 + first + 1e-3 * half * scale).all()
    if 0 not in shape and shape != (1,):
        assert any(name.startswith("sum_") for name in launches)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_views_and_complex_numbers(dtype):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, 40, 5)).astype(dtype)
    if x.dtype.kind == "c":
        x = x + 1j * rng.standard_normal(x.shape).astype(x.real.dtype)
    on_gpu = cupy.asarray(x)
    views = {
        "transposed": (x.T, on_gpu.T),
        "every second": (x[::2, ::-1], on_gpu[::2, ::-1]),
        "broadcast": (
            np.broadcast_to(x[:, :1], x.shape),
            cupy.broadcast_to(on_gpu[:, :1], x.shape),
        ),
    }
    for host, device in views.values():
        for axis in (None, 0, 1, 2, (0, 2)):
            y = cupy.asnumpy(backend.sum(device, axis=axis, keepdims=False))
            wide = host.astype("complex128" if x.dtype.kind == "c" else "float64")
            np.testing.assert_allclose(y, wide.sum(axis), rtol=1e-5, atol=1e-5)


def test_long_sums_take_several_passes(monkeypatch, launches):
    monkeypatch.setattr(kernels, "_ENOUGH", 64)
    x = np.full((2, 100_000), np.float32(0.1))
    y = backend.sum(cupy.asarray(x), axis=1, keepdims=False)
    expected = float(np.float32(0.1)) * 100_000
    np.testing.assert_array_equal(cupy.asnumpy(y), np.float32([expected, expected]))
    assert launches["sum_rows_f32_parts"] == 1
    assert launches["sum_rows_parts_f32"] == 1
    z = backend.sum(cupy.asarray(np.ascontiguousarray(x.T)), axis=0, keepdims=False)
    np.testing.assert_array_equal(cupy.asnumpy(z), np.float32([expected, expected]))
    assert launches["sum_columns_f32_parts"] == 1


@given(
    before=st.integers(1, 3), n=st.integers(1, 200), behind=st.sampled_from([1, 2, 31, 33, 70]),
    dtype=st.sampled_from(list(NAMES)),
)  # fmt: skip
def test_any_number_of_passes(before, n, behind, dtype):
    """Chunks of 4, so that small sums take up to four passes of pairs."""
    x = np.random.default_rng(n).standard_normal((before, n, behind)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_FEWEST", 4)
        y = cupy.asnumpy(kernels.sum_rows(cupy.asarray(x), before, n, behind))
    assert_rounded_once(y, x)


@pytest.mark.parametrize("behind", [1, 3])
@pytest.mark.parametrize("dtype", NAMES)
def test_more_chunks_than_one_pass_adds(dtype, behind, launches):
    """A pass adds elements to pairs, one adds pairs to pairs, and the last one rounds."""
    x = np.random.default_rng(3).standard_normal((1, 70_000, behind)).astype(dtype)
    y = cupy.asnumpy(kernels.sum_rows(cupy.asarray(x), 1, 70_000, behind))
    assert_rounded_once(y, x)
    form, name = "rows" if behind == 1 else "columns", NAMES[dtype]
    work = "f64" if dtype == "float64" else "f32"
    for suffix in (f"{name}_parts", f"parts_{work}_parts", f"parts_{name}"):
        assert launches[f"sum_{form}_{suffix}"] == 1


def assert_rounded_once(y, x):
    """y is Σ over the middle axis of x, within 1.002 halves of a unit, and 10⁻³ of one of Σ|x|."""
    expected, half = exact(x, 1, False), np.finfo(x.dtype).eps / 2
    assert (y.dtype, y.shape) == (x.dtype, expected.shape)
    bound = 1.002 * np.abs(expected) + 1e-3 * exact(np.abs(x), 1, False)
    assert (np.abs(y - expected) <= half * bound + np.finfo(x.dtype).smallest_subnormal).all()


def test_infinities_and_nan():
    for values in ([np.inf, 1], [np.inf, -np.inf], [np.nan, 1], [-np.inf, 3e38, 3e38]):
        x = np.array(values, "float32")
        y = cupy.asnumpy(backend.sum(cupy.asarray(x), axis=None, keepdims=False))
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(y, x.sum())


def test_integers_are_exact():
    x = np.array([2**62, 2**61, -(2**60), 5])
    assert backend.sum(cupy.asarray(x), axis=None, keepdims=False).item() == x.sum()
    assert backend.sum(cupy.ones(7, bool), axis=None, keepdims=False).dtype == "int64"
