"""The triplet loss of any distance, against PyTorch's."""

import pytest

import minidl
from tests.oracle import torch
from tests.parity import assert_same, random

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@each_dtype
@pytest.mark.parametrize("swap", [False, True])
def test_triplets_of_any_distance_are_pytorchs(swap, dtype):
    xs = [random(4, 3, seed=i, dtype=dtype) for i in range(3)]
    for reduction in ("none", "mean", "sum"):
        settings = {"margin": 2.0, "swap": swap, "reduction": reduction}
        for distance in (None, lambda a, b: ((a - b) ** 4).sum(axis=-1)):
            ours, theirs = (
                library.nn.TripletMarginWithDistanceLoss(distance_function=distance, **settings)
                for library in (minidl, torch)
            )
            assert_same(ours, theirs, *xs)
