"""Bad input of convolutions, pooling, unpooling and folding: refused by name, or accepted."""

import math

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError
from tests.bad_input import call, every_spoilt, real, spoil
from tests.ops.nn import fused
from tests.oracle import functional, torch

NO_BIAS = ["2: None"]
each_kernels = pytest.mark.parametrize("kernels", ["fast", "reference"])

SIZES = {1: (7,), 2: (6, 5), 3: (4, 3, 5)}


def _convolutions():
    x, weight, bias = real(2, 4, 6, 5), real(6, 4, 2, 2), real(6)
    yield call(minidl.conv2d, x, weight, bias, allowed=NO_BIAS)
    yield call(fused.conv2d_relu, x, weight, bias, 2, 1, allowed=NO_BIAS, names=["conv2d", "fused"])
    yield call(
        fused.conv2d_pool_relu, x, weight, bias, 1, 1, allowed=NO_BIAS, names=["conv2d", "fused"]
    )
    yield call(minidl.conv_transpose2d, x, real(4, 3, 2, 2), real(3), 2, allowed=NO_BIAS)
    for axes, size in SIZES.items():
        x, window, one, two = real(2, 4, *size), (2,) * axes, (1,) * axes, (2,) * axes
        conv = getattr(minidl, f"conv{axes}d")
        yield call(conv, x, real(6, 2, *window), None, stride=2, padding=1, dilation=1, groups=2)
        inputs = x[0], real(6, 4, *window), real(6)
        yield call(conv, *inputs, two, one, two, 1, allowed=NO_BIAS)
        turned = getattr(minidl, f"conv_transpose{axes}d")
        settings = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 1}
        yield call(turned, x[0], real(4, 3, *window), None, **settings)
        settings = {"stride": two, "padding": one, "output_padding": one}
        yield call(turned, x, real(4, 3, *window), real(3), allowed=NO_BIAS, **settings)


def _pooling():
    x = real(2, 3, 6, 5)
    yield call(minidl.max_pool2d, x, 2)
    yield call(fused.max_pool2d_relu, x, 2, names=["max_pool2d", "fused"])
    yield call(minidl.max_pool2d, x[0], kernel_size=2, stride=1, padding=(1, 1))
    yield call(minidl.avg_pool2d, x, 2)
    yield call(minidl.avg_pool2d, x[0], (2, 2), divisor_override=3)
    yield call(minidl.avg_pool3d, real(2, 3, *SIZES[3]), 2, divisor_override=3)
    yield call(minidl.lp_pool2d, x, 2.0, 2)
    for axes, size in SIZES.items():
        x, each = real(2, 3, *size), (2,) * axes
        largest, mean, norm = (getattr(minidl, f"{of}_pool{axes}d") for of in ("max", "avg", "lp"))
        settings = {"padding": 1, "dilation": 1, "ceil_mode": True, "return_indices": True}
        yield call(largest, x, each, stride=(1,) * axes, **settings)
        settings = {"padding": 1, "ceil_mode": True, "count_include_pad": False}
        yield call(mean, x, each, stride=1, **settings)
        yield call(norm, x, math.inf, each)
        yield call(norm, x, 3, kernel_size=2, stride=1, ceil_mode=True)
        largest, mean = (getattr(minidl, f"adaptive_{of}_pool{axes}d") for of in ("max", "avg"))
        yield call(mean, x[0], output_size=each)
        yield call(largest, x, 2, return_indices=True)


def _unpooling():
    for axes, size in {1: (6,), 2: (6, 4), 3: (4, 2, 6)}.items():
        pool, unpool = (getattr(minidl, f"max_{way}{axes}d") for way in ("pool", "unpool"))
        x = real(2, 3, *size)
        y, indices = pool(x, 2, return_indices=True)
        yield call(unpool, y, indices, (2,) * axes, stride=2, padding=0, output_size=size)
        yield call(unpool, y[0], indices[0], kernel_size=2, output_size=x[0].shape)


