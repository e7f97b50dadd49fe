"""Pooling along one axis and three, adaptive maxima, p-norms, and unpooling: as PyTorch's."""

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, BoundsError, ShapeError
from tests.helpers import assert_close
from tests.oracle import functional, torch
from tests.parity import assert_same, distinct, random
from tests.toy_backend import TOY

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
each_number_of_axes = pytest.mark.parametrize("axes", [1, 3])
PICTURE = (7, 5, 6)


def assert_operations_agree(name, x, *arguments, **settings):
    ours, theirs = (getattr(library, name) for library in (ops, functional))
    assert_same(
        lambda x: ours(x, *arguments, **settings), lambda x: theirs(x, *arguments, **settings), x
    )


def images(axes, dtype):
    """Images without equal numbers: a batch, and one alone."""
    return [distinct(*batch, 3, *PICTURE[:axes], dtype=dtype) for batch in ((2,), ())]


@each_dtype
@each_number_of_axes
@pytest.mark.parametrize("settings", [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 2, "stride": 1, "dilation": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
], ids=str)  # fmt: skip
def test_max_pooling_is_pytorchs(axes, settings, dtype):
    for x in images(axes, dtype):
        assert_operations_agree(f"max_pool{axes}d", x, **settings)
        assert_operations_agree(f"max_pool{axes}d", x, **settings, return_indices=True)


@each_number_of_axes
@pytest.mark.parametrize("name", ["max_pool{}d", "adaptive_max_pool{}d"])
def test_of_equals_the_first_is_chosen_and_of_nans_the_last(name, axes):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 2, (2, 2, *PICTURE[:axes])).astype("float32")
        if seed % 2:
            x[rng.random(x.shape) < 0.2] = np.nan
        found = getattr(ops, name.format(axes))(minidl.asarray(x), 2, return_indices=True)
        needed = getattr(functional, name.format(axes))(torch.tensor(x), 2, return_indices=True)
        for one, other in zip(found, needed, strict=True):
            np.testing.assert_array_equal(one, other.numpy())


@each_dtype
@each_number_of_axes
@pytest.mark.parametrize("settings", [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 3, "padding": 1, "count_include_pad": False, "ceil_mode": True},
], ids=str)  # fmt: skip
def test_average_pooling_is_pytorchs(axes, settings, dtype):
    for x in images(axes, dtype):
        assert_operations_agree(f"avg_pool{axes}d", x, **settings)
    if axes == 3:
        assert_operations_agree("avg_pool3d", x, **settings, divisor_override=5)


def test_each_axis_has_its_own_window():
    x = distinct(1, 2, *PICTURE)
    settings = {"kernel_size": (3, 2, 1), "stride": (1, 2, 3), "padding": (1, 0, 0)}
    assert_operations_agree("max_pool3d", x, **settings, dilation=(2, 1, 1), return_indices=True)
    assert_operations_agree("avg_pool3d", x, **settings)


@each_dtype
@each_number_of_axes
@pytest.mark.parametrize("size", [1, 3, 8, None])
def test_adaptive_averages_are_pytorchs(axes, size, dtype):
    size = (None,) * axes if size is None else size
    if axes == 1 and isinstance(size, tuple):
        assert_close(ops.adaptive_avg_pool1d(random(2, 3), (None,)), random(2, 3), 0)
        return
    for x in images(axes, dtype):
        assert_operations_agree(f"adaptive_avg_pool{axes}d", x, size)


@each_dtype
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 8, "each"])
def test_adaptive_maxima_are_pytorchs(axes, size, dtype):
    size = (2, 5, 3)[:axes] if size == "each" else size
    for x in images(axes, dtype):
        assert_operations_agree(f"adaptive_max_pool{axes}d", x, size, return_indices=True)


@each_dtype
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_norms_of_windows_are_pytorchs(axes, dtype):
    for x in images(axes, dtype):
        for settings in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "ceil_mode": True}):
            for p in (1, 2, 4):
                positive = np.abs(x) + np.ones((), dtype)
                assert_operations_agree(f"lp_pool{axes}d", positive, p, **settings)
            assert_operations_agree(f"lp_pool{axes}d", x, 2, **settings)


