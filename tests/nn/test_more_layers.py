"""Bags of embeddings, the softmax of rare classes, and other layers, against PyTorch's."""

import numpy as np
import pytest

import minidl
from minidl import nn
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import TOLERANCE, assert_same, assert_same_layer, random, twins

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.mark.parametrize("settings", [{"scale_factor": 2}, {"size": (5, 3)}], ids=str)
@pytest.mark.parametrize("name", ["UpsamplingNearest2d", "UpsamplingBilinear2d"])
def test_upsampling_is_pytorchs(name, settings):
    ours, theirs = (getattr(library, name)(**settings) for library in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    assert_same(ours, theirs, random(2, 3, 4, 5))


def test_batch_norm_of_three_axes_is_pytorchs():
    ours, theirs = twins("BatchNorm3d", num_features=3)
    assert_same_layer(ours, theirs, random(2, 3, 2, 3, 4))
    with pytest.raises(minidl.errors.ShapeError, match="BatchNorm3d"):
        ours(minidl.ones((2, 3, 4, 4)))


# Bags.

IDS = np.array([1, 2, 4, 5, 4, 3, 2, 9])
OFFSETS = np.array([0, 3, 3, 6])  # the second bag is empty


def gradients_of_bags(mode, dtype, ids, offsets=None, weights=None, **settings):
    """The bags, and the gradient of the table, of both libraries."""
    ours, theirs = twins(
        "EmbeddingBag", dtype, num_embeddings=10, embedding_dim=3, mode=mode, **settings
    )
    found = []
    for layer, library in ((ours, minidl), (theirs, torch)):
        arrays = [None if x is None else library.asarray(x) for x in (ids, offsets, weights)]
        y = layer(*arrays)
        (y * y * library.asarray(random(*y.shape, dtype=dtype))).sum().backward()
        found.append((y, layer.weight.grad))
    return found


def assert_same_bags(*args, **settings):
    (y, dw), (their_y, their_dw) = gradients_of_bags(*args, **settings)
    tolerance = TOLERANCE[y.dtype.name]
    assert_close(y.detach(), their_y.detach().numpy(), tolerance)
    assert_close(dw, their_dw.numpy(), tolerance)


@each_dtype
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bags_are_pytorchs(mode, dtype):
    assert_same_bags(mode, dtype, IDS.reshape(2, 4))
    assert_same_bags(mode, dtype, IDS, OFFSETS)
    assert_same_bags(mode, dtype, IDS, np.append(OFFSETS, 8), include_last_offset=True)
    assert_same_bags(mode, dtype, IDS, OFFSETS, padding_idx=4)
    assert_same_bags(mode, dtype, IDS, OFFSETS, max_norm=0.7)


def test_bags_of_weighted_rows_are_pytorchs():
    weights = random(8)
    assert_same_bags("sum", "float64", IDS, OFFSETS, weights)
    assert_same_bags("sum", "float64", IDS.reshape(4, 2), None, weights.reshape(4, 2))


def test_bags_have_sparse_gradients():
    layer = nn.EmbeddingBag(10, 3, sparse=True)
    layer(minidl.asarray(IDS), minidl.asarray(OFFSETS)).sum().backward()
    assert isinstance(layer.weight.grad, minidl.RowGradient)


def test_bags_explain_misuse():
    layer = nn.EmbeddingBag(10, 3)
    ids = minidl.asarray(IDS)
    for misuse, message in (
        (lambda: layer(ids), "offsets"),
        (lambda: layer(ids.reshape((2, 4)), ids), "alone"),
        (lambda: layer(ids, minidl.tensor([1, 2])), "ascend from 0"),
        (lambda: layer(ids, minidl.tensor([0, 3, 2])), "ascend from 0"),
        (lambda: layer(ids, minidl.tensor([0, 9])), "at most 8"),
        (lambda: layer(ids, minidl.tensor([0]), random(8)), 'mode="sum"'),
        (lambda: layer(ids * 1.5, minidl.tensor([0])), "integers"),
        (lambda: layer(ids + 5, minidl.tensor([0])), "rows of the 10"),
        (lambda: nn.EmbeddingBag(10, 3, mode="median"), "mode"),
    ):
        with pytest.raises(minidl.errors.MinidlError, match=message):
            misuse()


# The softmax of rare classes.

ADAPTIVE = [
    {"in_features": 8, "n_classes": 12, "cutoffs": [3, 7], "div_value": 2.0},
    {"in_features": 8, "n_classes": 9, "cutoffs": [1], "head_bias": True},
]


@each_dtype
@pytest.mark.parametrize("settings", ADAPTIVE, ids=str)
def test_adaptive_softmax_is_pytorchs(settings, dtype):
    ours, theirs = twins("AdaptiveLogSoftmaxWithLoss", dtype, **settings)
    x, target = random(7, 8, dtype=dtype), np.array([0, 8, 3, 2, 7, 0, 5])
    tolerance = TOLERANCE[dtype]
    results = [
        layer(library.asarray(x), library.asarray(target))
        for layer, library in ((ours, minidl), (theirs, torch))
    ]
    for found, needed in zip(*results, strict=True):
        assert_close(found.detach(), needed.detach().numpy(), tolerance)
    for result in results:
        result.loss.backward()
    for mine, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(mine.grad, their.grad.numpy(), tolerance)
    assert_close(
        ours.log_prob(minidl.asarray(x)).detach(),
        theirs.log_prob(torch.tensor(x)).detach().numpy(),
        tolerance,
    )
    assert ours.predict(minidl.asarray(x)).tolist() == theirs.predict(torch.tensor(x)).tolist()
    alone = ours(minidl.asarray(x[1]), minidl.tensor(8))
    assert_close(alone.output.detach(), results[0].output[1].detach(), tolerance)


def test_adaptive_softmax_explains_misuse():
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], 2.0)
    x = minidl.ones((2, 8))
    for misuse, message in (
        (lambda: layer(x, minidl.tensor([0, 12])), "classes from 0 to 11"),
        (lambda: layer(x, minidl.tensor([0])), r"x \(N, 8\)"),
        (lambda: layer(x, minidl.tensor([0.0, 1.0])), "integers"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 12]), "cutoffs ascend"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, []), "cutoffs ascend"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [2, 3, 4]), "nothing is left"),
    ):
        with pytest.raises(minidl.errors.MinidlError, match=message):
            misuse()