FOLDING = [
    call(minidl.unfold, real(2, 3, 5, 4), 2),
    call(minidl.unfold, real(3, 5, 4), (2, 3), dilation=1, padding=1, stride=2),
    call(
        minidl.unfold, real(3, 5, 4), kernel_size=2, dilation=(1, 1), padding=(1, 0), stride=(2, 1)
    ),
    call(minidl.fold, real(2, 12, 12), (5, 4), 2),
    call(minidl.fold, real(12, 12), output_size=(5, 4), kernel_size=(2, 2), dilation=1),
    call(minidl.fold, real(12, 30), (5, 4), 2, padding=1, stride=1),
]
CALLS = [*_convolutions(), *_pooling(), *_unpooling(), *FOLDING]


@every_spoilt(CALLS)
def test_bad_input(spoilt):
    spoilt.check()


def outcome(right, kernels):
    """What a call gives: arrays, or the kind of its error."""
    with minidl.kernels(kernels):
        try:
            results = right.run()
        except MinidlError as error:
            return type(error)
    return [y.numpy() for y in (results if isinstance(results, tuple) else (results,))]


@pytest.mark.parametrize("right", CALLS, ids=lambda right: right.names[0])
def test_kernels_and_bodies_refuse_and_give_the_same(right):
    for spoilt in spoil(right):
        fast, reference = (outcome(spoilt.call, kernels) for kernels in ("fast", "reference"))
        if isinstance(fast, type) or isinstance(reference, type):
            assert fast == reference, spoilt
            continue
        for y, expected in zip(fast, reference, strict=True):
            assert y.dtype == expected.dtype, spoilt
            np.testing.assert_allclose(y, expected, 1e-5, err_msg=repr(spoilt))


RESAMPLING = [
    call(
        minidl.grid_sample,
        real(2, 3, 4, 4),
        real(2, 2, 3, 2),
        mode="bicubic",
        padding_mode="border",
        align_corners=True,
    ),
    call(minidl.grid_sample, real(1, 1, 2, 3, 2), real(1, 2, 2, 2, 3)),
    call(minidl.affine_grid, real(2, 2, 3), (2, 1, 3, 4), align_corners=True),
    call(minidl.interpolate, real(1, 2, 4, 4), (2, 3), mode="bilinear", antialias=True),
    call(
        minidl.fractional_max_pool2d,
        real(2, 3, 7, 7),
        real(2, 3, 2),
        2,
        (3, 4),
        return_indices=True,
    ),
    call(minidl.fractional_max_pool3d, real(3, 7, 7, 7), real(1, 3, 3), 2, 3),
]


@every_spoilt(RESAMPLING)
def test_bad_input_of_resampling_and_random_pools(spoilt):
    spoilt.check()


# What cannot be seen in one argument alone.


@each_kernels
@pytest.mark.parametrize(
    ("misuse", "kind", "message"),
    [
        (lambda: minidl.conv2d(real(1, 2, 3, 3), real(1, 2, 5, 5), None, 1, 0), ShapeError, "5.*3"),
        (
            lambda: minidl.conv1d(real(1, 4, 5), real(6, 1, 3), groups=3),
            ArgumentError,
            "groups.*4 channels.*6 outputs.*3",
        ),
        (
            lambda: minidl.conv2d(real(1, 4, 5, 5), real(6, 4, 3, 3), padding="full"),
            ArgumentError,
            '"same" or "valid"; got .full',
        ),
        (
            lambda: minidl.max_pool2d(real(1, 1, 4, 4), 2, padding=2),
            ArgumentError,
            "half the window",
        ),
        (
            lambda: minidl.avg_pool2d(real(1, 1, 4, 4), 2, divisor_override=2.0),
            ArgumentError,
            "divisor_override.*2.0",
        ),
        (
            lambda: minidl.lp_pool2d(real(1, 1, 4, 4), 0, 2),
            ArgumentError,
            "norm_type.*other than 0",
        ),
        (lambda: minidl.max_pool1d(real(1, 1, 4) * 1j, 2), DTypeError, "real numbers.*complex64"),
        (
            lambda: minidl.max_unpool1d(real(1, 2), minidl.tensor([[True, False]]), 2),
            DTypeError,
            "indices are integers; got bool",
        ),
        (lambda: minidl.fold(real(1, 9, 4), (4, 4), 2), ShapeError, "C·4, 9"),
    ],
    ids=[
        "kernel too large",
        "groups do not divide",
        "a word",
        "too much padding",
        "fractional divisor",
        "no norm",
        "complex",
        "places that are no numbers",
        "other columns",
    ],
)
def test_misuse_is_explained(misuse, kind, message, kernels):
    with minidl.kernels(kernels), pytest.raises(kind, match=message):
        misuse()


