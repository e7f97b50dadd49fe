"""Reductions of segments, against PyTorch's."""

import numpy as np
import pytest

import minidl
from minidl import ops
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import assert_same, random
from tests.toy_backend import TOY

IDS = np.array([2, 0, 2, 1, 0, 5])


@pytest.mark.parametrize(("name", "torchs", "of_none"), [
    ("sum", "sum", 0), ("mean", "mean", 0), ("max", "amax", -np.inf), ("min", "amin", np.inf),
])  # fmt: skip
@pytest.mark.parametrize("ties", [False, True])
def test_segments_are_pytorchs(name, torchs, of_none, ties):
    x = np.round(random(6, 3)) if ties else random(6, 3)

    def theirs(x):
        empty = torch.full((7, 3), float(of_none), dtype=x.dtype)
        ids = torch.tensor(IDS)[:, None].expand(6, 3)
        y = empty.scatter_reduce(0, ids, x, torchs, include_self=False)
        return torch.where(torch.isinf(y), 0, y)

    def ours(x):
        y = getattr(ops, f"segment_{name}")(x, IDS, 7)
        return ops.where(ops.isinf(y), 0, y)

    assert_same(ours, theirs, x, second=not ties)
    assert getattr(ops, f"segment_{name}")(x, IDS)[3].tolist() == [of_none] * 3


def test_segments_of_integers_and_nan():
    for dtype in ("uint8", "int8", "int64"):
        x, limits = np.arange(6).astype(dtype), np.iinfo(dtype)
        assert ops.segment_max(x, IDS).tolist() == [4, 3, 2, limits.min, limits.min, 5]
        assert ops.segment_min(x, IDS).tolist() == [1, 3, 0, limits.max, limits.max, 5]
        assert ops.segment_max(x, IDS).dtype == dtype
    x = np.array([1, 2, np.nan, 4, 5, 6])
    for extreme in (ops.segment_max, ops.segment_min):
        assert np.isnan(extreme(x, IDS)[[0, 1, 2]].numpy()).tolist() == [False, False, True]


def test_segments_of_nothing():
    nothing = np.zeros((0, 2)), np.zeros(0, int)
    assert ops.segment_sum(*nothing).shape == (0, 2)
    assert ops.segment_max(*nothing, 2).tolist() == [[-np.inf] * 2] * 2


def test_segments_on_any_backend():
    x = ops.to_device(random(6, 3), TOY)
    y = ops.segment_max(x, ops.to_device(IDS, TOY), 7)
    assert_close(y.to_device("cpu"), ops.segment_max(random(6, 3), IDS, 7), 0)


def test_products_of_segments_with_zeros_have_gradients():
    x = minidl.tensor([0.0, 2.0, 0.0, 5.0], requires_grad=True)
    ops.segment_prod(x, minidl.tensor([1, 1, 2, 0]), 4).sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 1.0, 1.0]
    assert ops.segment_prod(np.zeros((0, 2)), np.zeros(0, int), 3).tolist() == [[1.0, 1.0]] * 3
