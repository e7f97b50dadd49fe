"""Dropout and uniform numbers on the GPU: the CPU's, bit by bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from tests.cuda.kernels.comparison import outcome, random
from tests.cuda.kernels.examples import examples

shapes = st.sampled_from([(1,), (2,), (3,), (7, 5), (8,), (33, 31), (4, 256), (2, 3, 1001), (0, 3)])
words = st.integers(0, 2**64 - 2**20)
KEYS = [(0, 0), (123, 7), (2**63 + 5, 2**33)]


@examples(30)
@given(shape=shapes, seed=words, offset=words)
def test_uniform_numbers(shape, seed, offset):
    x = np.zeros(shape, "float32")
    own, cpu = (
        minidl.uniform_like(minidl.tensor(x, device=device), (seed, offset)).cpu().numpy()
        for device in ("cuda", "cpu")
    )
    np.testing.assert_array_equal(own, cpu)


@examples(30)
@given(
    shape=shapes, seed=words, offset=words, p=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    dtype=st.sampled_from(["float32", "float16"]),
)  # fmt: skip
def test_dropout(shape, seed, offset, p, dtype):
    x = random(*shape).astype(dtype)
    operation = lambda x: minidl.dropout(x, p, key=(seed, offset))
    for own, cpu in zip(outcome(operation, [x]), outcome(operation, [x], "cpu"), strict=True):
        np.testing.assert_array_equal(own, cpu)


@pytest.mark.parametrize("key", KEYS)
def test_one_launch_each_way(key, launches):
    x = minidl.tensor(random(50), device="cuda", requires_grad=True)
    y = minidl.dropout(x, 0.3, key=key)
    assert dict(launches) == {"dropout_f32": 1}
    y.sum().backward()
    assert launches["dropout_back_f32"] == 1


def test_views_that_are_not_aligned():
    x = random(9, 11)
    for view in (lambda x: x[1:], lambda x: x.T):
        operation = lambda x, view=view: minidl.dropout(view(x), 0.5, key=(1, 2))
        for own, cpu in zip(outcome(operation, [x]), outcome(operation, [x], "cpu"), strict=True):
            np.testing.assert_array_equal(own, cpu)
