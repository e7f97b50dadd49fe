"""Values put into places, bags of embeddings, pools that lie at random, against PyTorch's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, ops
from minidl.errors import BoundsError, MinidlError
from tests.oracle import functional, torch
from tests.parity import assert_same, distinct, random

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
REDUCTIONS = ["sum", "prod", "mean", "amax", "amin"]


# Places.


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
def test_each_place_is_the_reduction_of_what_points_there(ids, reduce, include_self):
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


def test_products_of_segments_with_zeros_have_gradients():
    x = minidl.tensor([0.0, 2.0, 0.0, 5.0], requires_grad=True)
    ops.segment_prod(x, minidl.tensor([1, 1, 2, 0]), 4).sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 1.0, 1.0]
    assert ops.segment_prod(np.zeros((0, 2)), np.zeros(0, int), 3).tolist() == [[1.0, 1.0]] * 3


def test_places_outside_are_named():
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


# Bags.


@each_dtype
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_embedding_bag_is_pytorchs(mode, dtype):
    ids, starts = np.array([1, 2, 0, 2, 3]), np.array([0, 3, 3])
    for settings in ({}, {"padding_idx": 2}, {"padding_idx": -1}):
        ours = lambda w, s=settings: ops.embedding_bag(w, ids, starts, mode=mode, **s)
        theirs = lambda w, s=settings: functional.embedding_bag(
            torch.tensor(ids), w, torch.tensor(starts), mode=mode, **s
        )
        assert_same(ours, theirs, distinct(4, 3, dtype=dtype), second=False)


def test_gradients_of_bags_by_frequency():
    """PyTorch's embedding_bag takes the frequency of another row; its embedding does not."""
    ids, weight = np.array([1, 2, 0, 2, 3]), random(4, 3)
    ours = lambda w: ops.embedding_bag(w, ids[None], mode="sum", scale_grad_by_freq=True)
    theirs = lambda w: functional.embedding(torch.tensor(ids), w, scale_grad_by_freq=True)
    assert_same(ours, lambda w: theirs(w).sum(0)[None], weight, second=False)


# Pools that lie at random.


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


# Other layers.


def test_feature_alpha_dropout_takes_whole_channels():
    layer = nn.FeatureAlphaDropout(0.3)
    y = layer(minidl.asarray(random(50, 40, 3)) * 0).numpy()
    assert (y == y[..., :1]).all()
    assert np.mean(y[..., 0] < 0) == pytest.approx(0.3, abs=0.05)
    with pytest.raises(MinidlError, match="FeatureAlphaDropout"):
        layer(minidl.ones(3))


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