@each_kernels
def test_a_divisor_that_equals_a_right_one_is_still_refused(kernels):
    with minidl.kernels(kernels):
        minidl.avg_pool2d(real(1, 1, 4, 4), 2, divisor_override=3)
        with pytest.raises(ArgumentError, match="divisor_override"):
            minidl.avg_pool2d(real(1, 1, 4, 4), 2, divisor_override=3.0)


@each_kernels
@pytest.mark.parametrize("operation", ["max_pool2d", "avg_pool2d", "lp_pool2d", "conv2d", "unfold"])
def test_an_empty_batch_gives_an_empty_batch_with_either_kernels(operation, kernels):
    arguments = {"lp_pool2d": (2, 2), "conv2d": (real(6, 3, 2, 2),)}.get(operation, (2,))
    with minidl.kernels(kernels):
        x = minidl.asarray(np.zeros((0, 3, 6, 4), "float32"), requires_grad=True)
        y = getattr(minidl, operation)(x, *arguments)
        y.sum().backward()
    assert x.grad.shape == x.shape
    arguments = [torch.tensor(a.numpy()) if hasattr(a, "numpy") else a for a in arguments]
    expected = getattr(functional, operation)(torch.zeros(0, 3, 6, 4), *arguments)
    assert y.shape == tuple(expected.shape)


@each_kernels
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_the_infinite_norm_of_windows_is_pytorchs(axes, ceil_mode, kernels):
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 5, 4)[: 2 + axes]).astype("float32")
    with minidl.kernels(kernels):
        ours = minidl.tensor(x, requires_grad=True)
        y = getattr(minidl, f"lp_pool{axes}d")(ours, math.inf, 2, None, ceil_mode)
        y.sum().backward()
    theirs = torch.tensor(x, requires_grad=True)
    expected = getattr(functional, f"lp_pool{axes}d")(theirs, math.inf, 2, None, ceil_mode)
    expected.sum().backward()
    np.testing.assert_array_equal(y.numpy(), expected.detach().numpy())
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())


@each_kernels
def test_small_integers_do_not_overflow_in_powers_and_sums(kernels):
    with minidl.kernels(kernels):
        x = minidl.full((1, 4), 200, dtype="uint8")
        assert minidl.lp_pool1d(x, 2, 4).item() == 400.0
        columns = minidl.full((4, 4), 200, dtype="uint8")
        assert minidl.fold(columns, (3, 3), 2)[0, 1, 1].item() == 800


@each_kernels
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("geometry", [(2,), (3, 1, 1), (2, 1, 0, 2)], ids=str)
def test_a_nan_is_the_largest_as_in_pytorch(axes, geometry, kernels):
    rng = np.random.default_rng(axes)
    x = rng.normal(size=(2, 3, 6, 5, 4)[: 2 + axes]).astype("float32")
    x[rng.uniform(size=x.shape) < 0.15] = np.nan
    x[rng.uniform(size=x.shape) < 0.15] = -np.inf
    name = f"max_pool{axes}d"
    with minidl.kernels(kernels):
        ours = minidl.tensor(x, requires_grad=True)
        y, indices = getattr(minidl, name)(ours, *geometry, return_indices=True)
        minidl.sum(y * minidl.asarray(weights := _numbered(y.shape))).backward()
    theirs = torch.tensor(x, requires_grad=True)
    expected, places = getattr(functional, name)(theirs, *geometry, return_indices=True)
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_array_equal(y.numpy(), expected.detach().numpy())
    np.testing.assert_array_equal(indices.numpy(), places.numpy())
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), 1e-6)


def _numbered(shape):
    return np.arange(1, math.prod(shape) + 1, dtype="float32").reshape(shape)
