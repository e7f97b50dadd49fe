"""Fractional max pooling, against PyTorch's."""

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from tests.oracle import functional, torch
from tests.parity import assert_same, random

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@each_dtype
@pytest.mark.parametrize("n", [2, 3])
def test_fractional_pools_are_pytorchs(n, dtype):
    for size, output in ((2, 5), ((3,) * n, (6, 4, 7)[:n]), (1, (7, 1, 8)[:n])):
        samples = np.random.default_rng(1).uniform(0, 1, (2, 3, n)).astype(dtype)
        name = f"FractionalMaxPool{n}d"
        settings = {"kernel_size": size, "output_size": output, "return_indices": True}
        ours = getattr(nn, name)(**settings, _random_samples=minidl.asarray(samples))
        theirs = getattr(torch.nn, name)(**settings, _random_samples=torch.tensor(samples))
        x = random(2, 3, *(9, 11, 10)[:n], dtype=dtype)
        places, their_places = ours(minidl.asarray(x))[1], theirs(torch.tensor(x))[1]
        np.testing.assert_array_equal(places, their_places)
        assert_same(lambda x, f=ours: f(x)[0], lambda x, f=theirs: f(x)[0], x)


def test_fractional_pools_meet_any_ratio_and_differ_from_call_to_call():
    layer = nn.FractionalMaxPool2d(2, output_ratio=(0.5, 0.7))
    x = minidl.asarray(random(1, 8, 20, 20))
    first, second = layer(x), layer(x)
    assert first.shape == (1, 8, 10, 14)
    assert not np.array_equal(first, second)
    minidl.manual_seed(3)
    third = layer(x[0])
    minidl.manual_seed(3)
    np.testing.assert_array_equal(layer(x)[0], third)


def test_fractional_pools_show_nan():
    x = np.zeros((1, 5, 5))
    x[0, 2, 2] = np.nan
    y = ops.fractional_max_pool2d(x, minidl.zeros((1, 1, 2)), 2, 4).numpy()
    theirs = functional.fractional_max_pool2d(
        torch.tensor(x), 2, 4, _random_samples=torch.zeros((1, 1, 2), dtype=torch.float64)
    )
    np.testing.assert_array_equal(y, theirs)
