"""Convolutions along one axis and three, and what all convolutional layers do with padding."""

import inspect
from itertools import product

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, MinidlError, ShapeError
from tests.oracle import functional, torch
from tests.parity import assert_same, assert_same_layer, random, twins

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
PICTURE, WINDOW = (7, 6, 5), (3, 2, 2)


@each_dtype
@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), [
    (1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (2, 1, 2, 2), (3, 0, 1, 4), (1, 1, 3, 1),
])  # fmt: skip
def test_convolution_is_pytorchs(axes, stride, padding, dilation, groups, dtype):
    name = f"conv{axes}d"
    window = WINDOW[:axes] if dilation < 3 else (2,) * axes
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    weight = random(8, 4 // groups, *window, dtype=dtype)
    bias = random(8, dtype=dtype)
    for batch, rest in product([(2,), ()], [(weight, bias), (weight,)]):
        x = random(*batch, 4, *PICTURE[:axes], dtype=dtype)
        ours = lambda *xs: getattr(ops, name)(*xs, **settings)
        theirs = lambda *xs: getattr(functional, name)(*xs, **settings)
        assert_same(ours, theirs, x, *rest)


@pytest.mark.parametrize("settings", [
    {"stride": (2, 1, 3), "padding": (0, 1, 2), "dilation": (1, 2, 1)},
    {"stride": (1, 3, 1), "padding": (2, 0, 0), "dilation": (3, 1, 2)},
])  # fmt: skip
def test_each_axis_has_its_own_settings(settings):
    x, weight = random(2, 2, 7, 6, 5), random(3, 2, 3, 2, 2)
    ours = lambda *xs: ops.conv3d(*xs, **settings)
    assert_same(ours, lambda *xs: functional.conv3d(*xs, **settings), x, weight)
    numbers = {"stride": [2], "padding": (1,), "dilation": np.int64(2)}
    ours = lambda *xs: ops.conv1d(*xs, **numbers)
    theirs = lambda *xs: functional.conv1d(*xs, stride=2, padding=1, dilation=2)
    assert_same(ours, theirs, x[..., 0, 0], weight[..., 0, 0])


@pytest.mark.parametrize("axes", [1, 3])
def test_an_empty_batch_gives_an_empty_batch(axes):
    y = getattr(ops, f"conv{axes}d")(
        ops.ones((0, 2, *PICTURE[:axes])), ops.ones((3, 2) + (2,) * axes)
    )
    assert y.shape == (0, 3, *(n - 1 for n in PICTURE[:axes]))


def test_nan_reaches_only_the_windows_that_cover_it():
    x = np.zeros((1, 1, 6), "float32")
    x[..., 3] = np.nan
    y = ops.conv1d(x, np.ones((1, 1, 2), "float32"))
    assert np.isnan(y.numpy()).tolist() == [[[False, False, True, True, False]]]


# Layers.

LAYERS = [
    {},
    {"bias": False, "stride": 2},
    {"padding": 1, "dilation": 2, "groups": 2},
    {"padding": "same"},
    {"padding": "same", "dilation": 3, "kernel_size": 2},
    {"padding": "valid", "stride": 2},
    {"padding": 1, "padding_mode": "reflect", "stride": 2},
    {"padding": 2, "padding_mode": "replicate"},
    {"padding": 2, "padding_mode": "circular", "groups": 2},
    {"padding": "same", "kernel_size": 4, "padding_mode": "reflect"},
    {"padding": "same", "kernel_size": 4, "padding_mode": "circular", "bias": False},
    {"padding": "valid", "padding_mode": "replicate"},
    {"padding": 0, "padding_mode": "circular"},
]
COMMON = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
each_setting = pytest.mark.parametrize("settings", LAYERS, ids=str)


@each_setting
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_the_layer_is_pytorchs(axes, settings):
    for dtype in ("float64", "float32"):
        ours, theirs = twins(f"Conv{axes}d", dtype, **{**COMMON, **settings})
        assert repr(ours) == repr(theirs)
        for batch in ((2,), ()):
            assert_same_layer(ours, theirs, random(*batch, 4, *PICTURE[:axes], dtype=dtype))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_each_end_of_each_axis_is_padded_by_its_own_width():
    for mode in ("zeros", "reflect", "replicate", "circular"):
        settings = {"kernel_size": (2, 4, 3), "padding": "same", "dilation": (1, 1, 2)}
        ours, theirs = twins("Conv3d", **{**COMMON, **settings, "padding_mode": mode})
        assert_same_layer(ours, theirs, random(1, 4, *PICTURE))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_arguments_and_initial_parameters_are_pytorchs(axes):
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(kind).parameters.values()]
        for kind in (getattr(nn, f"Conv{axes}d"), getattr(torch.nn, f"Conv{axes}d"))
    )
    assert ours == theirs
    layer = getattr(nn, f"Conv{axes}d")(6, 400, 2, groups=2)
    bound = (3 * 2**axes) ** -0.5
    for parameter in (layer.weight, layer.bias):
        assert bound * 0.97 < np.abs(parameter.numpy()).max() <= bound * (1 + 1e-6)


