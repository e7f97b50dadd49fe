"""Transposed convolutions against PyTorch's, and as the gradient of convolutions."""

import inspect

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, ShapeError
from tests.helpers import assert_close
from tests.oracle import functional, torch
from tests.parity import assert_same, assert_same_layer, random, twins
from tests.toy_backend import TOY

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
each_number_of_axes = pytest.mark.parametrize("axes", [1, 2, 3])
PICTURE, WINDOW = (4, 3, 5), (3, 2, 4)

GRID = [
    # stride, padding, output_padding, groups, dilation
    (1, 0, 0, 1, 1),
    (2, 1, 1, 1, 1),
    (3, 0, 2, 2, 1),
    (2, 1, 0, 4, 2),
    (1, 2, 1, 2, 2),
    (2, 0, 2, 1, 3),
]


@each_dtype
@each_number_of_axes
@pytest.mark.parametrize(("stride", "padding", "output_padding", "groups", "dilation"), GRID)
def test_it_is_pytorchs(axes, stride, padding, output_padding, groups, dilation, dtype):
    name, settings = (
        f"conv_transpose{axes}d",
        {
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
            "groups": groups,
            "dilation": dilation,
        },
    )
    weight = random(4, 8 // groups, *WINDOW[:axes], dtype=dtype)
    # PyTorch has no second derivative where there is an output_padding.
    second = dtype == "float64" and not output_padding
    for batch in ((2,), ()):
        for rest in ((weight, random(8, dtype=dtype)), (weight,)):
            x = random(*batch, 4, *PICTURE[:axes], dtype=dtype)
            ours = lambda *xs: getattr(ops, name)(*xs, **settings)
            theirs = lambda *xs: getattr(functional, name)(*xs, **settings)
            assert_same(ours, theirs, x, *rest, second=second)


@each_dtype
@pytest.mark.parametrize(("stride", "padding", "output_padding", "groups", "dilation"), GRID)
def test_it_is_the_gradient_of_a_convolution(
    stride, padding, output_padding, groups, dilation, dtype
):
    settings = {"stride": stride, "padding": padding, "groups": groups, "dilation": dilation}
    dy = minidl.asarray(random(2, 4, 4, 5, dtype=dtype))
    weight = minidl.asarray(random(4, 6 // groups, 3, 2, dtype=dtype) if groups < 4 else
                            random(4, 2, 3, 2, dtype=dtype))  # fmt: skip
    y = ops.conv_transpose2d(dy, weight, **settings, output_padding=min(output_padding, stride - 1))
    x = minidl.zeros(y.shape, dtype=dtype, requires_grad=True)
    (dx,) = minidl.gradients(ops.conv2d(x, weight, **settings), [x], [dy])
    assert_close(y, dx, {"float64": 1e-12, "float32": 1e-6}[dtype])


@each_number_of_axes
def test_an_empty_batch_gives_an_empty_batch(axes):
    x, weight = ops.ones((0, 2, *PICTURE[:axes])), ops.ones((2, 3) + (2,) * axes)
    y = getattr(ops, f"conv_transpose{axes}d")(x, weight)
    assert y.shape == (0, 3, *(n + 1 for n in PICTURE[:axes]))


def test_it_runs_on_any_backend():
    x, weight = random(1, 2, 3, 4), random(2, 3, 2, 2)
    y = ops.conv_transpose2d(ops.to_device(x, TOY), ops.to_device(weight, TOY), stride=2)
    assert y.device == TOY
    assert_close(y.to_device("cpu"), ops.conv_transpose2d(x, weight, stride=2), 1e-14)


# Layers.

LAYERS = [
    {},
    {"stride": 2, "padding": 1, "bias": False},
    {"stride": 3, "groups": 2},
    {"dilation": 2, "padding": 2, "groups": 2},
    {"kernel_size": 2, "stride": 2},
]
COMMON = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
each_setting = pytest.mark.parametrize("settings", LAYERS, ids=str)


@each_number_of_axes
@each_setting
def test_the_layer_is_pytorchs(axes, settings):
    for dtype in ("float64", "float32"):
        ours, theirs = twins(f"ConvTranspose{axes}d", dtype, **{**COMMON, **settings})
        assert repr(ours) == repr(theirs)
        for batch in ((2,), ()):
            assert_same_layer(ours, theirs, random(*batch, 4, *PICTURE[:axes], dtype=dtype))


@each_number_of_axes
def test_the_output_may_be_chosen(axes):
    settings = {**COMMON, "stride": 3, "padding": 1, "output_padding": 1}
    ours, theirs = twins(f"ConvTranspose{axes}d", **settings)
    assert repr(ours) == repr(theirs)
    x = random(2, 4, *PICTURE[:axes])
    least = [(n - 1) * 3 + 1 for n in x.shape[2:]]
    for size in (least, [n + 2 for n in least], (2, 6, *(n + 1 for n in least))):
        y = ours(minidl.asarray(x), output_size=size)
        assert y.shape[2:] == tuple(size[-axes:])
        needed = theirs(torch.from_numpy(x), output_size=size)
        assert_close(y, needed.detach().numpy(), 1e-12)
    assert ours(minidl.asarray(x)).shape[2:] == tuple(n + 1 for n in least)


@each_number_of_axes
def test_arguments_and_initial_parameters_are_pytorchs(axes):
    kinds = [getattr(library, f"ConvTranspose{axes}d") for library in (nn, torch.nn)]
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(kind).parameters.values()] for kind in kinds
    )
    assert ours == theirs
    layer = kinds[0](400, 6, 2, groups=2)
    bound = (3 * 2**axes) ** -0.5
    assert bound * 0.97 < np.abs(layer.weight.numpy()).max() <= bound * (1 + 1e-6)
    theirs = kinds[1](400, 6, 2, groups=2)
    assert theirs.weight.abs().max().item() == pytest.approx(bound, rel=0.03)


