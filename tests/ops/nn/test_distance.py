"""Distances of all pairs, against PyTorch's."""

import math

import pytest

from minidl import ops
from tests.oracle import functional
from tests.parity import assert_same, both, random


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, math.inf])
def test_distances_of_pairs_are_pytorchs(p):
    x1, x2 = random(2, 4, 3), random(2, 5, 3)
    assert_same(*both("cdist", p), x1, x2, second=False)
    assert_same(*both("cdist", p), x1[0], x2, second=False)
    x1[0, 1] = x1[0, 0]  # a distance of 0
    assert_same(*both("cdist", p), x1, x1, second=False)
    ours = lambda x: ops.pdist(x, p)
    assert_same(ours, lambda x: functional.pdist(x, p), x1[0], second=False)


def test_distances_of_nothing():
    for shape in ((4, 0), (0, 3), (1, 3)):
        x = ops.ones(shape)
        assert ops.cdist(x, x).shape == (shape[0],) * 2
        assert ops.pdist(x).shape == (shape[0] * (shape[0] - 1) // 2,)
