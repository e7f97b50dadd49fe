"""unfold (im2col) and fold (col2im), against PyTorch's."""

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, ShapeError
from tests.helpers import assert_close
from tests.oracle import functional, torch
from tests.parity import assert_same, random
from tests.toy_backend import TOY

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
SETTINGS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "padding": 1, "stride": 2},
    {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (0, 2), "stride": (1, 3)},
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": 1},
]
each_setting = pytest.mark.parametrize("settings", SETTINGS, ids=str)


@each_dtype
@each_setting
def test_unfold_is_pytorchs(settings, dtype):
    for batch in ((2,), ()):
        x = random(*batch, 3, 6, 5, dtype=dtype)
        ours, theirs = (
            lambda x, library=library: library.unfold(x, **settings)
            for library in (ops, functional)
        )
        assert_same(ours, theirs, x)


@each_dtype
@each_setting
def test_fold_is_pytorchs(settings, dtype):
    columns = ops.unfold(random(2, 3, 6, 5, dtype=dtype), **settings)
    for shape in (columns.shape, columns.shape[1:]):
        ours, theirs = (
            lambda x, library=library: library.fold(x, (6, 5), **settings)
            for library in (ops, functional)
        )
        assert_same(ours, theirs, random(*shape, dtype=dtype))


@each_setting
def test_each_is_the_transpose_of_the_other(settings):
    x = random(2, 3, 6, 5)
    columns = random(*ops.unfold(x, **settings).shape, seed=1)
    one = (ops.unfold(x, **settings) * columns).sum().item()
    other = (ops.fold(columns, (6, 5), **settings) * x).sum().item()
    assert one == pytest.approx(other, rel=1e-12)


def test_a_convolution_is_a_product_with_the_columns():
    x, weight = random(2, 3, 6, 5), random(4, 3, 3, 2)
    y = minidl.asarray(weight.reshape(4, -1)) @ ops.unfold(x, (3, 2), padding=1)
    assert_close(y.reshape((2, 4, 6, 6)), ops.conv2d(x, weight, padding=1), 1e-12)


def test_an_empty_batch_gives_an_empty_batch():
    columns = ops.unfold(np.ones((0, 3, 4, 4)), 2)
    assert columns.shape == (0, 12, 9)
    assert ops.fold(columns, (4, 4), 2).shape == (0, 3, 4, 4)


def test_bodies_run_on_any_backend():
    x = random(1, 2, 4, 4)
    y = ops.fold(ops.unfold(ops.to_device(x, TOY), 2), 4, 2)
    assert y.device == TOY
    assert_close(y.to_device("cpu"), ops.fold(ops.unfold(x, 2), 4, 2), 1e-14)


@each_setting
def test_layers_are_pytorchs(settings):
    ours, theirs = (library.Unfold(**settings) for library in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    x = random(2, 3, 6, 5, dtype="float32")
    assert_same(ours, theirs, x)
    columns = ours(minidl.asarray(x)).numpy()
    ours, theirs = (library.Fold((6, 5), **settings) for library in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    assert_same(ours, theirs, columns)


X = ops.ones((2, 3, 4, 4))
WRONG = {
    "axes": (lambda: ops.unfold(X[0, 0], 2), ShapeError, r"unfold: needs x.*got \(4, 4\)"),
    "too large": (lambda: ops.unfold(X, 5), ShapeError, "unfold: a window of 5 does not fit"),
    "stride": (lambda: ops.unfold(X, 2, stride=0), ArgumentError, "unfold: stride.*got 0"),
    "channels": (lambda: ops.fold(X[0, :, :3, :1], 2, 2), ShapeError, r"needs x.*\(N, C·4, 1"),
    "windows": (lambda: ops.fold(X[0], 4, 2), ShapeError, r"C·4, 9\).*\(4, 4\); got \(3, 4, 4\)"),
    "output_size": (lambda: ops.fold(X[0], 0, 2), ArgumentError, "fold: output_size.*got 0"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_misuse_is_explained(wrong):
    misuse, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=f"(?s){message}"):
        misuse()
