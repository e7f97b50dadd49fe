"""Selection by rank and quantiles, against PyTorch's and NumPy's."""

import math
from itertools import product

import numpy as np
import pytest

import minidl
from minidl import ops
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import assert_same, distinct

each_axis = pytest.mark.parametrize("axis", [0, 1, -1])
X = distinct(3, 5, 4)
HOLES = X.copy()
HOLES[0, 1, 2] = HOLES[1, :, 1] = np.nan
BETWEEN = ["linear", "lower", "higher", "nearest", "midpoint"]


@each_axis
@pytest.mark.parametrize("largest", [True, False])
def test_topk(axis, largest):
    for k in (0, 1, 3):
        ours = lambda x, k=k: ops.topk(x, k, axis=axis, largest=largest)
        assert_same(ours, lambda x, k=k: torch.topk(x, k, axis, largest), X)
    ours, theirs = (ops.topk(HOLES, 2, axis=axis), torch.topk(torch.tensor(HOLES), 2, axis))
    np.testing.assert_array_equal(ours[0], theirs[0])


@each_axis
@pytest.mark.parametrize("keepdims", [True, False])
def test_kthvalue(axis, keepdims):
    for k in (1, 3):
        ours = lambda x, k=k: ops.kthvalue(x, k, axis=axis, keepdims=keepdims)
        assert_same(ours, lambda x, k=k: torch.kthvalue(x, k, axis, keepdims), X)


@pytest.mark.parametrize("interpolation", BETWEEN)
@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_quantiles_are_pytorchs(name, interpolation):
    for q, axis, keepdims in product(
        (0.13, [0.0, 0.25, 0.9, 1.0], []), (None, 0, -1), (True, False)
    ):
        settings = {"keepdims": keepdims, "interpolation": interpolation}
        ours = lambda x, q=q, a=axis, s=settings: getattr(ops, name)(x, q, axis=a, **s)
        theirs = lambda x, q=q, a=axis, k=keepdims: getattr(torch, name)(
            x, torch.tensor(q, dtype=x.dtype), a, k, interpolation=interpolation
        )
        assert_same(ours, theirs, X, second=False)
        assert_close(ours(HOLES), theirs(torch.tensor(HOLES)), 1e-12)


def test_quantiles_of_several_axes_are_numpys():
    assert_close(ops.quantile(X, 0.3, axis=(0, 2)), np.quantile(X, 0.3, axis=(0, 2)), 1e-12)
    assert_close(ops.median(X, axis=(2, 0)), np.median(X, axis=(2, 0)), 1e-12)
    assert math.isnan(ops.median(HOLES).item())


@pytest.mark.parametrize("q", [-0.01, 1.01, [0.5, 2.0], np.nan])
def test_q_is_between_0_and_1(q):
    for quantile in (ops.quantile, ops.nanquantile):
        reason = f"{quantile.__name__}: q lies between 0 and 1"
        with pytest.raises(minidl.errors.ArgumentError, match=reason):
            quantile(np.ones(3), q)


def test_a_quantile_of_an_axis_twice_is_refused():
    with pytest.raises(minidl.errors.ShapeError, match="quantile: an axis is named twice"):
        ops.quantile(np.ones((3, 3)), 0.5, axis=(0, -2))


def test_quantiles_between_infinities():
    x = np.array([1.0, np.inf, np.inf, np.inf])
    assert ops.quantile(x, [0, 0.5, 0.9, 1]).tolist() == [1, np.inf, np.inf, np.inf]
