"""Activations and the layers without kernels of their own, against PyTorch's."""

import copy
import inspect
import math

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, MinidlError, ShapeError
from tests.helpers import assert_all_close, assert_close
from tests.nn.test_layers import TOLERANCE, leaves, outcome, twins, uniform
from tests.oracle import functional, torch

each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)

SHAPES = [(), (4,), (3, 4), (2, 3, 4), (2, 0)]
ACTIVATIONS = [
    ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -0.5, "max_val": 1.2}),
    *((name, {}) for name in ("ReLU6", "Hardsigmoid", "Hardswish", "SELU", "Mish")),
    *((name, {}) for name in ("LogSigmoid", "Softsign", "Tanhshrink")),
    *((name, {"lambd": lambd}) for name in ("Hardshrink", "Softshrink") for lambd in (0.5, 1.1, 0)),
    ("Threshold", {"threshold": 0.3, "value": -1.5}),
    *(("CELU", {"alpha": alpha}) for alpha in (1.0, 0.5, 2.0)),
    ("PReLU", {}),
    ("PReLU", {"init": 0.1}),
]
LAYERS = [
    *((name, settings, [shape]) for name, settings in ACTIVATIONS for shape in SHAPES),
    *(("PReLU", {"num_parameters": 3}, [shape]) for shape in [(2, 3), (2, 3, 4), (0, 3)]),
    *(("GLU", {"dim": dim}, [shape]) for dim, shape in [(-1, (4,)), (1, (2, 4, 3)), (0, (2, 3))]),
    *(("Softmin", {"dim": dim}, [(2, 3, 4)]) for dim in (0, -1)),
    *(("Softmax2d", {}, [shape]) for shape in [(2, 3, 2, 2), (3, 2, 4)]),
    ("Unflatten", {"dim": 1, "unflattened_size": (2, -1)}, [(3, 6, 2)]),
    ("PixelShuffle", {"upscale_factor": 2}, [(2, 8, 2, 3)]),
    ("PixelUnshuffle", {"downscale_factor": 3}, [(2, 2, 3, 6)]),
    ("ChannelShuffle", {"groups": 2}, [(2, 6, 3, 2)]),
    ("RMSNorm", {"normalized_shape": (3, 4)}, [(2, 3, 4)]),
    ("RMSNorm", {"normalized_shape": 4, "eps": 0.1, "elementwise_affine": False}, [(2, 4)]),
    *(("LocalResponseNorm", {"size": n, "alpha": 0.5}, [(2, 4, 3, 2)]) for n in (1, 2, 3, 9)),
    *(("InstanceNorm1d", {"num_features": 3, "affine": a}, [(2, 3, 4)]) for a in (True, False)),
    ("InstanceNorm1d", {"num_features": 3, "affine": True, "bias": False}, [(3, 4)]),
    ("InstanceNorm2d", {"num_features": 3, "track_running_stats": True}, [(2, 3, 4, 2)]),
    ("InstanceNorm3d", {"num_features": 2, "momentum": None}, [(2, 2, 3, 2, 2)]),
    *(
        (
            "Bilinear",
            {"in1_features": 3, "in2_features": 2, "out_features": 4, "bias": bias},
            shapes,
        )
        for bias in (True, False)
        for shapes in [[(2, 3), (2, 2)], [(3,), (2,)], [(2, 0, 3), (2, 0, 2)]]
    ),
    *(("CosineSimilarity", {"dim": dim}, [(2, 3, 4), (2, 3, 4)]) for dim in (1, -1)),
    *(
        ("PairwiseDistance", {"p": p, "keepdim": keepdim}, [(2, 3), (2, 3)])
        for p in (1.0, 2.0, 3.0, math.inf)
        for keepdim in (True, False)
    ),
    *((name, {"p": 0.0}, [(2, 3, 4)]) for name in ("Dropout1d", "AlphaDropout")),
    ("Dropout2d", {"p": 0.0}, [(2, 3, 4, 2)]),
    ("Dropout3d", {"p": 0.0}, [(2, 3, 4, 2, 2)]),
]
each_layer = pytest.mark.parametrize(("name", "settings", "shapes"), LAYERS)
each_class = pytest.mark.parametrize("name", sorted({row[0] for row in LAYERS} | {"RReLU"}))
IN_PLACE = ["ReLU6", "Hardtanh", "Hardsigmoid", "Hardswish", "SELU", "CELU", "Mish", "RReLU"]