def test_a_relu_behind_a_padded_layer_is_joined_with_it():
    x = minidl.asarray(random(2, 4, 7, 6, dtype="float32"))
    for settings in LAYERS:
        layer = nn.Conv2d(**{**COMMON, **settings})
        y = nn.Sequential(layer, nn.ReLU())(x)
        np.testing.assert_array_equal(y, np.maximum(layer(x).numpy(), 0))


# What is refused.

X1, X3 = ops.ones((2, 4, 7)), ops.ones((2, 4, 3, 3, 3))
WRONG = {
    "rank": (lambda: ops.conv1d(X3, ops.ones((2, 4, 3))), ShapeError,
             r"conv1d: needs x of shape \(N, C, L\) or \(C, L\) and weight \(O, C / groups, K\)"),
    "weight": (lambda: ops.conv3d(X3, ops.ones((2, 4, 3))), ShapeError, r"conv3d.*KD, KH, KW"),
    "channels": (lambda: ops.conv1d(X1, ops.ones((2, 3, 3))), ShapeError, "needs 3 channels"),
    "groups": (lambda: ops.conv3d(X3, ops.ones((2, 4, 1, 1, 1)), groups=3), ArgumentError,
               "conv3d: groups.*got 3"),
    "stride": (lambda: ops.conv1d(X1, ops.ones((2, 4, 3)), stride=(1, 2)), ArgumentError,
               r"conv1d: stride is a number ≥ 1; got \(1, 2\)"),
    "padding": (lambda: ops.conv3d(X3, ops.ones((2, 4, 1, 1, 1)), padding=(1, 2)), ArgumentError,
                r"conv3d: padding is a number ≥ 0, or three; got \(1, 2\)"),
    "too large": (lambda: ops.conv1d(X1, ops.ones((2, 4, 9))), ShapeError,
                  "conv1d: a window of 9 does not fit into a length of 7"),
    "bias": (lambda: ops.conv1d(X1, ops.ones((2, 4, 3)), ops.ones(3)), ShapeError,
             r"conv1d.*bias of shape \(2,\); got \(3,\)"),
    "input of a layer": (lambda: nn.Conv1d(3, 8, 5)(X1), ShapeError,
                         r"^Conv1d\(3, 8, 5\) needs an input of shape \(N, 3, L\); got \(2, 4, 7"),
    "reflected input": (lambda: nn.Conv3d(4, 8, 1, padding=1, padding_mode="reflect")(X1[0]),
                        ShapeError, r"Conv3d\(4, 8, \(1, 1, 1\)\) needs.*N, 4, D, H, W"),
    "a list": (lambda: nn.Conv1d(3, 8, 5, padding="same")([1.0]), ShapeError, "Conv1d.*list"),
    "too little to reflect": (lambda: nn.Conv1d(4, 8, 1, padding=7, padding_mode="reflect")(X1),
                              ShapeError, "reflect takes at most 6 elements.*7; got 7"),
    "name of padding": (lambda: nn.Conv2d(3, 8, 3, padding="full"), ArgumentError,
                        "Conv2d: padding is.*same.*valid.*got 'full'"),
    "same with a stride": (lambda: nn.Conv2d(3, 8, 3, padding="same", stride=2), ArgumentError,
                           r"Conv2d: padding=\"same\" needs stride 1; got \(2, 2\)"),
    "mode": (lambda: nn.Conv1d(3, 8, 3, padding_mode="mirror"), ArgumentError,
             "Conv1d: padding_mode is one of .zeros., .reflect.*got str 'mirror'"),
    "kernel_size": (lambda: nn.Conv1d(3, 8, 0), ArgumentError, "Conv1d: kernel_size.*got 0"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_misuse_is_explained(wrong):
    misuse, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=f"(?s){message}") as raised:
        misuse()
    assert isinstance(raised.value, MinidlError)