# What is refused.

X = ops.ones((2, 4, 3, 3))
W = ops.ones((4, 2, 3, 3))
WRONG = {
    "rank": (lambda: ops.conv_transpose2d(X[0, 0], W), ShapeError,
             r"conv_transpose2d: needs x.*N, C, H, W.*weight \(C, O / groups, KH, KW\)"),
    "channels": (lambda: ops.conv_transpose2d(X, W[:3]), ShapeError, "needs 3 channels"),
    "groups": (lambda: ops.conv_transpose2d(X, W, groups=3), ArgumentError, "groups.*got 3"),
    "no groups": (lambda: ops.conv_transpose1d(X[0], W[0], groups=0), ArgumentError, "groups"),
    "output_padding": (lambda: ops.conv_transpose2d(X, W, stride=2, output_padding=2),
                       ArgumentError, r"output_padding is less than the stride \(2, 2\)"),
    "nothing left": (lambda: ops.conv_transpose2d(X, W, padding=3), ShapeError, "nothing would"),
    "bias": (lambda: ops.conv_transpose2d(X, W, ops.ones(4)), ShapeError, r"\(2,\); got \(4,\)"),
    "bias of three axes": (
        lambda: ops.conv_transpose3d(X[None, :, :1], ops.ones((4, 2, 1, 1, 1)), ops.ones(3)),
        ShapeError, r"conv_transpose3d.*"),
    "mode": (lambda: nn.ConvTranspose2d(3, 8, 3, padding_mode="reflect"), ArgumentError,
             'ConvTranspose2d: padding_mode is "zeros"'),
    "padding": (lambda: nn.ConvTranspose1d(3, 8, 3, padding="same"), ArgumentError, "got same"),
    "input": (lambda: nn.ConvTranspose2d(3, 8, 3)(X), ShapeError,
              r"^ConvTranspose2d\(3, 8, \(3, 3\)\) needs an input of shape \(N, 3, H, W\)"),
    "output_size": (lambda: nn.ConvTranspose2d(4, 8, 3, stride=2)(X, output_size=(9, 7)),
                    ShapeError, r"output_size is between \(7, 7\) and \(8, 8\).*got \(9, 7\)"),
    "output_size of one": (lambda: nn.ConvTranspose2d(4, 8, 3, stride=2)(X, output_size=(9,)),
                           ArgumentError, r"output_size is 2 or 4 numbers; got \(9,\)"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_misuse_is_explained(wrong):
    misuse, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=f"(?s){message}"):
        misuse()
