"""Interpolation of images to another size, against PyTorch's."""

import numpy as np
import pytest

from minidl import nn, ops
from minidl.errors import ArgumentError, ShapeError
from tests.helpers import assert_close
from tests.oracle import functional, torch
from tests.parity import assert_same, random
from tests.toy_backend import TOY

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
LINEAR = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}
PICTURE = (4, 5, 3)

SIZES = [
    {"size": 1},
    {"size": 7},
    {"size": 3},
    {"size": (8, 5, 2)},
    {"scale_factor": 2},
    {"scale_factor": 1.7},
    {"scale_factor": 0.6},
    {"scale_factor": (1.5, 0.5, 2.0)},
    {"scale_factor": 1.7, "recompute_scale_factor": True},
]


def of_axes(settings, axes):
    return {k: v[:axes] if isinstance(v, tuple) else v for k, v in settings.items()}


def assert_interpolations_agree(x, **settings):
    ours, theirs = (
        lambda x, library=library: library.interpolate(x, **settings)
        for library in (ops, functional)
    )
    assert_same(ours, theirs, x)


@each_dtype
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("settings", SIZES, ids=str)
def test_it_is_pytorchs(settings, axes, dtype):
    settings, x = of_axes(settings, axes), random(2, 2, *PICTURE[:axes], dtype=dtype)
    for mode in ("nearest", "nearest-exact", "area"):
        assert_interpolations_agree(x, **settings, mode=mode)
    for mode in LINEAR[axes]:
        for align_corners in (None, False, True):
            assert_interpolations_agree(x, **settings, mode=mode, align_corners=align_corners)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_the_same_elements_are_chosen_as_pytorch_chooses(mode):
    for old in (1, 2, 3, 5, 7, 10, 33):
        x = np.arange(old, dtype="float32").reshape(1, 1, old)
        for new in range(1, 70):
            y = ops.interpolate(x, new, mode=mode)
            np.testing.assert_array_equal(
                y, functional.interpolate(torch.tensor(x), new, mode=mode)
            )
        for scale in (0.3, 0.5, 1.1, 1.3, 2.5, 3.0, 7.7):
            if old * scale >= 1:
                y = ops.interpolate(x, scale_factor=scale, mode=mode)
                needed = functional.interpolate(torch.tensor(x), scale_factor=scale, mode=mode)
                np.testing.assert_array_equal(y, needed)


def test_nan_reaches_only_the_windows_that_cover_it():
    x = np.array([[[0, np.nan, 2, 3, 4, 5]]])
    for mode, axes in (("nearest", 12), ("linear", 12)):
        y = ops.interpolate(x, axes, mode=mode).numpy()
        needed = functional.interpolate(torch.tensor(x), axes, mode=mode).numpy()
        np.testing.assert_array_equal(np.isnan(y), np.isnan(needed))


def test_an_empty_batch_gives_an_empty_batch():
    for mode in ("nearest", "bilinear", "bicubic", "area"):
        assert ops.interpolate(np.ones((0, 3, 4, 4)), (2, 8), mode=mode).shape == (0, 3, 2, 8)


def test_bodies_run_on_any_backend():
    x = random(1, 2, 3, 4)
    for mode in ("nearest", "bilinear", "bicubic", "area"):
        y = ops.interpolate(ops.to_device(x, TOY), 5, mode=mode)
        assert y.device == TOY
        assert_close(y.to_device("cpu"), ops.interpolate(x, 5, mode=mode), 1e-14)


@pytest.mark.parametrize("settings", [
    {"scale_factor": 2},
    {"scale_factor": (2, 1.5), "mode": "bilinear"},
    {"size": (7, 3), "mode": "bicubic", "align_corners": True},
    {"size": 5, "mode": "nearest"},
    {"scale_factor": 1.3, "mode": "bilinear", "recompute_scale_factor": True},
], ids=str)  # fmt: skip
def test_layers_are_pytorchs(settings):
    ours, theirs = (library.Upsample(**settings) for library in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    assert_same(ours, theirs, random(2, 3, 4, 5, dtype="float32"))


X = ops.ones((2, 3, 4, 4))
WRONG = {
    "mode": (lambda: ops.interpolate(X, 2, mode="cubic"), ArgumentError, "mode is one of.*'cubic'"),
    "axes": (lambda: ops.interpolate(X, 2, mode="linear"), ShapeError, "linear needs x of 3 axes"),
    "axes of nearest": (lambda: ops.interpolate(X[0, 0], 2), ShapeError, "3 or 4 or 5 axes"),
    "neither": (lambda: ops.interpolate(X), ArgumentError, "a size or a scale_factor"),
    "both": (lambda: ops.interpolate(X, 2, 2.0), ArgumentError, "size or a scale_factor; got 2"),
    "size": (lambda: ops.interpolate(X, (1, 0)), ArgumentError, r"size.*≥ 1.*\(1, 0\)"),
    "scale": (lambda: ops.interpolate(X, scale_factor=-1.0), ArgumentError, "above 0.*-1.0"),
    "scales": (lambda: ops.interpolate(X, scale_factor=(1, 2, 3)), ArgumentError, "or 2; got"),
    "text": (lambda: ops.interpolate(X, scale_factor="2"), ArgumentError, "above 0.*got '2'"),
    "True": (lambda: ops.interpolate(X, scale_factor=True), ArgumentError, "above 0.*got True"),
    "nothing": (lambda: ops.interpolate(X, scale_factor=0.1), ShapeError, "nothing is left"),
    "no image": (lambda: ops.interpolate(X[:, :, :0], 2), ShapeError, "are empty"),
    "corners": (lambda: ops.interpolate(X, 2, align_corners=True), ArgumentError,
                "align_corners is for linear.*not nearest"),
    "recompute": (lambda: ops.interpolate(X, 2, recompute_scale_factor=True), ArgumentError,
                  "recompute_scale_factor needs a scale_factor"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_misuse_is_explained(wrong):
    misuse, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=f"(?s){message}"):
        misuse()
