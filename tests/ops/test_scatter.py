"""Scattered values and their reductions, against PyTorch's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.errors import BoundsError, MinidlError
from tests.oracle import torch
from tests.parity import assert_same, distinct, random

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
REDUCTIONS = ["sum", "prod", "mean", "amax", "amin"]


@each_dtype
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_put_along_axis_is_scatter(axis, dtype):
    shape = [3, 4, 2]
    shape[axis] = 1
    ids = np.random.default_rng(0).integers(0, [3, 4, 2][axis], shape)
    ours = lambda x, v: ops.put_along_axis(x, ids, v, axis=axis)
    theirs = lambda x, v: x.scatter(axis, torch.tensor(ids), v)
    assert_same(ours, theirs, random(3, 4, 2, dtype=dtype), random(*shape, dtype=dtype))


def test_put_along_axis_is_numpys():
    x, ids = random(3, 4), np.array([[-1], [0], [2]])
    expected = x.copy()
    np.put_along_axis(expected, ids, 5.0, axis=1)
    np.testing.assert_array_equal(ops.put_along_axis(x, ids, 5.0, axis=1), expected)
    assert ops.put_along_axis(np.arange(3), np.array([1]), 7).tolist() == [0, 7, 2]


@each_dtype
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_scatter_reduce_is_pytorchs(reduce, include_self, dtype):
    ids = np.array([[2, 0, 1], [2, 2, 1]])  # shorter than x along the first axis
    x, v = distinct(3, 4, dtype=dtype) + 0.25, distinct(2, 3, dtype=dtype) + 0.3125
    for axis, places in ((0, ids), (1, ids), (-1, ids[:, :1])):
        ours = lambda x, v, a=axis, i=places: ops.scatter_reduce(
            x, i, v[:, : i.shape[1]], reduce, axis=a, include_self=include_self
        )
        theirs = lambda x, v, a=axis, i=places: x.scatter_reduce(
            a, torch.tensor(i), v[:, : i.shape[1]], reduce, include_self=include_self
        )
        assert_same(ours, theirs, x, v)


@given(st.lists(st.integers(0, 3), max_size=8), st.sampled_from(REDUCTIONS), st.booleans())
def test_each_element_is_the_reduction_of_what_points_to_it(ids, reduce, include_self):
    x, v = random(4), random(len(ids), seed=1)
    y = ops.scatter_reduce(x, np.array(ids, int), v, reduce, include_self=include_self).numpy()
    numpys = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}
    for place in range(4):
        there = [v[i] for i, where in enumerate(ids) if where == place]
        there += [x[place]] if include_self or not there else []
        assert y[place] == pytest.approx(numpys[reduce](there), rel=1e-12)


def test_equal_extremes_share_the_gradient():
    x = minidl.tensor([3.0, 1.0], requires_grad=True)
    v = minidl.tensor([3.0, 3.0, 0.0], requires_grad=True)
    ops.scatter_reduce(x, minidl.tensor([0, 0, 1]), v, "amax").sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [1 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(v.grad.numpy(), [1 / 3, 1 / 3, 0], rtol=1e-6)


def test_indices_outside_are_named():
    x, ids = minidl.zeros((2, 3)), minidl.tensor([[3], [0]])
    for put in (
        lambda: ops.put_along_axis(x, ids, 1.0, axis=1),
        lambda: ops.scatter_reduce(x, ids, minidl.ones((2, 1)), "sum", axis=1),
    ):
        with pytest.raises(BoundsError, match="index 3 is outside"):
            put()
    with pytest.raises(MinidlError, match="reduce is one of sum"):
        ops.scatter_reduce(x, ids, x, "median")
    with pytest.raises(MinidlError, match="values have the shape"):
        ops.put_along_axis(x, ids - 1, minidl.ones((5, 5)))


@each_dtype
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_slices_are_written_as_pytorch_does(axis, dtype):
    ids, shape = np.array([2, 0]), [3, 4, 3]
    x = random(*shape, dtype=dtype)
    shape[axis] = 2
    v = random(*shape, dtype=dtype)
    assert_same(
        lambda x, v: ops.index_copy(x, ids, v, axis=axis),
        lambda x, v: x.index_copy(axis, torch.tensor(ids), v), x, v,
    )  # fmt: skip
    assert_same(
        lambda x, v: ops.index_fill(x, ids, v.sum(), axis=axis),
        lambda x, v: x.index_fill(axis, torch.tensor(ids), v.sum()), x, v,
    )  # fmt: skip


def test_slices_at_repeated_and_negative_indices():
    x, ids = np.zeros(4), np.array([-1, 1, -1])
    assert ops.index_copy(x, ids, np.array([1.0, 2.0, 3.0])).tolist() == [0, 2, 0, 3]
    assert minidl.grad(lambda v: ops.index_copy(x, ids, v).sum())(x[:3]).tolist() == [0, 1, 1]
    assert ops.index_fill(np.arange(4), ids, 7).tolist() == [0, 7, 2, 7]
    assert ops.index_fill(np.arange(4), np.array(2), 7).tolist() == [0, 1, 7, 3]
    assert ops.index_fill(np.arange(4), np.array([], int), 7).tolist() == [0, 1, 2, 3]
    with pytest.raises(BoundsError, match=r"index_fill: .*index 4 is outside"):
        ops.index_fill(x, np.array([4]), 7)
    with pytest.raises(MinidlError, match=r"index_copy: needs values of shape \(3,\); got"):
        ops.index_copy(x, ids, np.ones(4))
    with pytest.raises(MinidlError, match="index_fill: value is a number"):
        ops.index_fill(x, ids, np.ones(1))


@given(st.integers(0, 99))
def test_masked_scatter_is_pytorchs(seed):
    rng = np.random.default_rng(seed)
    x, mask, values = rng.normal(size=(3, 4)), rng.uniform(size=(3, 4)) > 0.5, rng.normal(size=13)
    needed = torch.tensor(x).masked_scatter(torch.tensor(mask), torch.tensor(values))
    np.testing.assert_array_equal(ops.masked_scatter(x, mask, values), needed)
    found = minidl.grad(lambda v: ops.masked_scatter(x, mask, v).sum())(values)
    assert found.tolist() == [1] * mask.sum() + [0] * (13 - mask.sum())


def test_masked_scatter_of_too_few_values_or_none():
    x = np.arange(3.0)
    with pytest.raises(MinidlError, match="masked_scatter: the mask holds 3 times; got float64"):
        ops.masked_scatter(x, np.array([True]), x[:2])
    with pytest.raises(MinidlError, match="masked_scatter: mask is a tensor of bools"):
        ops.masked_scatter(x, np.array([1, 0, 1]), x)
    assert ops.masked_scatter(x, np.array([False]), x[:0]).tolist() == [0, 1, 2]
    assert ops.masked_scatter(x[:0], np.array([], bool), x[:0]).shape == (0,)