def test_the_norm_of_zeros_has_no_gradient():
    x = minidl.zeros((1, 4), requires_grad=True)
    y = ops.lp_pool1d(x, 2, 2)
    assert y.numpy().tolist() == [[0, 0]]
    assert minidl.gradients(y.sum(), [x])[0].numpy().tolist() == [[0, 0, 0, 0]]


@each_number_of_axes
def test_integers_are_pooled(axes):
    x = np.random.default_rng(0).integers(0, 200, (2, 3, *PICTURE[:axes]))
    y = getattr(ops, f"max_pool{axes}d")(x, 2)
    needed = getattr(functional, f"max_pool{axes}d")(torch.tensor(x).double(), 2)
    np.testing.assert_array_equal(y, needed.long())
    assert getattr(ops, f"avg_pool{axes}d")(x.astype("uint8"), 2).dtype == "float32"


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_indices_have_no_derivative(axes):
    x = minidl.ones((1, 1) + (4,) * axes, requires_grad=True)
    for name in ("max_pool", "adaptive_max_pool"):
        y, indices = getattr(ops, f"{name}{axes}d")(x, 2, return_indices=True)
        assert y.requires_grad
        assert not indices.requires_grad
        assert indices.dtype == "int64"


# Unpooling.


@each_dtype
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_unpooling_is_pytorchs(axes, dtype):
    unpool = f"max_unpool{axes}d"
    for x in images(axes, dtype):
        pool = getattr(functional, f"max_pool{axes}d")
        y, indices = pool(torch.tensor(x), 2, return_indices=True)
        whole = x.shape[-axes:] if x.ndim == axes + 1 else x.shape  # PyTorch's, of batches
        first = torch.arange(y[..., :1].numel()).reshape(y[..., :1].shape) % 4 + indices * 0
        for at, size in ((indices, x.shape[-axes:]), (indices, whole), (first, None)):
            settings = {"kernel_size": 2, "output_size": size}
            assert_same(
                lambda v, at=at, how=settings: getattr(ops, unpool)(v, at.numpy(), **how),
                lambda v, at=at, how=settings: getattr(functional, unpool)(v, at, **how),
                y.numpy() if size else y.numpy() * 0 + 1,  # equal numbers at equal places
            )


def test_where_windows_overlap_a_number_stands_once():
    x = np.array([[[0.0, 5, 0, 3]]])
    y, indices = ops.max_pool1d(x, 3, 1, return_indices=True)
    back = ops.max_unpool1d(y, indices, 3, 1)
    assert back.numpy().tolist() == [[[0, 5, 0, 0]]]


def test_bodies_run_on_any_backend():
    x = distinct(1, 2, 4, 4, 4)
    toy = ops.to_device(minidl.asarray(x), TOY)
    for run in (
        lambda x: ops.max_pool3d(x, 2, return_indices=True)[1],
        lambda x: ops.adaptive_max_pool3d(x, (2, 3, 1)),
        lambda x: ops.lp_pool2d(x[0], 2, 2),
        lambda x: ops.max_unpool3d(*ops.max_pool3d(x, 2, return_indices=True), 2),
    ):
        y = run(toy)
        assert y.device == TOY
        assert_close(y.to_device("cpu"), run(minidl.asarray(x)), 1e-14)


# Layers.

