"""Functions element by element on the GPU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from tests.cuda.kernels.comparison import compare, random
from tests.cuda.kernels.examples import examples

OPERATIONS = {
    "exp": minidl.exp,
    "log": lambda x: minidl.log(x),
    "tanh": minidl.tanh,
    "sigmoid": minidl.sigmoid,
    "erf": minidl.erf,
    "silu": minidl.silu,
    "gelu": minidl.gelu,
    "gelu_tanh": lambda x: minidl.gelu(x, approximate="tanh"),
    "relu": minidl.relu,
    "leaky_relu": lambda x: minidl.leaky_relu(x, 0.2),
    "elu": lambda x: minidl.elu(x, 1.5),
    "softplus": lambda x: minidl.softplus(x, 2.0, 5.0),
}
SPECIAL = np.float32([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 88, -88, 100, -100, 1e-30, 1e20])
each = pytest.mark.parametrize("name", OPERATIONS)


@each
@examples(15)
@given(
    shape=st.sampled_from([(), (1,), (3,), (4,), (8,), (31,), (5, 7), (2, 1024), (1, 1025)]),
    dtype=st.sampled_from(["float32", "float16"]),
    seed=st.integers(0, 99),
)
def test_values_and_gradients(name, shape, dtype, seed):
    x = random(*shape, seed=seed, scale=2.0)
    x = np.abs(x) if name == "log" else x
    compare(OPERATIONS[name], [x], f"{name}_", dtype=dtype)


@each
def test_special_numbers(name):
    compare(OPERATIONS[name], [SPECIAL], f"{name}_", dys=[np.ones_like(SPECIAL)])


@each
def test_a_gradient_of_0_stays_0(name):
    found = compare(OPERATIONS[name], [SPECIAL], f"{name}_", dys=[np.zeros_like(SPECIAL)])
    slopes = found[1][~np.isnan(SPECIAL)]
    assert not slopes.any()


@each
def test_one_launch_each_way(name, launches):
    x = minidl.tensor(np.abs(random(100)), device="cuda", requires_grad=True)
    y = OPERATIONS[name](x)
    assert dict(launches) == {f"{name}_f32": 1}
    y.backward(minidl.ones_like(x).reshape((100,)))
    assert launches[f"{name}_back_f32"] == 1


@each
def test_views_that_are_not_aligned(name):
    x = np.abs(random(12, 9))
    for view in (lambda x: x[1:], lambda x: x.T, lambda x: x[:, ::2]):
        operation = lambda x, view=view: OPERATIONS[name](view(x))
        compare(operation, [x], f"{name}_|add|assign|matrix_transpose")


def test_after_a_sum_dy_is_read_from_one_place(launches):
    x = minidl.tensor(random(64, 64), device="cuda", requires_grad=True)
    minidl.tanh(x).sum().backward()
    assert launches["tanh_back_f32"] == 1
    assert "ascontiguousarray" not in launches
    y = np.tanh(x.cpu().numpy())
    np.testing.assert_allclose(x.grad.cpu().numpy(), 1 - y * y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_products(dtype):
    x, y = random(5, 77), random(5, 77, seed=1)
    x[0, 0] = np.inf
    compare(lambda x, y: x * y, [x, y], "mul|times_back_", dtype=dtype)
    compare(lambda x, y: x * y, [x, y], "mul|times_back_", dtype=dtype,
            dys=[np.zeros((5, 77), dtype)])  # fmt: skip
