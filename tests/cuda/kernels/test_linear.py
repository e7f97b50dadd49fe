"""Linear layers on the GPU: products, bias and ReLU, and the exact sum of the bias's gradient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn
from minidl.ops.nn.fused import fused
from tests.cuda.kernels.comparison import compare, random
from tests.cuda.kernels.examples import examples
from tests.exactness import KINDS, excess, hostile

KERNELS = "linear_|matmul|product_|sum_|cublas"


def with_relu(x, weight, bias=None):
    return fused(x, weight, bias, operations=("linear", "relu"), settings=((), ()))


@examples(40)
@given(
    shape=st.sampled_from([(1,), (1, 1), (4, 3), (33, 20), (2, 3, 8), (130, 17), (600, 5)]),
    outputs=st.sampled_from([1, 3, 4, 8, 37]),
    biased=st.booleans(),
    operation=st.sampled_from([minidl.linear, with_relu]),
    dtype=st.sampled_from(["float32", "float16"]),
)
def test_values_and_gradients(shape, outputs, biased, operation, dtype):
    bias = random(outputs, seed=3) if biased else None
    arrays = [random(*shape), random(outputs, shape[-1], seed=2), bias]
    compare(operation, arrays, KERNELS, dtype=dtype, terms=3 * shape[-1] ** 0.5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [100, 5000])
def test_the_gradient_of_the_bias_is_exact(kind, rows):
    dy = hostile(kind, (rows, 3), "float32")
    x, weight, bias = (
        minidl.tensor(a, device="cuda", requires_grad=True)
        for a in (random(rows, 2), random(3, 2), random(3))
    )
    y = minidl.linear(x, weight, bias)
    (db,) = minidl.gradients(y, [bias], [minidl.tensor(dy, device="cuda")])
    assert excess(db.cpu().numpy(), dy, 0) <= 1


def test_nan_passes_a_relu():
    x = random(4, 3)
    x[1] = np.nan
    compare(with_relu, [x, random(2, 3), random(2)], KERNELS)


def test_launches_of_a_layer(launches):
    x = minidl.tensor(random(64, 20), device="cuda")
    layers = nn.Sequential(nn.Linear(20, 32), nn.ReLU()).to("cuda")
    launches.clear()
    y = layers(x)
    assert launches["linear_bias_f32"] == 1
    assert sum(launches.values()) == 2
    dy = minidl.tensor(random(64, 32), device="cuda")
    launches.clear()
    minidl.gradients(y, list(layers.parameters()), [dy])
    assert launches["linear_sums_f32"] == 1
    assert sum(launches.values()) == 2
