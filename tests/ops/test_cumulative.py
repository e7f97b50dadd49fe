"""Cumulative extremes and sums of exponentials, against PyTorch's."""

import numpy as np
import pytest

from minidl import ops
from tests.oracle import torch
from tests.parity import assert_same, distinct

each_axis = pytest.mark.parametrize("axis", [0, 1, -1])
X = distinct(3, 5, 4)
HOLES = X.copy()
HOLES[0, 1, 2] = HOLES[1, :, 1] = np.nan


@each_axis
@pytest.mark.parametrize("name", ["max", "min"])
def test_cumulative_extremes(name, axis):
    ours = lambda x: getattr(ops, f"cumulative_{name}")(x, axis=axis)
    theirs = lambda x: tuple(getattr(torch, f"cum{name}")(x, axis))
    assert_same(ours, theirs, X)
    ties = np.where(np.isnan(HOLES), HOLES, np.round(X / 2))
    for found, needed in zip(ours(ties), theirs(torch.tensor(ties)), strict=True):
        np.testing.assert_array_equal(found, needed)


@each_axis
def test_cumulative_logsumexp(axis):
    ours = lambda x: ops.cumulative_logsumexp(x, axis=axis)
    assert_same(ours, lambda x: torch.logcumsumexp(x, axis), X * 100)
    endless = np.array([-np.inf, -np.inf, 1, np.inf, 2])
    assert ops.cumulative_logsumexp(endless).tolist() == [-np.inf, -np.inf, 1, np.inf, np.inf]