@each_dtype
@each_layer
def test_layers_compute_what_pytorch_computes(name, settings, shapes, dtype):
    arrays = [uniform(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    layers = twins(name, settings, dtype)
    ours, theirs = map(outcome, layers, leaves(arrays))
    tolerance = 1e-7 if name == "Hardsigmoid" else TOLERANCE[dtype]  # PyTorch's slope is float32
    assert_all_close(ours, theirs, max(tolerance, TOLERANCE[dtype]))


@each_layer
def test_state_has_pytorchs_names_and_shapes(name, settings, shapes):
    ours, theirs = twins(name, settings)
    states = [
        {k: tuple(x.shape) for k, x in layer.state_dict().items()} for layer in (ours, theirs)
    ]
    assert list(states[0].items()) == list(states[1].items())


@each_layer
def test_repr_is_pytorchs(name, settings, shapes):
    assert repr(getattr(nn, name)(**settings)) == repr(getattr(torch.nn, name)(**settings))


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_is_accepted_and_leaves_the_input_alone(name):
    x, layer = uniform((3, 4)), getattr(nn, name)(inplace=True)
    leaf = minidl.tensor(x, requires_grad=True)
    assert layer(leaf).shape == (3, 4)
    np.testing.assert_array_equal(leaf, x)
    assert repr(layer) == repr(getattr(torch.nn, name)(inplace=True))


@each_class
def test_arguments_have_the_positions_and_defaults_of_pytorchs(name):
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    for own, other in zip(ours.values(), theirs.values(), strict=False):
        if own.kind is own.POSITIONAL_OR_KEYWORD and other.kind is own.kind:
            assert (own.name, own.default) == (other.name, other.default)


FAR = [-1e3, -30, -3, -1, -0.5, -0.0, 0, 0.5, 1, 3, 6, 30, 1e3]


@each_dtype
@pytest.mark.parametrize(("name", "settings"), ACTIVATIONS, ids=str)
def test_kinks_and_far_values_are_pytorchs(name, settings, dtype):
    ours, theirs = map(outcome, twins(name, settings, dtype), leaves([np.array(FAR, dtype)]))
    rtol, atol = (1e-7, 1e-12) if dtype == "float64" else (1e-5, 1e-8)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("name", "settings"), ACTIVATIONS, ids=str)
def test_nan_stays_nan(name, settings):
    y = getattr(nn, name)(**settings)(minidl.tensor([math.nan, 1.0]))
    assert math.isnan(y[0].item())


# Randomness.


def test_rrelu_draws_slopes_in_training_and_takes_their_mean_in_use():
    layer, x = nn.RReLU(0.2, 0.6, generator=minidl.random.Generator(1)), ops.full(10_000, -2.0)
    slopes = layer(x).numpy() / -2
    assert slopes.min() >= 0.2
    assert slopes.max() < 0.6
    assert slopes.mean() == pytest.approx(0.4, abs=4 * 0.4 / math.sqrt(12 * 10_000))
    np.testing.assert_allclose(layer.eval()(x), -0.8, rtol=1e-6)
    assert layer(minidl.tensor([3.0])).tolist() == [3]


# Instance norm's statistics.


@each_dtype
@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_running_statistics_are_pytorchs(momentum, dtype):
    settings = {"num_features": 3, "momentum": momentum, "track_running_stats": True}
    ours, theirs = twins("InstanceNorm2d", settings, dtype)
    for seed in range(3):
        x = uniform((4, 3, 2, 5), dtype, seed)
        ours(minidl.tensor(x)), theirs(torch.tensor(x))
    for name, value in ours.state_dict().items():
        assert_close(value, theirs.state_dict()[name], TOLERANCE[dtype])
    ours.eval(), theirs.eval()
    assert_close(ours(minidl.tensor(x)), theirs(torch.tensor(x)), TOLERANCE[dtype])


def test_statistics_of_copies_are_their_own():
    layer = nn.InstanceNorm1d(2, track_running_stats=True)
    twin = copy.deepcopy(layer)
    twin(minidl.tensor(uniform((3, 2, 4), "float32")))
    assert layer.running_mean.tolist() == [0, 0]
    assert twin.running_mean.tolist() != [0, 0]


# How parameters begin, and where gradients could go wrong.


def test_bilinear_is_initialised_uniformly():
    layer = nn.Bilinear(16, 20, 200)
    for parameter in layer.parameters():
        assert np.abs(parameter.numpy()).max() == pytest.approx(0.25, rel=0.02)
    assert layer.weight.numpy().std() == pytest.approx(0.25 / math.sqrt(3), rel=0.02)


def test_distances_of_equal_points_have_finite_gradients():
    x = np.zeros((2, 3))
    for p in (1, 2, 3):
        ours, theirs = leaves([x])
        ops.pairwise_distance(ours[0], x, p, eps=0).sum().backward()
        functional.pairwise_distance(theirs[0], torch.zeros(2, 3), p, eps=0).sum().backward()
        np.testing.assert_array_equal(ours[0].grad, theirs[0].grad)
    ours, theirs = leaves([x])
    ops.cosine_similarity(ours[0], np.ones((2, 3))).sum().backward()
    functional.cosine_similarity(theirs[0], torch.ones(2, 3).double()).sum().backward()
    assert_close(ours[0].grad, theirs[0].grad, 1e-10)


def test_cosine_similarity_along_an_axis_that_one_vector_lacks():
    ours, theirs = leaves([uniform((3, 4)), uniform((4,))])
    y, needed = ops.cosine_similarity(*ours, axis=0), functional.cosine_similarity(*theirs, 0)
    y.sum().backward()
    needed.sum().backward()
    assert_close(y, needed.detach(), 1e-10)
    assert_close(ours[0].grad, theirs[0].grad, 1e-10)
    assert abs(ours[1].grad).max() < 1e-15  # only its signs matter


@pytest.mark.parametrize("which", ["fast", "reference"])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
@pytest.mark.parametrize(("shape", "axis"), [((0,), 0), ((2, 0), 1), ((0, 3), 0), ((0, 3), 1)])
def test_of_nothing_softmax_is_nothing(name, shape, axis, which):
    ours, theirs = leaves([np.zeros(shape)])
    with minidl.kernels(which):
        y = getattr(ops, name)(ours[0], axis=axis)
        y.sum().backward()
    assert y.shape == getattr(functional, name)(theirs[0], axis).shape == ours[0].grad.shape


def test_pixel_unshuffle_undoes_pixel_shuffle():
    x = minidl.tensor(uniform((2, 18, 4, 5)))
    np.testing.assert_array_equal(ops.pixel_unshuffle(ops.pixel_shuffle(x, 3), 3), x)


# Bad input.

X = ops.ones((4, 3))
WRONG = {
    "Hardtanh": (lambda: nn.Hardtanh(1, 1), ArgumentError, "Hardtanh: needs min_val < max_val"),
    "Softshrink": (lambda: nn.Softshrink(-1)(X), ArgumentError, "Softshrink: lambd.*-1"),
    "RReLU": (lambda: nn.RReLU(0.5, 0.2), ArgumentError, r"RReLU.*0\.5 and 0\.2"),
    "CELU": (lambda: nn.CELU(0.0)(X), ArgumentError, "celu: alpha.*above 0"),
    "PReLU": (lambda: nn.PReLU(2)(X), ShapeError, r"prelu.*\(3,\).*got \(2,\)"),
    "GLU": (lambda: nn.GLU()(X), ShapeError, r"glu.*even length.*\(4, 3\)"),
    "GLU axis": (lambda: nn.GLU(2)(X), ShapeError, r"glu.*axis 2"),
    "Softmax2d": (lambda: nn.Softmax2d()(X), ShapeError, r"Softmax2d needs.*\(4, 3\)"),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 2))(X), ShapeError, r"unflatten.*\(2, 2\)"),
    "Unflatten rest": (lambda: nn.Unflatten(1, (2, -1))(X), ShapeError, r"unflatten.*\(2, -1\)"),
    "Unflatten axis": (lambda: nn.Unflatten(2, (1,))(X), ShapeError, "no axis 2"),
    "PixelShuffle": (lambda: nn.PixelShuffle(2)(ops.ones((1, 3, 2, 2))), ShapeError, "2² does not"),
    "PixelShuffle factor": (lambda: nn.PixelShuffle(0)(ops.ones((1, 3, 2, 2))), ArgumentError, "0"),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2)(ops.ones((1, 3, 3, 2))), ShapeError, "2 does"),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2)(ops.ones((1, 3, 2))), ShapeError, "2 groups"),
    "RMSNorm": (lambda: nn.RMSNorm(4)(X), ShapeError, r"RMSNorm\(\(4,\)\) needs.*\(4, 3\)"),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2)(X), ShapeError, "local_response_norm"),
    "LocalResponseNorm size": (
        lambda: nn.LocalResponseNorm(0)(ops.ones((1, 2, 3))),
        ArgumentError,
        "size.*got 0",
    ),
    "InstanceNorm": (lambda: nn.InstanceNorm1d(2)(X), ShapeError, r"InstanceNorm1d\(2\) needs"),
    "InstanceNorm single": (
        lambda: nn.InstanceNorm1d(3)(ops.ones((2, 3, 1))),
        ShapeError,
        "more than one value",
    ),
    "Bilinear": (lambda: nn.Bilinear(3, 2, 1)(X, X), ShapeError, r"bilinear.*\(4, 3\)"),
    "Bilinear size": (lambda: nn.Bilinear(0, 2, 1), ArgumentError, "in1_features.*got 0"),
    "PairwiseDistance": (lambda: nn.PairwiseDistance(-1.0)(X, X), ArgumentError, "above 0.*-1"),
    "CosineSimilarity": (lambda: nn.CosineSimilarity(3)(X, X), ShapeError, "axis 3"),
    "Dropout1d": (lambda: nn.Dropout1d()(ops.ones(3)), ShapeError, r"Dropout1d.*\(3,\)"),
}


@pytest.mark.parametrize(("misuse", "kind", "message"), WRONG.values(), ids=WRONG)
def test_misuse_is_explained(misuse, kind, message):
    with pytest.raises(kind, match=message):
        misuse()


@pytest.mark.parametrize(("name", "settings"), ACTIVATIONS, ids=str)
def test_a_layer_says_that_it_needs_a_tensor(name, settings):
    with pytest.raises(MinidlError, match=r"list \[1\.0\]|list"):
        getattr(nn, name)(**settings)([1.0])
