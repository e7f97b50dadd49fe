"""grid_sample, affine_grid, and antialiased interpolation, against PyTorch's."""

from itertools import product

import numpy as np
import pytest

import minidl
from minidl import ops
from tests.helpers import assert_close
from tests.oracle import functional, torch
from tests.parity import assert_same, random
from tests.toy_backend import TOY

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
SHAPES = {2: ((4, 5), (3, 4)), 3: ((3, 2, 4), (2, 3, 2))}
SETTINGS = [
    (axes, mode, padding)
    for axes, mode, padding in product(
        (2, 3), ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    )
    if (axes, mode) != (3, "bicubic")
]


@each_dtype
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("axes", "mode", "padding"), SETTINGS)
def test_samples_are_pytorchs(axes, mode, padding, align_corners, dtype):
    """Inside and outside the images, and at their corners."""
    image, samples = SHAPES[axes]
    x = random(2, 3, *image, dtype=dtype)
    grid = random(2, *samples, axes, dtype=dtype) * 1.2
    grid.reshape(-1, axes)[:3] = [[1] * axes, [-1] * axes, [0] * axes]
    settings = {"mode": mode, "padding_mode": padding, "align_corners": align_corners}
    if mode == "nearest":
        ours = lambda x: ops.grid_sample(x, grid, **settings)
        theirs = lambda x: functional.grid_sample(x, torch.tensor(grid), **settings)
        assert_same(ours, theirs, x, second=False)
        return
    ours, theirs = (
        lambda x, grid, library=library: library.grid_sample(x, grid, **settings)
        for library in (ops, functional)
    )
    assert_same(ours, theirs, x, grid, second=False)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("image", [(4, 5), (3, 2, 4), (2, 1)])
@pytest.mark.filterwarnings("ignore:Since version 1.3.0")
def test_affine_grids_are_pytorchs(image, align_corners):
    size, axes = (2, 3, *image), len(image)
    ours, theirs = (
        lambda theta, library=library: library.affine_grid(theta, size, align_corners)
        for library in (ops, functional)
    )
    assert_same(ours, theirs, random(2, axes, axes + 1))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_the_identity_gives_the_image_again(mode):
    x = random(2, 3, 4, 5)
    theta = np.tile([[1.0, 0, 0], [0, 1, 0]], (2, 1, 1))
    for align_corners in (False, True):
        grid = ops.affine_grid(theta, x.shape, align_corners)
        assert_close(ops.grid_sample(x, grid, mode, align_corners=align_corners), x, 1e-14)


def test_a_nan_in_the_image_reaches_only_samples_beside_it():
    x = np.ones((1, 1, 1, 5))
    x[..., 1] = np.nan
    grid = np.stack([np.linspace(-1.5, 1.5, 13), np.zeros(13)], -1)[None, None]
    for padding in ("zeros", "border", "reflection"):
        y = ops.grid_sample(x, grid, padding_mode=padding).numpy()
        theirs = functional.grid_sample(
            torch.tensor(x), torch.tensor(grid), padding_mode=padding, align_corners=False
        )
        np.testing.assert_array_equal(np.isnan(y), np.isnan(theirs.numpy()))


def test_empty_batches_and_grids():
    assert ops.grid_sample(np.ones((0, 2, 3, 3)), np.ones((0, 4, 5, 2))).shape == (0, 2, 4, 5)
    assert ops.grid_sample(np.ones((1, 2, 3, 3)), np.ones((1, 0, 5, 2))).shape == (1, 2, 0, 5)


def test_any_backend():
    x, grid = random(1, 2, 3, 4), random(1, 2, 3, 2)
    toys = ops.to_device(x, TOY), ops.to_device(grid, TOY)
    y = ops.grid_sample(*toys, "bicubic", "reflection")
    assert y.device == TOY
    assert_close(y.to_device("cpu"), ops.grid_sample(x, grid, "bicubic", "reflection"), 1e-14)


# Images made smaller.


@each_dtype
@pytest.mark.parametrize("align_corners", [None, False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiased_images_are_pytorchs(mode, align_corners, dtype):
    x = random(2, 2, 9, 7, dtype=dtype)
    for settings in (
        *({"size": size} for size in (1, 3, 9, (20, 2), (9, 4))),
        *({"scale_factor": scale} for scale in (0.6, 1.7, (0.3, 0.5))),
        {"scale_factor": 0.6, "recompute_scale_factor": True},
    ):
        settings |= {"mode": mode, "align_corners": align_corners, "antialias": True}
        ours, theirs = (
            lambda x, library=library, settings=settings: library.interpolate(x, **settings)
            for library in (ops, functional)
        )
        assert_same(ours, theirs, x, second=False)


def test_elements_that_no_sample_uses_have_no_gradient_even_beside_nan():
    x = minidl.tensor(np.ones((1, 1, 8)), requires_grad=True)
    (dx,) = minidl.gradients(ops.interpolate(x, 2), [x], [np.array([[[np.nan, 1.0]]])])
    np.testing.assert_array_equal(dx.numpy()[0, 0], [np.nan, 0, 0, 0, 1, 0, 0, 0])
