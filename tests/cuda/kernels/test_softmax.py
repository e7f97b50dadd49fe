"""Softmax and log-softmax on the GPU, along any axis."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from tests.cuda.kernels.comparison import compare, in_float64, outcome, random
from tests.cuda.kernels.examples import examples

OPERATIONS = {"softmax": minidl.softmax, "log_softmax": minidl.log_softmax}
each = pytest.mark.parametrize("name", OPERATIONS)
KERNELS = r"(log_)?softmax_"


@each
@examples(25)
@given(
    shape=st.sampled_from(
        [(1,), (5,), (33, 31), (7, 1), (3, 1000), (2, 1024), (3, 1025), (2, 5000), (4, 3, 5),
         (2, 40, 70), (1, 300, 9), (6, 32)]
    ),
    axis=st.integers(-3, 2),
    dtype=st.sampled_from(["float32", "float16"]),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
)  # fmt: skip
def test_values_and_gradients(name, shape, axis, dtype, scale):
    axis = axis % len(shape) - len(shape) * (axis < 0)
    x = random(*shape, scale=scale)
    compare(lambda x: OPERATIONS[name](x, axis=axis), [x], KERNELS, dtype=dtype, terms=3)


@each
def test_one_launch_each_way(name, launches):
    for shape, form in (((4, 30), "rows"), ((2, 3000), "long_rows")):
        x = minidl.tensor(random(*shape), device="cuda", requires_grad=True)
        OPERATIONS[name](x).backward(minidl.ones_like(x))
        assert launches[f"{name}_{form}_f32"] == launches[f"{name}_{form}_back_f32"] == 1


@each
def test_long_rows_of_halves(name):
    compare(OPERATIONS[name], [random(3, 1700)], KERNELS, dtype="float16")


@each
@pytest.mark.parametrize("n", [40, 1500])
@pytest.mark.parametrize("axis", [0, 1])
def test_infinities_and_nan(name, n, axis):
    x = random(6, n)
    x[0, 3] = -np.inf
    x[1, 5] = np.inf
    x[2, 7] = np.nan
    x[3] = -np.inf
    x[4, 0], x[4, -1] = -np.inf, 1000
    x[5, :33] = -np.inf
    x = x if axis else np.ascontiguousarray(x.T)
    operation = lambda x: OPERATIONS[name](x, axis=axis)
    found, right = outcome(operation, [x])[0], in_float64(operation, [x])[0]
    np.testing.assert_array_equal(np.isnan(found), np.isnan(right))
    np.testing.assert_allclose(found, right, rtol=3e-6, atol=1e-30)


@each
def test_long_ascending_and_equal_rows(name):
    """The roundings of rescaling do not add up, however the maximum rises."""
    for step in (1e-5, 1e-3, 0.1, 0.0):
        x = (np.arange(200_000, dtype="float32") * np.float32(step))[None]
        operation = lambda x: OPERATIONS[name](x)
        found, right = outcome(operation, [x])[0], in_float64(operation, [x])[0]
        scale = np.abs(right).max()
        assert np.abs(found - right).max() <= 4 * 2.0**-24 * scale


def test_views_and_what_is_left_to_the_body(launches):
    x = random(6, 10)
    for view in (lambda x: x.T, lambda x: x[::2], lambda x: x[:, 1:8]):
        compare(lambda x, view=view: minidl.softmax(view(x), axis=0), [x],
                KERNELS + "|add|assign|matrix_transpose")  # fmt: skip
    whole = minidl.softmax(minidl.tensor(x, device="cuda"), axis=None)
    assert abs(float(whole.sum().item()) - 1) < 1e-6
    assert minidl.softmax(minidl.zeros((0, 3), device="cuda")).shape == (0, 3)