LAYERS = [
    *((f"MaxPool{n}d", {"kernel_size": 3, "stride": 2, "padding": 1}) for n in (1, 3)),
    *((f"MaxPool{n}d", {"kernel_size": 2, "dilation": 2, "ceil_mode": True}) for n in (1, 3)),
    *((f"AvgPool{n}d", {"kernel_size": 3, "stride": 2, "padding": 1}) for n in (1, 3)),
    *((f"AvgPool{n}d", {"kernel_size": 2, "count_include_pad": False}) for n in (1, 3)),
    ("AvgPool3d", {"kernel_size": 2, "divisor_override": 3}),
    *((f"AdaptiveAvgPool{n}d", {"output_size": 2}) for n in (1, 3)),
    *((f"AdaptiveMaxPool{n}d", {"output_size": 2}) for n in (1, 2, 3)),
    *((f"AdaptiveMaxPool{n}d", {"output_size": 3, "return_indices": True}) for n in (1, 2, 3)),
    *((f"LPPool{n}d", {"norm_type": 2, "kernel_size": 2}) for n in (1, 2, 3)),
    *((f"LPPool{n}d", {"norm_type": 2, "kernel_size": 3, "stride": 1}) for n in (1, 2, 3)),
]


@pytest.mark.parametrize(("name", "settings"), LAYERS, ids=str)
def test_layers_are_pytorchs(name, settings):
    ours, theirs = (getattr(library, name)(**settings) for library in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    for x in images(int(name[-2]), "float32"):
        assert_same(ours, theirs, x)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_layer_undoes_pooling(axes):
    settings = {"kernel_size": 3, "stride": 2, "padding": 1}
    ours, theirs = (getattr(library, f"MaxUnpool{axes}d")(**settings) for library in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    x = random(2, 2, *(7, 5, 9)[:axes])
    pool = getattr(nn, f"MaxPool{axes}d")(**settings, return_indices=True)
    y, indices = pool(minidl.asarray(x))
    needed = theirs(*(torch.tensor(np.asarray(each)) for each in (y, indices)))
    np.testing.assert_array_equal(ours(y, indices), needed)


# What is refused.

ROW, PICTURE_2, VOLUME = ops.ones((2, 3, 5)), ops.ones((2, 3, 4, 4)), ops.ones((2, 3, 4, 4, 4))
INDICES = ops.zeros((2, 3, 5), dtype="int64")
WRONG = {
    "axes": (lambda: ops.max_pool1d(VOLUME, 2), ShapeError, r"\(N, C, L\), or one of \(C, L\)"),
    "axes of three": (lambda: ops.avg_pool3d(ROW, 2), ShapeError, r"avg_pool3d.*\(N, C, D, H, W"),
    "kernel_size": (lambda: ops.max_pool1d(ROW, (1, 2)), ArgumentError,
                    r"max_pool1d: kernel_size is a number ≥ 1; got \(1, 2\)"),
    "stride": (lambda: ops.avg_pool3d(VOLUME, 2, 0), ArgumentError,
               "avg_pool3d: stride is a number ≥ 1, or three; got 0"),
    "padding": (lambda: ops.max_pool3d(VOLUME, 2, padding=2), ArgumentError, "at most half"),
    "too large": (lambda: ops.avg_pool1d(ROW, 9), ShapeError, "window of 9.*length of 5"),
    "output_size": (lambda: ops.adaptive_max_pool2d(PICTURE_2, (1, 0)), ArgumentError,
                    r"adaptive_max_pool2d: output_size.*\[1, 0\]"),
    "no image": (lambda: ops.adaptive_max_pool1d(ops.ones((2, 3, 0)), 1), ShapeError, "no mean"),
    "norm_type": (lambda: ops.lp_pool1d(ROW, 0, 2), ArgumentError, "norm_type.*other than 0"),
    "indices": (lambda: ops.max_unpool1d(ROW, INDICES[0], 2), ShapeError, "an index for each"),
    "an index": (lambda: ops.max_unpool1d(ROW, INDICES + 10, 2), BoundsError, "10.*0 … 9"),
    "size": (lambda: ops.max_unpool1d(ROW, INDICES, 2, output_size=(12,)), ShapeError,
             r"less than the stride \(2,\) away from \(10,\); got \(12,\)"),
    "sizes": (lambda: ops.max_unpool1d(ROW, INDICES, 2, output_size=(1, 2)), ArgumentError,
              r"output_size is 1 or 3 numbers; got \(1, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_misuse_is_explained(wrong):
    misuse, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=f"(?s){message}"):
        misuse()
