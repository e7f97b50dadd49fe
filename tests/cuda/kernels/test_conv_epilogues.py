"""Transposed convolution on the GPU, and the epilogues of convolution."""

import numpy as np
import pytest

import minidl
from tests.backends.kernels.conv.test_conv2d import SMALL
from tests.cuda.kernels.convolution import (
    CASES,
    U,
    algorithm,
    assert_is_right,
    each_dtype,
    inputs,
    on_gpu,
    outcome,
    random,
    tiles,
)
from tests.ops.nn import fused

TRANSPOSED = {
    "plain": ((2, 3, 5, 6), (3, 4, 3, 3), {}),
    "strided": (
        (2, 4, 5, 4),
        (4, 3, 3, 2),
        {"stride": (2, 3), "padding": 1, "output_padding": (1, 0)},
    ),
    "in groups": ((2, 4, 5, 4), (4, 3, 3, 3), {"stride": 2, "groups": 2}),
    "each channel": ((2, 4, 5, 4), (4, 1, 3, 3), {"stride": 2, "groups": 4}),
    "two of each": ((2, 4, 5, 4), (4, 2, 3, 3), {"stride": 2, "groups": 4}),
    "no window there": ((1, 2, 3, 3), (2, 2, 1, 2), {"stride": 4, "output_padding": 3}),
    "dilated": ((1, 2, 4, 5), (2, 3, 3, 3), {"dilation": (2, 3), "padding": (1, 2)}),
}


@each_dtype
@pytest.mark.parametrize("which", ["usual", "tall"])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolution(case, which, dtype):
    x, weight, settings = TRANSPOSED[case]
    outputs = weight[1] * settings.get("groups", 1)
    arrays = [random(*s, seed=i).astype(dtype) for i, s in enumerate((x, weight, (outputs,)))]
    with tiles(which):
        assert_is_right(minidl.conv_transpose2d, arrays, settings, bias_terms=1)
    if dtype == "float32":
        with algorithm("im2col"):
            assert_is_right(minidl.conv_transpose2d, arrays, settings, bias_terms=1)


# Epilogues.

EPILOGUES = {"conv2d_relu": fused.conv2d_relu, "conv2d_pool_relu": fused.conv2d_pool_relu}


def away_from_zero(arrays):
    """Values of y on whose sign float32 and float64 agree: those of an output have one sign."""
    arrays = [np.abs(array) + np.asarray(0.1, array.dtype) for array in arrays]
    for each in arrays[1:]:
        each[::2] *= -1
    return arrays


@pytest.mark.sampled(0.4)
@each_dtype
@pytest.mark.parametrize("which", ["usual", "tall"])
@pytest.mark.parametrize("case", ["plain", "in groups", "each channel", "strided", "several tiles"])
@pytest.mark.parametrize("name", EPILOGUES)
def test_epilogues(name, case, which, dtype):
    x, weight, settings = CASES[case]
    arrays = away_from_zero(inputs(x, weight, dtype=dtype))
    operation = EPILOGUES[name]
    apart = lambda *tensors, **settings: parts_of(name, minidl.conv2d(*tensors, **settings))
    with tiles(which):
        joined = on_gpu(operation, arrays, settings)
        assert 0 < np.count_nonzero(joined[0]) < joined[0].size
        for one, other in zip(joined, outcome(apart, arrays, settings), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=4 * U[dtype] * np.abs(other).max())


def parts_of(name, y):
    return minidl.relu(minidl.max_pool2d(y, 2) if "pool" in name else y)


@pytest.mark.parametrize("name", EPILOGUES)
def test_epilogues_of_numbers_that_are_not_finite(name):
    arrays = inputs(*SMALL["plain"][:2])
    arrays[0][0, 0, 2, 3], arrays[0][1, 1, 0, 0] = np.nan, np.inf
    apart = lambda *tensors: parts_of(name, minidl.conv2d(*tensors))
    joined, needed = (outcome(f, arrays, {}) for f in (EPILOGUES[name], apart))
    assert np.isnan(joined[0]).any()
    assert np.isinf(joined[0]).any()
    for one, other in zip(joined, needed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def test_a_pooling_of_other_windows_is_no_epilogue():
    arrays = inputs(*SMALL["plain"][:2])
    found = outcome(fused.conv2d_pool_relu, arrays, {"pool": (3, 1)})
    needed = outcome(fused.conv2d_pool_relu, arrays, {"pool": (3, 1)}, device="cpu")
    for one, other in zip(found, needed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
